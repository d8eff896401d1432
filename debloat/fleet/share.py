"""Which layers the images of a fleet have in common: planned over what each keeps, a value in and a value out.

A shared layer holds files that all its images keep, the same in names, metadata and content. So no image gets a file
that it would not have alone, its tree stays the one that was proven, and its package database stays true. Sharing costs
an image no more than the headers of directories in layers below its own, and these are bounded.

The files are grouped by the set of images that keep them, and within it by Debian source package. Sets of images get
layers by how many bytes that saves, the most first, until nothing is worth a layer or the images have as many as they
may; a file goes into the layer of the largest set of which every image keeps it. Choosing the best sets is weighted set
packing, which is NP-hard: the greedy choice is within a few hundredths of the bound on real fleets.
Layers that are left to spend go to source packages, so that an upgrade of one package changes a small layer.
"""

from __future__ import annotations

import bisect
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.cut import Part
from debloat.fleet.kept import KeptFile, KeptSet
from debloat.image import carve

MOST_LAYERS = 10
"""Layers of an image at most, its own counted. Engines take 127, and mount each of them for every container."""

BOUND = 1.15
"""How large an image may be in shared layers, in sizes of its one layer."""

WORTH = 1 << 18
"""Bytes that a layer must save to be one: each is a request, a directory and a mount wherever the image goes."""

PACKAGE = 1 << 20
"""Bytes of a source package that may have a layer of its own, where layers are left."""

LOOKED_AT = 512
"""Sets of images that count when a layer is chosen, the heaviest; so the time does not grow with their square."""

PROPOSED = 128
"""Sets of these that may get the layer."""

CROSSED = 32
"""Sets of these of which the common images may get it too."""


class SharedLayer(Struct, frozen=True):
    """A layer that `images` have in common. `origins` are the source packages in it, the largest first; "" is files of
    none. `bytes` is its size."""

    images: tuple[str, ...]
    paths: tuple[str, ...]
    origins: tuple[str, ...]
    bytes: int

    @property
    def comment(self) -> str:
        """What an image's history says of it."""
        named = [origin or "files of no package" for origin in self.origins[:3]]
        more = len(self.origins) - len(named)
        return ", ".join(["shared: " + named[0], *named[1:], *([f"and {more} more"] if more else [])])


class SharedImage(Struct, frozen=True):
    """An image in layers: `single` is the size of its one layer, `own` of its own layer on top of those it shares.

    `layers` are their places in `SharePlan.layers`.
    """

    name: str
    single: int
    own: int
    layers: tuple[int, ...]


class SharePlan(Struct, frozen=True):
    """The layers of a fleet, in the order in which every image has them, and its images by name.

    What most images have comes first: engines keep a layer once where all below it is the same.
    """

    layers: tuple[SharedLayer, ...]
    images: tuple[SharedImage, ...]

    @property
    def before(self) -> int:
        """Bytes of all images, each in one layer."""
        return sum(image.single for image in self.images)

    @property
    def after(self) -> int:
        """Bytes of all layers, each once."""
        return self.shared + sum(image.own for image in self.images)

    @property
    def shared(self) -> int:
        """Bytes of the shared layers, each once."""
        return sum(layer.bytes for layer in self.layers)

    def size(self, image: SharedImage) -> int:
        """Bytes of an image in its layers."""
        return image.own + sum(self.layers[number].bytes for number in image.layers)

    def parts(self, name: str) -> tuple[Part, ...]:
        """How an image's layer is to be divided; () where it shares nothing."""
        image = self.images[bisect.bisect_left(self.images, name, key=lambda image: image.name)]
        return tuple(Part(self.layers[number].paths, self.layers[number].comment) for number in image.layers)


class _Draft(Struct):
    """A layer in the making: the images as bits of a number, and its files by origin."""

    images: int
    files: dict[str, list[KeptFile]] = {}
    size: int = 0
    """Of its tar; known when its files are."""

    def add(self, origin: str, files: Iterable[KeptFile]) -> None:
        self.files.setdefault(origin, []).extend(files)

    def weigh(self) -> None:
        paths = (path for file in self._all() for path in file.paths)
        frame = sum(carve.member_size(kept.entry, header, linked) for kept, header, linked in _headed(paths))
        self.size = carve.layer_size(self.content + frame)

    @property
    def content(self) -> int:
        """What its files take in it: so much less has the own layer of each of its images."""
        return sum(file.bytes for file in self._all())

    @property
    def saves(self) -> int:
        return self.content * self.images.bit_count() - self.size

    def _all(self) -> Iterator[KeptFile]:
        for files in self.files.values():
            yield from files


def _headed(paths: Iterable[str]) -> Iterator[tuple[carve.Kept, bytes, bool]]:
    return carve.headed(carve.directories(paths))


def plan(names: Iterable[str], load: Callable[[str], KeptSet], most: int = MOST_LAYERS) -> SharePlan:
    """The layers of the images of these names, whatever their order, at most `most` each.

    `load` gives what an image keeps, one after the other; of all together only the files that differ are held.
    """
    ordered = sorted(set(names))
    members: list[int] = []
    groups = _grouped(ordered, load, members)
    weights = {images: sum(f.bytes for files in found.values() for f in files) for images, found in groups.items()}
    drafts = _filled(_chosen(weights, len(ordered), most - 1), groups)
    _give_packages_their_own(drafts, len(ordered), most - 1)
    return _result(ordered, members, _bounded(drafts, members))


def _grouped(
    names: Sequence[str], load: Callable[[str], KeptSet], members: list[int]
) -> dict[int, dict[str, list[KeptFile]]]:
    """The files that several images keep, by the set of these images and by origin; `members` is filled."""
    files: dict[str, KeptFile] = {}
    images: dict[str, int] = {}
    for number, name in enumerate(names):
        kept = load(name)
        members.append(kept.members)
        for file in kept.files:
            files.setdefault(file.key, file)
            images[file.key] = images.get(file.key, 0) | 1 << number
    groups: dict[int, dict[str, list[KeptFile]]] = {}
    for key, file in sorted(files.items()):
        if images[key].bit_count() > 1:
            groups.setdefault(images[key], {}).setdefault(file.origin, []).append(file)
    return groups


def _chosen(weights: dict[int, int], images: int, most: int) -> list[int]:
    """The sets of images that are to have a layer, by the bytes that are kept by all of a set."""
    rest, chosen, left = dict(weights), list[int](), [most] * images
    while True:
        free = sum(1 << number for number, layers in enumerate(left) if layers > 0)
        heaviest = sorted(rest.items(), key=lambda row: (-row[1] * (row[0].bit_count() - 1), row[0]))[:LOOKED_AT]
        candidates = dict.fromkeys(images & free for images, _ in heaviest[:PROPOSED])
        candidates.update(dict.fromkeys(a & b for a, b in combinations(list(candidates)[:CROSSED], 2)))
        found = max(
            ((_saved(some, free, heaviest), -some) for some in candidates if some.bit_count() > 1), default=(0, 0)
        )
        if found[0] < WORTH:
            return chosen
        best = -found[1]
        chosen.append(best)
        for number in _bits(best):
            left[number] -= 1
        after = Counter[int]()
        for some, size in rest.items():
            after[some & ~best if some & best == best else some] += size
        rest = {some: size for some, size in after.items() if some.bit_count() > 1}


def _saved(some: int, free: int, heaviest: Iterable[tuple[int, int]]) -> int:
    """Bytes that a layer for these images saves. Files of which other images have to keep a copy count as one image
    less: that copy is what a layer for all of them would have saved."""
    others = some.bit_count() - 1
    return sum(
        size * (others if images & free == some else others - 1) for images, size in heaviest if images & some == some
    )


def _bits(images: int) -> Iterator[int]:
    while images:
        lowest = images & -images
        yield lowest.bit_length() - 1
        images ^= lowest


def _filled(chosen: Iterable[int], groups: dict[int, dict[str, list[KeptFile]]]) -> list[_Draft]:
    """The layers of the chosen sets that are worth it, each file in those of the largest sets that keep it."""
    drafts = [_Draft(images) for images in sorted(set(chosen), key=lambda images: (-images.bit_count(), images))]
    for images, found in sorted(groups.items()):
        rest = images
        for draft in drafts:
            if rest & draft.images == draft.images:
                rest &= ~draft.images
                for origin, files in found.items():
                    draft.add(origin, files)
    for draft in drafts:
        draft.weigh()
    return [draft for draft in drafts if draft.saves >= WORTH]


def _give_packages_their_own(drafts: list[_Draft], images: int, most: int) -> None:
    """Divide the largest layers by source package, as long as their images may have more."""
    left = [most - sum(draft.images >> number & 1 for draft in drafts) for number in range(images)]
    todo = list(drafts)
    while todo:
        todo.sort(key=lambda draft: (-draft.size, draft.images))
        draft = todo.pop(0)
        sizes = {origin: sum(f.bytes for f in files) for origin, files in draft.files.items()}
        largest = min(sizes, key=lambda origin: (-sizes[origin], origin))
        room = all(left[number] > 0 for number in _bits(draft.images))
        if room and sizes[largest] >= PACKAGE and draft.content - sizes[largest] >= PACKAGE:
            alone = _Draft(draft.images, {largest: draft.files.pop(largest)})
            alone.weigh()
            draft.weigh()
            drafts.append(alone)
            todo.append(draft)
            for number in _bits(draft.images):
                left[number] -= 1


def _bounded(drafts: list[_Draft], members: Sequence[int]) -> list[_Draft]:
    """The layers without the images that they would make too large: such an image leaves its smallest layer."""
    while True:
        drafts = [draft for draft in drafts if draft.images.bit_count() > 1]
        over = False
        for number in range(len(members)):
            mine = [draft for draft in drafts if draft.images >> number & 1]
            size = _own(members[number], mine) + sum(draft.size for draft in mine)
            if mine and size > BOUND * carve.layer_size(members[number]):
                min(mine, key=lambda draft: (draft.size, draft.images)).images &= ~(1 << number)
                over = True
        if not over:
            return drafts


def _own(members: int, drafts: Iterable[_Draft]) -> int:
    """The size of an image's own layer on top of these."""
    return carve.layer_size(members - sum(draft.content for draft in drafts))


def _result(names: Sequence[str], members: Sequence[int], drafts: Iterable[_Draft]) -> SharePlan:
    layers = []
    for draft in drafts:
        sizes = {origin: sum(f.bytes for f in files) for origin, files in draft.files.items()}
        layer = SharedLayer(
            tuple(names[number] for number in _bits(draft.images)),
            tuple(sorted(path for files in draft.files.values() for file in files for path in file.paths)),
            tuple(sorted(sizes, key=lambda origin: (-sizes[origin], origin))),
            draft.size,
        )
        layers.append((-len(layer.images), layer.images, layer.paths, layer, draft))
    layers.sort(key=lambda row: row[:3])
    images = []
    for number, name in enumerate(names):
        mine = [at for at, row in enumerate(layers) if row[4].images >> number & 1]
        own = _own(members[number], (layers[at][4] for at in mine))
        images.append(SharedImage(name, carve.layer_size(members[number]), own, tuple(mine)))
    return SharePlan(tuple(row[3] for row in layers), tuple(images))


def dump_parts(parts: Iterable[Part]) -> str:
    """How a layer is to be divided, as a worker is told."""
    return json.dumps([[part.comment, sorted(part.paths)] for part in parts], separators=(",", ":"))


def parse_parts(text: str) -> tuple[Part, ...]:
    """What `dump_parts` wrote; UsageError for anything else."""
    try:
        return tuple(Part(tuple(map(str, paths)), str(comment)) for comment, paths in json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError("cannot read how layers are to be divided", "run the fleet anew") from error
