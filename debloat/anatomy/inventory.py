"""Every path of an image and what became of it: its package, its layer, whether it stays, and the step that says so."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from debloat.anatomy.layers import NO_LAYERS, Layers
from debloat.closure import steps
from debloat.core.model import Closure, Entry, Evidence
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs


class Line(Struct, frozen=True):
    """A path of the original. `package` is empty for what none owns, `layer` -1 where it is not known.

    `step` leads to what it stays for (`debloat.closure.steps`); None for what does not stay. `size` is 0 for all but
    regular files, and for further names of a hard-linked one.
    """

    entry: Entry
    size: int
    package: str
    layer: int
    step: Evidence | None


def inventory(rootfs: Rootfs, packages: Packages, closure: Closure, layers: Layers = NO_LAYERS) -> Iterator[Line]:
    """The lines of an image, sorted by path as it lists them."""
    why, linked = steps(closure), set[int]()
    for entry in rootfs.entries():
        size = entry.size if entry.is_file and entry.hardlink not in linked else 0
        linked.update({entry.hardlink} - {0})
        owner = "" if entry.is_dir else next(iter(packages.owners(entry.path)), "")
        yield Line(entry, size, owner, layers.of.get(entry.path, -1), why.get(entry.path))
