"""The dpkg database of a root file system: `read(rootfs)` and the questions of `Packages` answered from it.

Paths in the database are those of the packages (`/lib/x86_64-linux-gnu/libc.so.6`); here they become real paths of
the root file system: diversions applied (dpkg-divert(1)), then the links of the directories followed, so that
merged `/usr` is seen through. Distroless images have no `status` but a stanza per file in `status.d`; it is read
the same way.
"""

from __future__ import annotations

import copy
import functools
import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Generic, TypeVar

from msgspec import Struct

from debloat.core.model import Kind
from debloat.debian import control
from debloat.debian.control import Stanza
from debloat.debian.packages import NoPackages, Package, Packages
from debloat.image.rootfs import Rootfs

ADMIN = "/var/lib/dpkg"
INFO = f"{ADMIN}/info"
LIMIT = 64 << 20
"""Bytes read of one database file at most; the largest real `status` files have about 5 MB."""

MAX_CACHED_PATHS = 1 << 16
"""Paths whose owners are cached: each rule asks for those of each file that stays."""

HELD = 50_000
"""Lines of the database that are held in memory: those of an image of usual size."""

T = TypeVar("T")


class Record(Struct, frozen=True):
    """An entry of the database: the stanza, the file it stands in, and the stem of its info files.

    `info` is a path such as `/var/lib/dpkg/info/libc6:amd64`, to which `.list` is appended.
    """

    stanza: Stanza
    origin: str
    info: str

    @property
    def package(self) -> Package:
        return self.stanza.package


def read(rootfs: Rootfs) -> Packages:
    """The database of an image; one that owns nothing where the image has none."""
    origins = _status_files(rootfs)
    if not origins:
        return NoPackages()
    rootfs.fetch((*origins, *_info_files(rootfs), *rootfs.glob(f"{ADMIN}/status.d/*.md5sums")))
    records: dict[str, Record] = {}
    for origin in origins:
        for stanza in control.stanzas(rootfs.read(origin, LIMIT)):
            record = Record(stanza, origin, _info_stem(rootfs, origin, stanza.package))
            known = records.setdefault(stanza.package.name, record)
            if stanza.package.installed and not known.package.installed:
                records[stanza.package.name] = record
    return Database(rootfs, records) if records else NoPackages()


def _status_files(rootfs: Rootfs) -> tuple[str, ...]:
    """Where the stanzas are: `status`, and the files of `status.d` that are no lists of digests."""
    places = (f"{ADMIN}/status", *rootfs.glob(f"{ADMIN}/status.d/*"))
    found = {real for p in places if not p.endswith(".md5sums") and (real := _file(rootfs, p))}
    return tuple(sorted(found))


def _info_files(rootfs: Rootfs) -> Iterator[str]:
    for suffix in ("list", "md5sums", "conffiles"):
        yield from rootfs.glob(f"{INFO}/*.{suffix}")
    yield from rootfs.glob(f"{ADMIN}/diversions")
    yield from rootfs.glob(f"{ADMIN}/alternatives/*")


def _file(rootfs: Rootfs, path: str) -> str:
    """The real path of the regular file that `path` leads to, or nothing."""
    entry = rootfs.lookup(path)
    return entry.path if entry is not None and entry.is_file else ""


def _info_stem(rootfs: Rootfs, origin: str, package: Package) -> str:
    """Where a package's info files are; the name is arch-qualified for Multi-Arch: same (dpkg-query(1), -c)."""
    if not origin.endswith("/status"):
        return origin
    stems = (package.name, package.package, f"{package.package}:{package.architecture}")
    found = (s for s in stems for suffix in ("list", "md5sums") if rootfs.is_file(f"{INFO}/{s}.{suffix}"))
    return f"{INFO}/{next(found, package.name)}"


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
    yield "/"


class Held(Generic[T]):
    """Tables that were worked out, held until there are `HELD` rows of them."""

    def __init__(self) -> None:
        self._tables: dict[str, tuple[T, ...]] = {}
        self._rows = 0

    def get(self, name: str, make: Callable[[str], Iterable[T]]) -> tuple[T, ...]:
        found = self._tables.get(name)
        if found is None:
            if self._rows > HELD:
                self._tables.clear()
                self._rows = 0
            found = self._tables[name] = tuple(make(name))
            self._rows += len(found)
        return found


class Database(Packages):
    """A dpkg database with all its paths resolved in the root file system."""

    def __init__(self, rootfs: Rootfs, records: Mapping[str, Record]) -> None:
        self.rootfs = rootfs
        self.records: Mapping[str, Record] = MappingProxyType({name: records[name] for name in sorted(records)})
        self._names = tuple(self.records)
        self._places: dict[str, str | None] = {}
        self._diverted: dict[str, list[control.Diversion]] = {}
        for diversion in control.diversions(self.content(f"{ADMIN}/diversions")):
            self._diverted.setdefault(diversion.path, []).append(diversion)
        self._rows: dict[str, array[int]] = {}
        """Numbers of a package's entries (`Rootfs.tree`): texts would take hundreds of megabytes."""
        self._first_owner = array("I", bytes(4 * rootfs.tree.size))
        """By number of an entry the place of its first owner in `records`, from 1; 0 where it has none."""
        self._more_owners: dict[int, tuple[str, ...]] = {}
        self._files: Held[str] = Held()
        self._digests: Held[tuple[str, str]] = Held()
        self._disowned = frozenset[str]()
        self._owners = functools.lru_cache(maxsize=MAX_CACHED_PATHS)(self._find_owners)
        self._brought = functools.lru_cache(maxsize=MAX_CACHED_PATHS)(self._find_brought)
        self._shared, self._directories = frozenset[str](), frozenset[str]()
        self._index()

    def content(self, path: str) -> bytes:
        """The bytes of a database file; none where there is no such file."""
        return self.rootfs.read(path, LIMIT) if self.rootfs.is_file(path) else b""

    def listed(self, name: str) -> tuple[str, ...]:
        """The paths of a package as its `.list` has them (the root as `/`); where there is none, those of its digests
        and above."""
        record = self.records.get(name)
        if record is None:
            return ()
        lines = control.listed(self.content(f"{record.info}.list"))
        if lines:
            return lines
        files = dict.fromkeys(path for _, path in self.digests(record.package.name))
        above = {parent for path in files for parent in _parents(path)}
        return (*sorted(above - files.keys()), *files)

    def _index(self) -> None:
        """Find the entries of every package, and by them the owners."""
        rows, links, above = dict[str, set[int]](), list[tuple[str, str]](), set[str]()
        tree, diverted, symlink = self.rootfs.tree, self._diverted, Kind.SYMLINK
        for name in self.records:
            mine = rows[name] = set()
            for line in self.listed(name):
                parent, _, base = line.rpartition("/")
                above.add(parent)
                if line in diverted:
                    links.append((name, line))
                    continue
                number = self._number_in(parent, base, line)
                if number >= 0 and tree.kind(number) is symlink:
                    links.append((name, line))
                elif number >= 0:
                    mine.add(number)
        self._shared = self._listed_by_several(links)
        self._directories = frozenset(filter(self._is_link_in_parent, above))
        for name, line in links:
            rows[name].update({self._number(self.place(name, line))} - {-1})
        for place, (name, found) in enumerate(rows.items(), 1):
            self._rows[name] = array("I", sorted(found))
            for number in found:
                self._own(number, place, name)

    def _number(self, path: str | None) -> int:
        return -1 if path is None else self.rootfs.tree.number(path)

    def _own(self, number: int, place: int, name: str) -> None:
        if not self._first_owner[number]:
            self._first_owner[number] = place
        else:
            self._more_owners[number] = (*self._more_owners.get(number, ()), name)

    def _listed_by_several(self, lines: Iterable[tuple[str, str]]) -> frozenset[str]:
        """Paths that several packages list: directories, but for the twins of Multi-Arch: same."""
        first: dict[str, str] = {}
        bare = {name: record.package.package for name, record in self.records.items()}
        return frozenset(line for name, line in lines if first.setdefault(line, bare[name]) != bare[name])

    def _is_link_in_parent(self, line: str) -> bool:
        path = self._in_parent(line)
        return path is not None and self._is_link(path)

    def _in_parent(self, line: str) -> str | None:
        """The real path of a name: links in the directory part followed, the last place as it is."""
        parent, _, base = line.rpartition("/")
        if base in ("", ".", ".."):
            return self.rootfs.resolve(line, follow=False).path
        real = self._place_of(parent)
        if real is None:
            return None
        path = f"/{base}" if real == "/" else f"{real}/{base}"
        return path if path in self.rootfs else None

    def _number_in(self, parent: str, base: str, line: str) -> int:
        """The number of the entry that `_in_parent` finds: for half a million lines, without making its path."""
        if base in ("", ".", ".."):
            return self._number(self._in_parent(line))
        real = self._place_of(parent)
        return -1 if real is None else self.rootfs.tree.number_in("" if real == "/" else real, base)

    def _place_of(self, directory: str) -> str | None:
        """The real path of a directory of the database; the root as an empty text."""
        if directory not in self._places:
            self._places[directory] = self.rootfs.resolve(directory or "/").path
        return self._places[directory]

    def place(self, name: str, line: str) -> str | None:
        """Where the path that a package ships is in the image; None if it is not there.

        A directory of the package that the image has as a link (merged `/usr`) is what the link leads to; the link
        itself is no package's.
        """
        path = self._in_parent(self._after_diversion(name, line))
        if path is None:
            return None
        entry = self.rootfs.get(path)
        if entry is not None and entry.is_symlink and (line in self._directories or line in self._shared):
            target = self.rootfs.lookup(path)
            return target.path if target is not None and target.is_dir else path
        return path

    def _after_diversion(self, name: str, line: str) -> str:
        for diversion in self._diverted.get(line, ()):
            if diversion.package != self.records[name].package.package:
                return diversion.to
        return line

    def digests(self, name: str) -> tuple[tuple[str, str], ...]:
        """Pairs (digest, path as the package ships it) of a package's `.md5sums`."""
        return self._digests.get(name, lambda _: control.md5sums(self.content(f"{self.records[name].info}.md5sums")))

    def disowning(self, names: Iterable[str]) -> Database:
        """The same database, in which `owners` does not know some packages."""
        other = copy.copy(self)
        other._disowned = self._disowned | frozenset(names)
        other._owners = functools.lru_cache(maxsize=MAX_CACHED_PATHS)(other._find_owners)
        return other

    def owners(self, path: str) -> tuple[str, ...]:
        return self._owners(path)

    def _find_owners(self, path: str) -> tuple[str, ...]:
        found = self.brought(path)
        if self._disowned and not self._disowned.isdisjoint(found):
            return tuple(name for name in found if name not in self._disowned)
        return found

    def brought(self, path: str) -> tuple[str, ...]:
        """The packages that a path came with: its owners, and those that are disowned."""
        return self._brought(path)

    def _find_brought(self, path: str) -> tuple[str, ...]:
        found = self.listing(path)
        if not found and path in self.alternatives:
            real = self.rootfs.resolve(path).path
            return self.listing(real) if real is not None else ()
        return found

    def listing(self, path: str) -> tuple[str, ...]:
        """The packages that have this very path, sorted: `owners` without a look through alternatives."""
        number = self.rootfs.tree.number(path)
        first = self._first_owner[number] if number >= 0 else 0
        return (self._names[first - 1], *self._more_owners.get(number, ())) if first else ()

    @functools.cached_property
    def alternatives(self) -> Mapping[str, str]:
        """The links that update-alternatives made (`/usr/bin/awk`, `/etc/alternatives/awk`), by real path.

        Each with the file of its group in `/var/lib/dpkg/alternatives`, "" where there is none.
        """
        links = {path: "" for path in self.rootfs.glob("/etc/alternatives/*") if self._is_link(path)}
        for path in self.rootfs.glob(f"{ADMIN}/alternatives/*"):
            group = control.alternative(path.rpartition("/")[2], self.content(path))
            for name, link in group.links if group is not None else ():
                for place in (self._in_parent(link), self._in_parent(f"/etc/alternatives/{name}")):
                    if place is not None and self._is_link(place):
                        links[place] = path
        return MappingProxyType(links)

    def _is_link(self, path: str) -> bool:
        entry = self.rootfs.get(path)
        return entry is not None and entry.is_symlink

    def files(self, name: str) -> tuple[str, ...]:
        package = self.get(name)
        if package is None:
            return ()
        return self._files.get(package.name, lambda name: sorted(map(self.rootfs.tree.path, self.numbers(name))))

    def numbers(self, name: str) -> Sequence[int]:
        """The numbers of a package's entries in the root file system's tree."""
        return self._rows.get(name, ())

    def get(self, name: str) -> Package | None:
        record = self.records.get(name) or self.records.get(self._first_twin.get(name, ""))
        return record.package if record is not None else None

    @functools.cached_property
    def _first_twin(self) -> dict[str, str]:
        """Bare names with the first dpkg name that has it."""
        return {record.package.package: name for name, record in sorted(self.records.items(), reverse=True)}

    def names(self) -> tuple[str, ...]:
        return tuple(name for name, record in self.records.items() if record.package.installed)

    @functools.cached_property
    def _by_bare_name(self) -> dict[str, tuple[str, ...]]:
        return control.by_bare_name(record.package for record in self.records.values())

    def providers(self, bare: str) -> tuple[str, ...]:
        return self._by_bare_name.get(bare, ())

    @functools.cached_property
    def conffiles(self) -> Mapping[str, frozenset[str]]:
        """Real paths of the configuration files, each with the digests that its packages shipped."""
        found: dict[str, set[str]] = {}
        for name, record in self.records.items():
            declared = control.conffiles(self.content(f"{record.info}.conffiles"))
            for line, digest in (*((path, "") for path in declared), *record.stanza.conffiles):
                place = self.place(name, line)
                if place is not None:
                    found.setdefault(place, set()).update({digest} - {""})
        return MappingProxyType({path: frozenset(digests) for path, digests in sorted(found.items())})

    def conffile(self, path: str) -> bool:
        return path in self.conffiles

    def _packaged_digests(self, path: str) -> frozenset[str]:
        """The digests of what packages shipped at a real path."""
        base = path.rpartition("/")[2]
        found = {
            digest
            for name in self.listing(path)
            for digest, line in self.digests(name)
            if line.endswith(base) and self.place(name, line) == path
        }
        return frozenset(found) or self.conffiles.get(path, frozenset())

    def modified(self, path: str) -> bool:
        entry = self.rootfs.get(path)
        digests = self._packaged_digests(path) if entry is not None and entry.is_file else frozenset[str]()
        if not digests:
            return False
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self.rootfs.chunks(path):
            digest.update(chunk)
        return digest.hexdigest() not in digests
