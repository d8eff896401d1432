"""An image taken apart: all that `inspect` tells of it, as a value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from debloat.anatomy.binaries import Binary, Privileged, binaries, privileged
from debloat.anatomy.contents import Contents, PackageSize, Place, contents
from debloat.anatomy.credentials import Credential, credentials
from debloat.anatomy.duplicates import Duplicates, duplicates
from debloat.anatomy.layers import NO_LAYERS, Layers, LayerSource, accounts
from debloat.core.model import Image
from debloat.debian.packages import Packages
from debloat.footprint import Footprint, image_footprint
from debloat.image.rootfs import Rootfs

SECTIONS = ("packages", "unowned", "layers", "binaries", "privileged", "credentials", "duplicates")
"""The parts that can be asked for, in the order in which they are shown."""


class Anatomy(Struct, frozen=True):
    """What an image is made of. A part that was not asked for is empty; `sections` says which were."""

    image: Image
    sections: tuple[str, ...]
    footprint: Footprint
    packages: tuple[PackageSize, ...] = ()
    unowned: tuple[Place, ...] = ()
    layers: Layers = NO_LAYERS
    binaries: tuple[Binary, ...] = ()
    privileged: tuple[Privileged, ...] = ()
    credentials: tuple[Credential, ...] = ()
    duplicates: tuple[Duplicates, ...] = ()


def dissect(
    image: Image,
    rootfs: Rootfs,
    packages: Packages,
    layers: Callable[[], Sequence[LayerSource]],
    sections: Collection[str] = SECTIONS,
) -> Anatomy:
    """Take an image apart. `layers` gives its layers, and is asked only where a section needs them."""
    wanted = tuple(section for section in SECTIONS if section in sections)
    whose = contents(rootfs, packages) if {"packages", "unowned"} & set(wanted) else Contents((), ())
    stacked = accounts(layers()) if {"layers", "credentials"} & set(wanted) else NO_LAYERS
    return Anatomy(
        image,
        wanted,
        image_footprint(rootfs, len(packages.names())),
        whose.packages if "packages" in wanted else (),
        whose.places if "unowned" in wanted else (),
        stacked if "layers" in wanted else NO_LAYERS,
        binaries(rootfs) if "binaries" in wanted else (),
        privileged(rootfs) if "privileged" in wanted else (),
        credentials(image, rootfs, packages, stacked.buried) if "credentials" in wanted else (),
        duplicates(rootfs) if "duplicates" in wanted else (),
    )
