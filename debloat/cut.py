"""From a world and its closure to a minimal image: pruned database, layer on disk, configuration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from debloat import __version__
from debloat.closure import World, close
from debloat.core.globs import matcher
from debloat.core.identity import identity_of
from debloat.core.model import Closure, Image, Want
from debloat.debian.packages import Packages
from debloat.debian.prune import PackageShare, prune
from debloat.footprint import Footprint, footprint
from debloat.image import carve
from debloat.image.oci import Written
from debloat.image.rootfs import Rootfs
from debloat.inventory.named import named
from debloat.rules import all_rules
from debloat.rules.application.shipped import closing


@dataclass(frozen=True, slots=True)
class Minimal:
    """A minimal image on disk, not loaded into the engine.

    `kept` are the entries of the layer in order, `config` is the image configuration as JSON (its digest is the id).
    `shares` says how much of each package of the original is kept.
    """

    closure: Closure
    kept: tuple[carve.Kept, ...]
    layer: carve.Layer
    layer_file: Path
    config: bytes
    shares: tuple[PackageShare, ...]
    footprint: Footprint

    @property
    def id(self) -> str:
        return carve.image_id(self.config)

    @property
    def identity(self) -> str:
        return identity_of(self.config)

    @property
    def written(self) -> Written:
        """The image as `archive` takes it."""
        return Written(self.config, self.layer, self.layer_file)


def cut(world: World, image: Image, healed: tuple[Want, ...], directory: Path) -> Minimal:
    """Close over the trace and the healed paths, and carve the closure into a layer in `directory`."""
    return carve_closure(world.rootfs, world.packages, image, closed(world, healed), directory)


def closed(world: World, healed: tuple[Want, ...] = ()) -> Closure:
    """All that stays: what the rules close to, and what tells of a package that it is there."""
    closure = close(closing(world), all_rules(), healed)
    return named(world.rootfs, world.packages, closure, matcher(world.policy.drop))


def carve_closure(rootfs: Rootfs, packages: Packages, image: Image, closure: Closure, directory: Path) -> Minimal:
    """Carve a closure into a layer in `directory`, with the package database pruned to match."""
    pruned = prune(rootfs, packages, closure.evidence.keys())
    if pruned.dropped:
        closure = Closure(MappingProxyType({p: e for p, e in closure.evidence.items() if p not in pruned.dropped}))
    kept = carve.kept_entries(rootfs, closure, pruned.contents)
    layer_file = directory / "layer.tar"
    with layer_file.open("wb") as out:
        layer = carve.write_layer(rootfs, kept, out)
    staying = sum(share.state != "gone" for share in pruned.shares)
    return Minimal(
        closure,
        tuple(kept),
        layer,
        layer_file,
        carve.image_config(image, layer, f"debloat {__version__}"),
        pruned.shares,
        footprint((k.entry for k in kept), rootfs, staying),
    )
