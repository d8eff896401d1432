"""A root file system as a value: names, metadata, contents on demand, and the one resolver of paths.

Everything that asks "what does this path lead to" asks here: links, `..`, merged `/usr` and loops are handled
in one place, and nothing ever leaves the root.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from debloat.core.globs import glob_regex
from debloat.core.model import Entry, Kind
from debloat.image.tree import Tree

MAX_LINKS = 40
"""Links followed before a path counts as a loop: the kernel's limit (path_resolution(7))."""

MADE = 1 << 15
"""Entries that are kept once made: those of an image of usual size."""


class Contents(Protocol):
    """Where the bytes of files come from; paths are real ones of regular files. Threads may share one."""

    def fetch(self, paths: Iterable[str]) -> None:
        """Bring the contents near, in one batch; those already near cost nothing."""

    def read(self, path: str, limit: int | None = None) -> bytes:
        """The first `limit` bytes of a file, or all of them."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """The content in pieces, so that memory does not grow with the file."""


class MemoryContents:
    """Contents held in a mapping: for tests and for small images."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def fetch(self, paths: Iterable[str]) -> None:
        pass

    def read(self, path: str, limit: int | None = None) -> bytes:
        return self._files[path][:limit]

    def chunks(self, path: str) -> Iterator[bytes]:
        yield self._files[path]


class Resolution(NamedTuple):
    """Where a path leads: the real path it ends at, or None, and every link on the way, in order.

    `through` are the directories that the way leaves again by `..`: without them the path leads nowhere.
    `broken` is the path of the first component that does not exist (real as far as it could be resolved),
    for a missing path; it says which directories and links were consulted in vain.
    """

    path: str | None
    links: tuple[str, ...] = ()
    broken: str = ""
    through: tuple[str, ...] = ()


class Rootfs:
    """The names of an image with their metadata; immutable once built.

    Threads may share one: what it remembers of paths and globs follows from the names alone, so it does not matter
    which of two threads stores an answer first.
    """

    def __init__(self, entries: Iterable[Entry], contents: Contents) -> None:
        self._tree = Tree(entries)
        self._contents = contents
        self._resolved: dict[str, Resolution] = {}
        self._globs: dict[str, tuple[str, ...]] = {}
        self._made = functools.lru_cache(maxsize=MADE)(self._make)

    def _make(self, path: str) -> Entry | None:
        number = self._tree.number(path)
        return None if number < 0 else self._tree.entry(number, path)

    def __contains__(self, path: str) -> bool:
        return self._tree.number(path) >= 0

    def __iter__(self) -> Iterator[str]:
        """All paths, sorted, the root `/` included."""
        return (path for path, _ in self._tree)

    def __len__(self) -> int:
        return len(self._tree)

    def entries(self) -> Iterator[Entry]:
        """All entries, sorted by path. They are made on the way: whoever keeps them all pays for it."""
        return (self._tree.entry(number, path) for path, number in self._tree)

    def get(self, path: str) -> Entry | None:
        """The entry of exactly this name; no link is followed, nothing is normalised."""
        return self._made(path)

    def _at(self, path: str) -> Entry:
        """The entry of a path that exists."""
        entry = self._made(path)
        if entry is None:
            raise KeyError(path)
        return entry

    def named(self, *names: str) -> tuple[str, ...]:
        """The paths whose last part is one of the names, sorted: faster by far than a look at each path."""
        return tuple(self._tree.named(frozenset(names)))

    @property
    def tree(self) -> Tree:
        """The numbered entries, for tables over all of an image that must stay small."""
        return self._tree

    def names(self, directory: str) -> tuple[str, ...]:
        """The names in a real directory, sorted; empty where it has none or is no directory."""
        return tuple(self._tree.names(directory))

    def children(self, directory: str) -> Iterator[Entry]:
        """The entries in the directory that `directory` leads to, sorted by name."""
        real = self.resolve(directory).path
        if real is None:
            return
        for name in self._tree.names(real):
            yield self._at(f"/{name}" if real == "/" else f"{real}/{name}")

    def walk(self, directory: str) -> Iterator[Entry]:
        """Everything below the directory that `directory` leads to, parents first; links are not entered."""
        for entry in self.children(directory):
            yield entry
            if entry.is_dir:
                yield from self.walk(entry.path)

    def resolve(self, path: str, *, follow: bool = True) -> Resolution:
        """Follow `path` from the root as the kernel would (path_resolution(7)).

        `..` at the root stays there. With `follow` false a link in the last place is not followed,
        unless a slash follows it.
        """
        number = self._tree.number(path)
        if number >= 0 and not (follow and self._tree.kind(number) is Kind.SYMLINK):
            return Resolution(path)
        if number < 0 and (broken := self._plainly_missing(path)):
            return Resolution(None, (), broken)
        key = path if follow else path + "\0"
        found = self._resolved.get(key)
        if found is None:
            found = self._resolved[key] = self._walk_path(path, follow)
        return found

    def _plainly_missing(self, path: str) -> str:
        """Where a path breaks off whose nearest existing ancestor is a real directory; empty where it takes a walk.

        Rules look up many names that are not there: this answers without taking the path apart.
        """
        if "//" in path or "/." in path or path.endswith("/"):
            return ""
        broken, above = path, path.rpartition("/")[0]
        while above:
            entry = self._made(above)
            if entry is not None:
                return broken if entry.is_dir else ""
            broken, above = above, above.rpartition("/")[0]
        return broken

    def _walk_path(self, path: str, follow: bool) -> Resolution:
        todo = path.split("/")[::-1]
        must_be_dir = path.endswith(("/", "/."))
        here, links, through = "/", list[str](), list[str]()
        while todo:
            name = todo.pop()
            if name in ("", "."):
                continue
            if name == "..":
                through.append(here)
                here = here.rpartition("/")[0] or "/"
                continue
            step = f"/{name}" if here == "/" else f"{here}/{name}"
            entry = self._made(step)
            if entry is None:
                return Resolution(None, tuple(links), step)
            last = not any(todo) and not must_be_dir
            if entry.is_symlink and (follow or not last):
                if len(links) >= MAX_LINKS:
                    return Resolution(None, tuple(links), step)
                links.append(step)
                if entry.target.startswith("/"):
                    here = "/"
                if not any(todo) and entry.target.endswith(("/", "/.")):
                    must_be_dir = True
                todo.extend(entry.target.split("/")[::-1])
                continue
            if any(t not in ("", ".") for t in todo) and not entry.is_dir:
                return Resolution(None, tuple(links), step)
            here = step
        if must_be_dir and not self._at(here).is_dir:
            return Resolution(None, tuple(links), here)
        return Resolution(here, tuple(links), through=tuple(through))

    def lookup(self, path: str) -> Entry | None:
        """The entry that `path` leads to, links followed; None where it leads nowhere."""
        real = self.resolve(path).path
        return None if real is None else self._at(real)

    def is_file(self, path: str) -> bool:
        entry = self.lookup(path)
        return entry is not None and entry.is_file

    def is_dir(self, path: str) -> bool:
        entry = self.lookup(path)
        return entry is not None and entry.is_dir

    def glob(self, pattern: str) -> tuple[str, ...]:
        """Paths of entries that match, sorted. `*` and `?` stop at `/`, `**` does not, `[...]` is a set.

        The directory part before the first wildcard may lead through links; the rest is matched against real paths.
        A pattern without a wildcard is the path itself: a link in the last place stays one, unless it is a directory's.
        """
        found = self._globs.get(pattern)
        if found is None:
            found = self._globs[pattern] = tuple(self._glob(pattern))
        return found

    def _glob(self, pattern: str) -> Iterator[str]:
        parts = pattern.split("/")
        fixed = next((i for i, p in enumerate(parts) if any(c in p for c in "*?[")), len(parts))
        base = "/".join(parts[:fixed]) or "/"
        real = self.resolve(base).path
        if fixed < len(parts):
            yield from self._glob_below(real, parts[fixed:]) if real is not None else ()
            return
        # A directory is named for what is below it; of anything else the link is named, not what it leads to.
        named = real if real is not None and self._at(real).is_dir else self.resolve(base, follow=False).path
        yield from () if named is None else (named,)

    def _glob_below(self, directory: str, parts: list[str]) -> Iterator[str]:
        head, rest = parts[0], parts[1:]
        prefix = "/" if directory == "/" else directory + "/"
        if head == "**":
            match = glob_regex("/".join(parts)).fullmatch
            for entry in self.walk(directory):
                if match(entry.path[len(prefix) :]):
                    yield entry.path
            return
        names = self._tree.names(directory)
        for name in fnmatch.filter(names, head) if any(c in head for c in "*?[") else [n for n in names if n == head]:
            step = prefix + name
            if not rest:
                yield step
                continue
            real = self.resolve(step).path
            if real is not None and self._at(real).is_dir:
                yield from self._glob_below(real, rest)

    def fetch(self, paths: Iterable[str]) -> None:
        """Bring the contents of these regular files near in one batch."""
        self._contents.fetch(p for p in paths if (e := self._made(p)) is not None and e.is_file)

    def read(self, path: str, limit: int | None = None) -> bytes:
        """The content of the regular file that `path` leads to; KeyError where there is none."""
        return self._contents.read(self._real_file(path), limit)

    def chunks(self, path: str) -> Iterator[bytes]:
        return self._contents.chunks(self._real_file(path))

    def text(self, path: str) -> str:
        """The file as text, undecodable bytes as surrogates; empty where there is no such file."""
        return self.read(path).decode("utf-8", "surrogateescape") if self.is_file(path) else ""

    def _real_file(self, path: str) -> str:
        entry = self.lookup(path)
        if entry is None or not entry.is_file:
            raise KeyError(path)
        return entry.path
