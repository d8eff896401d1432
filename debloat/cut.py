"""From a world and its closure to a minimal image: pruned database, layers on disk, configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from debloat import __version__
from debloat.closure import World, close
from debloat.core.globs import matcher
from debloat.core.identity import identity_of
from debloat.core.model import Closure, Image, Want
from debloat.debian.packages import Packages
from debloat.debian.prune import PackageShare, prune
from debloat.footprint import Footprint, footprint
from debloat.image import carve
from debloat.image.oci import LayerFile, Written
from debloat.image.rootfs import Rootfs

TOOL = f"debloat {__version__}"
"""What the history of an image says it was made by."""


class Minimal(Struct, frozen=True):
    """A minimal image on disk, not loaded into the engine.

    `kept` are the entries of the layer in order, `config` is the image configuration as JSON (its digest is the id).
    `shares` says how much of each package of the original is kept. `below` are the layers under its own that it has in
    common with other images; `kept` and `footprint` are of all of them together. `original` is the id of the image that
    it was cut from.
    """

    closure: Closure
    kept: tuple[carve.Kept, ...]
    layer: carve.Layer
    layer_file: Path
    config: bytes
    shares: tuple[PackageShare, ...]
    footprint: Footprint
    below: tuple[LayerFile, ...] = ()
    original: str = ""

    @property
    def id(self) -> str:
        return carve.image_id(self.config)

    @property
    def identity(self) -> str:
        return identity_of(self.config)

    @property
    def written(self) -> Written:
        """The image as `archive` takes it."""
        return Written(self.config, (*self.below, LayerFile(self.layer, self.layer_file)), self.original)


def cut(world: World, image: Image, healed: tuple[Want, ...], directory: Path) -> Minimal:
    """Close over the trace and the healed paths, and carve the closure into a layer in `directory`."""
    return carve_closure(world.rootfs, world.packages, image, closed(world, healed), directory)


def closed(world: World, healed: tuple[Want, ...] = ()) -> Closure:
    """All that stays: what the rules close to, and what tells of a package that it is there."""
    # A run has loaded these by now; who carves a closure that is known already needs none of them.
    from debloat.inventory.named import named
    from debloat.rules import all_rules
    from debloat.rules.application.shipped import closing

    closure = close(closing(world), all_rules(), healed)
    return named(world.rootfs, world.packages, closure, matcher(world.policy.drop))


def carve_closure(rootfs: Rootfs, packages: Packages, image: Image, closure: Closure, directory: Path) -> Minimal:
    """Carve a closure into a layer in `directory`, with the package database pruned to match."""
    pruned = prune(rootfs, packages, closure.evidence.keys())
    if pruned.dropped:
        closure = Closure(MappingProxyType({p: e for p, e in closure.evidence.items() if p not in pruned.dropped}))
    kept = carve.kept_entries(rootfs, closure, pruned.contents)
    stored = _layer(rootfs, kept, directory / "layer.tar")
    staying = sum(share.state != "gone" for share in pruned.shares)
    return Minimal(
        closure,
        tuple(kept),
        stored.layer,
        stored.file,
        carve.image_config(image, [stored.layer], TOOL),
        pruned.shares,
        footprint((k.entry for k in kept), rootfs, staying),
        original=image.id,
    )


class Part(Struct, frozen=True):
    """A layer that several images have in common: the paths of its files, and what a history says of it."""

    paths: Collection[str]
    comment: str


def divided(minimal: Minimal, rootfs: Rootfs, image: Image, parts: Sequence[Part], directory: Path) -> Minimal:
    """The same image in several layers: one a part, in their order, and its own on top.

    Nothing is added to the image: a path that it does not keep is no file of its layers. Its own layer has what no part
    names and every directory as it is, for below they are the same in all images; so applied in their order the layers
    give the very tree of the one layer. All names of a hard-linked file lie in one layer, else in the image's own.
    """
    place = {path: number for number, part in enumerate(parts) for path in part.paths}
    linked = dict[int, Counter[int]]()
    for kept in minimal.kept:
        if number := kept.entry.hardlink:
            linked.setdefault(number, Counter())[place.get(kept.entry.path, len(parts))] += 1
    scattered = {number for number, places in linked.items() if len(places) > 1}
    members: list[list[carve.Kept]] = [[] for _ in (*parts, None)]
    for kept in minimal.kept:
        entry = kept.entry
        alone = entry.is_dir or (entry.hardlink and entry.hardlink in scattered)
        members[len(parts) if alone else place.get(entry.path, len(parts))].append(kept)
    below = [
        _layer(
            rootfs,
            [*carve.directories(k.entry.path for k in found), *found],
            directory / f"shared-{number}.tar",
            part.comment,
        )
        for number, (part, found) in enumerate(zip(parts, members, strict=False))
        if found
    ]
    own = _layer(rootfs, members[-1], directory / "own.tar")
    layers = [stored.layer for stored in (*below, own)]
    return replace(
        minimal,
        layer=own.layer,
        layer_file=own.file,
        config=carve.image_config(image, layers, TOOL),
        below=tuple(below),
    )


def _layer(rootfs: Rootfs, kept: list[carve.Kept], file: Path, comment: str = "") -> LayerFile:
    with file.open("wb") as out:
        return LayerFile(carve.write_layer(rootfs, kept, out, comment), file)
