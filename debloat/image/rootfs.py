"""A root file system as a value: names, metadata, contents on demand, and the one resolver of paths.

Whatever has to know where a path leads uses this resolver: links, `..`, merged `/usr` and loops are handled in one
place, and nothing ever leaves the root.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from debloat.core.globs import glob_regex
from debloat.core.model import Entry, Kind
from debloat.image.tree import Tree

MAX_LINKS = 40
"""Links followed before a path counts as a loop: the kernel's limit (path_resolution(7))."""

MAX_CACHED_ENTRIES = 1 << 15
"""`Entry` objects that are cached: those of an image of usual size."""

MAX_WHOLE_BYTES = 1 << 17
"""Size up to which a file is read whole although only its beginning is asked for."""

MAX_HELD_BYTES = 32 << 20
"""Size up to which the content that was read last is held: several rules look at each library, one after the other."""

MAX_SMALL_BYTES, MAX_SMALL_TOTAL = 1 << 12, 1 << 24
"""Size up to which a content that was read is held until the end, and of all such: reading one again costs system
calls, and what the rules have looked at is what is carved."""

MAX_CACHED_PATHS = 1 << 16
"""Paths whose resolution is cached: rules ask for the same few again and again."""


class Contents(Protocol):
    """Where the bytes of files come from; paths are real ones of regular files. Threads may share one."""

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None:
        """Get the contents, or their first `limit` bytes, ready in one batch; what is ready costs nothing."""

    def read(self, path: str, limit: int | None = None) -> bytes:
        """The first `limit` bytes of a file, or all of them."""

    def chunks(self, path: str) -> Iterator[bytes]:
        """The content in pieces, so that memory does not grow with the file."""


class MemoryContents:
    """Contents held in a mapping: for tests and for small images."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None:
        pass

    def read(self, path: str, limit: int | None = None) -> bytes:
        return self._files[path][:limit]

    def chunks(self, path: str) -> Iterator[bytes]:
        yield self._files[path]


class Resolution(NamedTuple):
    """Where a path leads: the real path it ends at, or None, and every link on the way, in order.

    `through` are the directories that are left again by `..`: they have to exist for the path to resolve. `broken` is,
    for a path that does not resolve, the first component that is missing, as a path that is real up to it.
    """

    path: str | None
    links: tuple[str, ...] = ()
    broken: str = ""
    through: tuple[str, ...] = ()


class Rootfs:
    """The names of an image with their metadata; immutable once built.

    Threads may share one: its caches of paths and globs follow from the names alone, so it does not matter which of two
    threads stores a result first.
    """

    def __init__(self, entries: Iterable[Entry], contents: Contents) -> None:
        self._tree = Tree(entries)
        self._contents = contents
        self._globs: dict[str, tuple[str, ...]] = {}
        self._made = functools.lru_cache(maxsize=MAX_CACHED_ENTRIES)(self._make)
        self._resolutions = functools.lru_cache(maxsize=MAX_CACHED_PATHS)(self._resolve)
        self._held: tuple[str, bytes, bool] = "", b"", False
        """What was read last: its path, its content, and whether that is all of it. Rules look at a file in turn."""
        self._small: dict[str, bytes] = {}
        self._small_left = MAX_SMALL_TOTAL
        self.memo: dict[object, Any] = {}
        """What others have found out of the contents, which never change; keys are their own."""

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

    def ending(self, suffix: str) -> tuple[str, ...]:
        """The paths whose last part ends so, sorted; as fast."""
        return tuple(self._tree.ending(suffix))

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
        real = self.resolve(directory).path
        return (self._at(path) for path, _ in self._tree.below(real)) if real is not None else iter(())

    def resolve(self, path: str, *, follow: bool = True) -> Resolution:
        """Follow `path` from the root as the kernel would (path_resolution(7)).

        `..` at the root stays there. With `follow` false a link in the last place is not followed,
        unless a slash follows it.
        """
        return self._resolutions(path, follow)

    def _resolve(self, path: str, follow: bool) -> Resolution:
        number = self._tree.number(path)
        if number >= 0 and not (follow and self._tree.kind(number) is Kind.SYMLINK):
            return Resolution(path)
        if number < 0 and (broken := self._plainly_missing(path)):
            return Resolution(None, (), broken)
        return self._walk_path(path, follow)

    def _plainly_missing(self, path: str) -> str:
        """The first missing component of a path whose nearest existing ancestor is a real directory, else empty.

        A fast way for the many names that rules look up and that do not exist.
        """
        if "//" in path or "/." in path or path.endswith("/"):
            return ""
        broken, ancestor = path, path.rpartition("/")[0]
        while ancestor:
            entry = self._made(ancestor)
            if entry is not None:
                return broken if entry.is_dir else ""
            broken, ancestor = ancestor, ancestor.rpartition("/")[0]
        return broken

    def _walk_path(self, path: str, follow: bool) -> Resolution:
        components = path.split("/")[::-1]
        must_be_dir = path.endswith(("/", "/."))
        current, links, through = "/", list[str](), list[str]()
        while components:
            name = components.pop()
            if name in ("", "."):
                continue
            if name == "..":
                through.append(current)
                current = current.rpartition("/")[0] or "/"
                continue
            step = f"/{name}" if current == "/" else f"{current}/{name}"
            entry = self._made(step)
            if entry is None:
                return Resolution(None, tuple(links), step)
            last = not any(components) and not must_be_dir
            if entry.is_symlink and (follow or not last):
                if len(links) >= MAX_LINKS:
                    return Resolution(None, tuple(links), step)
                links.append(step)
                if entry.target.startswith("/"):
                    current = "/"
                if not any(components) and entry.target.endswith(("/", "/.")):
                    must_be_dir = True
                components.extend(entry.target.split("/")[::-1])
                continue
            if any(t not in ("", ".") for t in components) and not entry.is_dir:
                return Resolution(None, tuple(links), step)
            current = step
        if must_be_dir and not self._at(current).is_dir:
            return Resolution(None, tuple(links), current)
        return Resolution(current, tuple(links), through=tuple(through))

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
        matches = self._globs.get(pattern)
        if matches is None:
            matches = self._globs[pattern] = tuple(self._glob(pattern))
        return matches

    def _glob(self, pattern: str) -> Iterator[str]:
        parts = pattern.split("/")
        wildcard = next((i for i, p in enumerate(parts) if any(c in p for c in "*?[")), len(parts))
        base = "/".join(parts[:wildcard]) or "/"
        real = self.resolve(base).path
        if wildcard < len(parts):
            yield from self._glob_below(real, parts[wildcard:]) if real is not None else ()
            return
        # A directory is named for what is below it; of anything else the link is named, not what it leads to.
        path = real if real is not None and self._at(real).is_dir else self.resolve(base, follow=False).path
        yield from () if path is None else (path,)

    def _glob_below(self, directory: str, parts: list[str]) -> Iterator[str]:
        head, rest = parts[0], parts[1:]
        prefix = "/" if directory == "/" else directory + "/"
        if head == "**":
            match = glob_regex("/".join(parts)).fullmatch
            yield from (path for path, _ in self._tree.below(directory) if match(path[len(prefix) :]))
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

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None:
        """Get the contents of these regular files, or their first `limit` bytes, ready in one batch.

        Other paths are ignored.
        """
        self._contents.fetch((p for p in paths if (e := self._made(p)) is not None and e.is_file), limit)

    def read(self, path: str, limit: int | None = None) -> bytes:
        """The content of the regular file that `path` leads to; KeyError where there is none."""
        if (small := self._small.get(path)) is not None:
            return small if limit is None else small[:limit]
        held, data, whole = self._held
        if held != path or not (whole or (limit is not None and limit <= len(data))):
            entry = self._real_file(path)
            whole = limit is None or entry.size <= max(MAX_WHOLE_BYTES, limit)
            data = self._contents.read(entry.path, None if whole else limit)
            if len(data) <= MAX_HELD_BYTES:
                self._held = path, data, whole
            if whole and entry.size <= MAX_SMALL_BYTES and self._small_left > 0:
                self._small[entry.path] = data
                self._small_left -= len(data)
        return data if limit is None or len(data) <= limit else data[:limit]

    def chunks(self, path: str) -> Iterator[bytes]:
        small = self._small.get(path)
        return self._contents.chunks(self._real_file(path).path) if small is None else iter((small,))

    def text(self, path: str) -> str:
        """The file as text, undecodable bytes as surrogates; empty where there is no such file."""
        return self.read(path).decode("utf-8", "surrogateescape") if self.is_file(path) else ""

    def _real_file(self, path: str) -> Entry:
        entry = self._made(path)
        if entry is not None and entry.is_file:
            return entry
        entry = self.lookup(path)
        if entry is None or not entry.is_file:
            raise KeyError(path)
        return entry
