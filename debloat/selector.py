"""What each rule declares it can say something of, and an index of these declarations.

Most rules speak of few entries: the sources of one language, ELF files, a program by its name. Each says as data which
these are, and the worklist shows it no others. The index looks them up by what many entries have in common (kind,
place, suffix, how the file begins), so that the ten-thousandth style sheet of an application costs one look into a
table, however many rules there are.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from typing import Generic, TypeVar

from msgspec import Struct

from debloat.core.model import Entry, Kind
from debloat.elf.facts import MAGIC
from debloat.image.rootfs import Rootfs

T = TypeVar("T")


class Format(enum.Enum):
    """What the first bytes of a regular file say: `#!` (execve(2)), the magic number of elf(5), or neither."""

    SCRIPT = enum.auto()
    ELF = enum.auto()
    OTHER = enum.auto()


ALL = frozenset(Kind)
FILES = frozenset({Kind.FILE})
FILES_AND_LINKS = frozenset({Kind.FILE, Kind.SYMLINK})
LINKS = frozenset({Kind.SYMLINK})
NO_DIRECTORIES = ALL - {Kind.DIR}

SCRIPT = frozenset({Format.SCRIPT})
ELF = frozenset({Format.ELF})


class Selector(Struct, frozen=True):
    """The entries that a rule can say something of: those of its `kinds` for which any of the other fields holds.

    Where no other field is given, it is all entries of these kinds.

    names, beginnings, endings
        The last part of the path: the whole of it, how it begins, how it ends.
    within
        Texts of which one stands in the path of the entry's directory, written with a slash at its end: `/etc/`.
    formats
        How a regular file begins; a link counts as of each, for it may lead to any.
    executable
        Regular files that somebody may execute.
    paths
        Whole paths, which only a world can name.
    """

    kinds: frozenset[Kind] = ALL
    names: Collection[str] = ()
    beginnings: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    formats: frozenset[Format] = frozenset()
    executable: bool = False
    paths: Collection[str] | None = None

    @property
    def general(self) -> bool:
        """Whether it is all entries of its kinds."""
        by_name = self.names or self.beginnings or self.endings or self.within
        return not (by_name or self.formats or self.executable) and self.paths is None

    def holds(self, entry: Entry, rootfs: Rootfs) -> bool:
        """Whether an entry is one of them."""
        if self.paths is not None and entry.path in self.paths:
            return entry.kind in self.kinds
        directory, _, name = entry.path.rpartition("/")
        start = format_of(entry, rootfs) if self.formats else Format.OTHER
        return self.matches(entry.kind, f"{directory}/", name, start, entry.executable)

    def matches(self, kind: Kind, directory: str, name: str, start: Format, executable: bool) -> bool:
        """Whether all such entries are among them, whatever their paths are."""
        return kind in self.kinds and (
            name in self.names
            or name.startswith(self.beginnings)
            or name.endswith(self.endings)
            or (executable and self.executable)
            or (kind is Kind.SYMLINK and bool(self.formats))
            or (kind is Kind.FILE and start in self.formats)
            or any(text in directory for text in self.within)
            or self.general
        )


EVERYTHING = Selector()
"""For a rule that may have something to say of every entry."""


def format_of(entry: Entry, rootfs: Rootfs) -> Format:
    """The format of a kept regular file; OTHER for any other entry."""
    start = rootfs.read(entry.path, 4) if entry.is_file and entry.size > 1 else b""
    if start.startswith(b"#!"):
        return Format.SCRIPT
    return Format.ELF if start == MAGIC else Format.OTHER


class Index(Generic[T]):
    """Selectors with what each stands for, such as rules, looked up by an entry of one root file system."""

    def __init__(self, declared: Iterable[tuple[Selector, T]], rootfs: Rootfs) -> None:
        self._declared = tuple(declared)
        self._rootfs = rootfs
        selectors = [selector for selector, _ in self._declared]
        endings = {ending for selector in selectors for ending in selector.endings}
        self._names = frozenset(name for selector in selectors for name in selector.names)
        self._beginnings = tuple(sorted({start for selector in selectors for start in selector.beginnings}))
        self._suffixes = frozenset(filter(_is_suffix, endings))
        self._endings = tuple(sorted(endings - self._suffixes))
        self._within = tuple(sorted({text for selector in selectors for text in selector.within}))
        self._formats = any(selector.formats for selector in selectors)
        self._by_path: dict[str, list[tuple[Selector, T]]] = {}
        for selector, value in self._declared:
            for path in selector.paths or ():
                self._by_path.setdefault(path, []).append((selector, value))
        self._places: dict[str, tuple[str, ...]] = {}
        """Directory -> the texts of `within` that stand in its path."""
        self._found: dict[tuple[object, ...], tuple[T, ...]] = {}
        """What all entries have in common that are of one kind, place, suffix, ... -> what they select."""

    def of(self, entry: Entry) -> tuple[T, ...]:
        """What stands for the selectors that hold an entry, in the order of their declaration."""
        path, kind = entry.path, entry.kind
        directory, _, name = path.rpartition("/")
        place = self._places.get(directory)
        if place is None:
            place = self._places[directory] = tuple(text for text in self._within if text in f"{directory}/")
        start = format_of(entry, self._rootfs) if self._formats and kind is Kind.FILE else Format.OTHER
        telling = name in self._names or name.startswith(self._beginnings) or name.endswith(self._endings)
        # Of any other name only the suffix counts, where a selector has it: an ending that is one ends no other name.
        suffix = name[dot:] if (dot := name.rfind(".")) >= 0 else ""
        common = name if telling else suffix if suffix in self._suffixes else ""
        key = (kind, place, common, telling, start, entry.executable)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = tuple(
                value
                for selector, value in self._declared
                if selector.matches(kind, f"{directory}/", name, start, entry.executable)
            )
        by_path = self._by_path.get(path)
        if by_path is None:
            return found
        named = {id(selector) for selector, _ in by_path}
        return tuple(
            value
            for selector, value in self._declared
            if (id(selector) in named and kind in selector.kinds) or value in found
        )


def _is_suffix(ending: str) -> bool:
    """Whether an ending is one suffix with its dot: a name ends so where that is what begins at its last dot."""
    return ending.rfind(".") == 0
