"""An image to look around in, as a value: its names, whose they are, their layers, what stays of them and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property

from msgspec import Struct

from debloat.anatomy.contents import Contents, contents
from debloat.anatomy.layers import NO_LAYERS, Layers
from debloat.anatomy.tree import Branch, directories
from debloat.core.model import Closure, Entry
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs

NO_CLOSURE = Closure()


class Explored(Struct, frozen=True, dict=True):
    """An image and, where it was compared, what stays of it.

    `kept` holds the paths that stay; None where there is nothing to compare with. `closure` says why; it is empty where
    no run is remembered. `note` says what is not known, in a sentence. What is added up is so when it is first asked
    for: `complete` does it while the image's contents can still be read.
    """

    title: str
    rootfs: Rootfs
    packages: Packages
    layers: Layers = NO_LAYERS
    kept: Collection[str] | None = None
    closure: Closure = NO_CLOSURE
    note: str = ""

    def complete(self) -> Explored:
        """The same, with all that needs the image's contents added up."""
        _ = self.branches, self.contents
        return self

    def stays(self, path: str) -> bool:
        """Whether a path stays; true of every one where nothing was compared."""
        return self.kept is None or path in self.kept

    @cached_property
    def top(self) -> Branch:
        """The root directory."""
        return directories(self.rootfs, self.packages, self.stays)

    @cached_property
    def branches(self) -> dict[str, Branch]:
        """Every directory by its path."""
        found, todo = dict[str, Branch](), [self.top]
        while todo:
            branch = todo.pop()
            found[branch.path] = branch
            todo += branch.children
        return found

    @cached_property
    def contents(self) -> Contents:
        """Packages, and places of what none owns."""
        return contents(self.rootfs, self.packages)

    @cached_property
    def _by_layer(self) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for path in self.rootfs:
            if (layer := self.layers.of.get(path, -1)) >= 0:
                found.setdefault(layer, []).append(path)
        return found

    def in_layer(self, number: int) -> list[str]:
        """The paths that can be seen and are of a layer (from 0), sorted."""
        return self._by_layer.get(number, [])

    def entries(self, paths: Collection[str]) -> Iterator[Entry]:
        """The entries of paths, but for directories."""
        for path in paths:
            entry = self.rootfs.get(path)
            if entry is not None and not entry.is_dir:
                yield entry

    def search(self, text: str, most: int) -> list[str]:
        """The first `most` paths that hold a text, whatever its case."""
        wanted, found = text.lower(), list[str]()
        for path in self.rootfs:
            if wanted in path.lower():
                found.append(path)
                if len(found) >= most:
                    break
        return found
