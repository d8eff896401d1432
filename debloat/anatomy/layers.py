"""What each layer of an image added, and what it hid of those below: pure, over the entries of layers.

A layer's archive names what it adds; `.wh.NAME` removes a name of the layers below, and `.wh..wh..opq` all that they
have in a directory (OCI image specification, layer.md, "Whiteouts").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"


class Member(Struct, frozen=True):
    """A name in a layer's archive: its absolute path, and the bytes of a regular file (0 for anything else)."""

    path: str
    size: int = 0
    directory: bool = False


class LayerSource(Struct, frozen=True):
    """A layer to be looked at: the digest of its uncompressed archive, the instruction that made it, its names.

    `members` is None where its contents could not be had.
    """

    digest: str
    created_by: str
    members: Iterable[Member] | None


class Unreadable(Exception):
    """A layer's contents cannot be read: raised while its `members` are gone through."""


class LayerShare(Struct, frozen=True):
    """A layer in figures; files are everything but directories.

    `added` are names that no layer below had (or had removed), `replaced` those that one had, `removed` those that it
    took away. `hides` are the bytes of lower layers that can no longer be seen because of it, `hidden` the bytes of
    its own that a later layer hides: they are shipped, and nobody can use them. `known` is false where its contents
    could not be had.
    """

    digest: str
    created_by: str
    files: int = 0
    bytes: int = 0
    added: int = 0
    replaced: int = 0
    removed: int = 0
    hides: int = 0
    hidden: int = 0
    known: bool = True


class Buried(Struct, frozen=True):
    """A file that a layer has and the image has not: `size` bytes in layer `layer`, hidden by layer `by` (from 0)."""

    path: str
    size: int
    layer: int
    by: int


class Layers(Struct, frozen=True):
    """The layers from the lowest up, what is buried in them (by path), and which layer each visible file is of."""

    layers: tuple[LayerShare, ...] = ()
    buried: tuple[Buried, ...] = ()
    of: dict[str, int] = {}


NO_LAYERS = Layers()
"""Of an image whose layers were not looked at."""


def accounts(sources: Sequence[LayerSource]) -> Layers:
    """What each layer added and hid. The members of one layer are read before those of the next."""
    stack = _Stack()
    shares = [stack.put(number, source) for number, source in enumerate(sources)]
    hidden = [0] * len(shares)
    for buried in stack.buried:
        hidden[buried.layer] += buried.size
    return Layers(
        tuple(replace(share, hidden=size) for share, size in zip(shares, hidden, strict=True)),
        tuple(sorted(stack.buried, key=lambda b: (b.path, b.layer))),
        {path: layer for path, (layer, _) in stack.visible.items()},
    )


class _Stack:
    """The layers that have been put on one another so far: the file that is seen at each path, with its layer."""

    def __init__(self) -> None:
        self.visible: dict[str, tuple[int, int]] = {}
        self.buried: list[Buried] = []
        self._below: dict[str, set[str]] = {}
        """Names in each directory, files and directories."""

    def put(self, number: int, source: LayerSource) -> LayerShare:
        try:
            members = list(source.members or ())
        except Unreadable:
            return LayerShare(source.digest, source.created_by, known=False)
        share = LayerShare(source.digest, source.created_by, known=source.members is not None)
        # Whiteouts speak of the layers below alone, wherever they stand in the archive (layer.md).
        removed = hides = 0
        for member in members:
            parent, _, name = member.path.rpartition("/")
            if name == OPAQUE:
                gone = [f"{parent}/{below}" for below in sorted(self._below.get(parent, ()))]
            elif name.startswith(WHITEOUT):
                gone = [f"{parent}/{name.removeprefix(WHITEOUT)}"]
            else:
                continue
            for path in gone:
                count, size = self._hide(path, number)
                removed, hides = removed + count, hides + size
        added = replaced = files = size_here = 0
        for member in members:
            if member.path.rpartition("/")[2].startswith(WHITEOUT):
                continue
            hides += self._list(member.path, number)
            if member.directory:
                hides += self._bury(member.path, number)
                continue
            files, size_here = files + 1, size_here + member.size
            count, size = self._hide(member.path, number)
            hides += size
            added, replaced = added + (not count), replaced + bool(count)
            self.visible[member.path] = (number, member.size)
            self._list(member.path, number)
        return replace(
            share, files=files, bytes=size_here, added=added, replaced=replaced, removed=removed, hides=hides
        )

    def _list(self, path: str, by: int) -> int:
        """Note a name, and that what is above it is directories now: the bytes of files that were there."""
        hidden = 0
        while path:
            parent, _, name = path.rpartition("/")
            hidden += self._bury(parent, by)
            names = self._below.setdefault(parent, set())
            if name in names:
                break
            names.add(name)
            path = parent
        return hidden

    def _bury(self, path: str, by: int) -> int:
        """Bury a file of the layers below, if there is one of this path: its bytes."""
        layer, size = self.visible.get(path, (by, 0))
        if layer == by:
            return 0
        del self.visible[path]
        self.buried.append(Buried(path, size, layer, by))
        return size

    def _hide(self, path: str, by: int) -> tuple[int, int]:
        """Bury a path of the layers below with all that is in it: how many files, and their bytes."""
        count = size = 0
        todo = [path]
        while todo:
            here = todo.pop()
            count += self.visible.get(here, (by, 0))[0] != by
            size += self._bury(here, by)
            todo += (f"{here}/{name}" for name in self._below.pop(here, ()))
        parent, _, name = path.rpartition("/")
        self._below.get(parent, set()).discard(name)
        return count, size
