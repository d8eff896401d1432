"""The package database of a minimal image: what stays in it, and what its files say.

A stanza stays iff a file of the package other than documentation and directories stays. Of its text only `Conffiles`
is edited, which lists files: those that are gone are not in it.
`.list`, `.md5sums`, `.conffiles`, `diversions`, `statoverride` and `alternatives/*` speak of what stays only.
Not kept, since nothing reads them in a running container: maintainer scripts, `triggers`, `shlibs`, `symbols`,
`templates`, `config`, `available`, locks and `*-old`. Readers of the result: dpkg-query, trivy, syft, Clair.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

from debloat.core.errors import InternalError
from debloat.core.model import Entry, Kind
from debloat.debian import control
from debloat.debian.documentation import copyright_file, is_documentation
from debloat.debian.dpkg import ADMIN, INFO, Database
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs
from debloat.image.tree import Tree

IDENTITY = ("/etc/os-release", "/usr/lib/os-release", "/etc/debian_version")
"""What tells the distribution and its release: os-release(5); scanners find Debian by these."""

ALIASES = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libo32", "/libx32")
"""Links of merged /usr (file-hierarchy(7)): packages list `/bin/dash`, which is there only through them."""

FRAME = (
    f"{ADMIN}/status",
    f"{ADMIN}/arch",
    f"{ADMIN}/diversions",
    f"{ADMIN}/statoverride",
    f"{ADMIN}/updates",
    f"{INFO}/format",
)
"""Files of the database that belong to no one package; `updates` is an empty directory that dpkg scans."""

INFO_KEPT = ("list", "md5sums", "conffiles")
"""Info files that say which files a package has: scanners and dpkg-query read these."""

State = Literal["kept", "partly", "gone"]


class PackageShare(Struct, frozen=True):
    """How much of a package stays: files other than directories, and their bytes (a hard-linked file once).

    `kept`: all but documentation stays; `gone`: nothing but documentation stays, and so has no stanza.
    """

    name: str
    version: str
    source: str
    kept_files: int
    total_files: int
    kept_bytes: int
    total_bytes: int
    state: State


class Pruned(Struct, frozen=True):
    """The database of the minimal image.

    `contents` are the new bytes of kept files (their metadata stay the original's), `dropped` kept files that
    would say an untruth, such as the lists of packages that are gone: they must not be in the image.
    """

    contents: Mapping[str, bytes] = MappingProxyType({})
    dropped: frozenset[str] = frozenset()
    shares: tuple[PackageShare, ...] = ()


def counts(entry: Entry) -> bool:
    """Whether a kept entry makes its package one that is in the image."""
    return not entry.is_dir and not is_documentation(entry.path)


def prune(rootfs: Rootfs, packages: Packages, kept: Collection[str]) -> Pruned:
    """The truth about an image of which the paths `kept` stay (as `DebianDatabase` closed them).

    Raises InternalError when the result does not account for a kept file of a package.
    """
    if not isinstance(packages, Database):
        return Pruned()
    kept = kept if isinstance(kept, set | frozenset) else frozenset(kept)
    mine: dict[str, set[int]] = {}
    staying = set[str]()
    for path in kept:
        names = packages.listing(path)
        entry = rootfs.get(path) if names else None
        if entry is not None and not entry.is_dir:
            for name in names:
                mine.setdefault(name, set()).add(rootfs.tree.number(path))
            staying.update(names if counts(entry) else ())
    staying |= _licensors(packages, staying, kept)
    contents = {path: data for path, data in _contents(packages, staying, kept) if path in kept}
    _check(packages, contents, kept)
    dropped = frozenset(_untrue(packages, staying) & kept)
    shares = tuple(_share(packages, name, mine.get(name, set()), name in staying) for name in packages.records)
    return Pruned(MappingProxyType(dict(sorted(contents.items()))), dropped, shares)


def _licensors(database: Database, staying: Collection[str], kept: Collection[str]) -> set[str]:
    """The packages with the licence of one that stays: `/usr/share/doc/libgcc-s1` is a link to gcc-base's."""
    paths = set[str]()
    for name in staying:
        real = database.rootfs.resolve(copyright_file(database.records[name].package.package)).path
        if real is not None and real in kept:
            paths.update(database.listing(real))
    return paths


def _contents(database: Database, staying: Collection[str], kept: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Every file of the new database with its bytes."""
    stanzas: dict[str, list[bytes]] = {record.origin: [] for record in database.records.values()}
    for name, record in database.records.items():
        if name in staying:
            raw = control.without_conffiles(record.stanza.raw, functools.partial(_stays, database, name, kept))
            stanzas[record.origin].append(raw + b"\n")
            yield from _info(database, name, kept)
    for origin, texts in stanzas.items():
        if texts or origin.endswith("/status"):
            yield origin, b"\n".join(texts) + (b"\n" if texts and origin.endswith("/status") else b"")
    yield from _shared_files(database, kept)


def _stays(database: Database, name: str, kept: Collection[str], path: str) -> bool:
    """Whether a file that a package lists as `path` is in the minimal image."""
    return database.place(name, path) in kept


def _info(database: Database, name: str, kept: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The info files of a package that stays. An empty `.md5sums` stays, for dpkg --audit asks for the file."""
    info = database.records[name].info
    if database.rootfs.is_file(f"{info}.list"):
        lines = ("/." if line == "/" else line for line in _surviving_lines(database, name, kept))
        yield f"{info}.list", _text(lines)
    sums = ((digest, path) for digest, path in database.digests(name) if _stays(database, name, kept, path))
    yield f"{info}.md5sums", _text(f"{digest}  {path.lstrip('/')}" for digest, path in sums)
    conffiles = control.conffiles(database.content(f"{info}.conffiles"))
    yield f"{info}.conffiles", _text(line for line in conffiles if _stays(database, name, kept, line))


def _surviving_lines(database: Database, name: str, kept: Collection[str]) -> Iterator[str]:
    """The lines of a `.list` whose files stay, with the directories above them.

    A directory that the package brings empty is listed for its own sake and counts like a file.
    """
    lines = database.listed(name)
    parents = {line.rpartition("/")[0] or "/" for line in lines if line != "/"}
    needed = {"/"}
    for line in lines:
        if line not in parents and database.place(name, line) in kept:
            while line not in needed:
                needed.add(line)
                line = line.rpartition("/")[0] or "/"
    return (line for line in lines if line in needed)


def _shared_files(database: Database, kept: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """Diversions, overrides of modes, and alternatives, as far as they speak of what stays."""
    there = _is_kept(database.rootfs, kept)
    diversions = control.diversions(database.content(f"{ADMIN}/diversions"))
    triples = (d for d in diversions if there(d.path) or there(d.to))
    yield f"{ADMIN}/diversions", _text(line for d in triples for line in (d.path, d.to, d.package))
    overrides = control.text(database.content(f"{ADMIN}/statoverride")).split("\n")
    yield f"{ADMIN}/statoverride", _text(o for o in overrides if o.count(" ") >= 3 and there(o.split(" ", 3)[3]))
    for path in sorted(set(database.alternatives.values()) - {""}):
        group = control.alternative(path.rpartition("/")[2], database.content(path))
        if group is not None:
            yield path, _surviving_group(group, there).render()


def _surviving_group(group: control.Alternative, there: Callable[[str], bool]) -> control.Alternative:
    """A group of alternatives with the links and choices that stay; the master link stands for the group."""
    columns = [at for at, (_, link) in enumerate(group.links) if at == 0 or there(link)]
    choices = (
        (priority, tuple(paths[at] if there(paths[at]) else "" for at in columns))
        for priority, paths in group.choices
        if there(paths[0])
    )
    return control.Alternative(group.mode, tuple(group.links[at] for at in columns), tuple(choices))


def _is_kept(rootfs: Rootfs, kept: Collection[str]) -> Callable[[str], bool]:
    return lambda path: path != "" and rootfs.resolve(path, follow=False).path in kept


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _untrue(database: Database, staying: Collection[str]) -> set[str]:
    """Files of the database that speak of packages which are gone, and old copies of it."""
    gone = {record.info for name, record in database.records.items() if name not in staying}
    stay = {record.info for name, record in database.records.items() if name in staying}
    paths = {path for path in database.rootfs.glob(f"{INFO}/*") if path.rpartition(".")[0] in gone - stay}
    paths.update(r.origin for n, r in database.records.items() if n not in staying and "/status.d/" in r.origin)
    paths.update(f"{record.info}.md5sums" for n, record in database.records.items() if n not in staying)
    paths.update(database.rootfs.glob(f"{ADMIN}/*-old"), database.rootfs.glob(f"{ADMIN}/available"))
    return paths


def _check(database: Database, contents: Mapping[str, bytes], kept: Collection[str]) -> None:
    """Read the new database back: every kept file of a package must be listed by a package that has a stanza."""
    origins = sorted({record.origin for record in database.records.values()} & contents.keys())
    if not origins:
        return
    stanzas = {s.package.name for origin in origins for s in control.stanzas(contents[origin])}
    listed = {name: _told(database, name, contents) for name in stanzas}
    for path in sorted(kept):
        entry = database.rootfs.get(path)
        if entry is None or not counts(entry) or path in database.alternatives:
            continue
        for name in database.owners(path):
            if name not in stanzas or path not in listed[name]:
                raise InternalError(f"the minimal image's package database does not account for {path!r} of {name}")


def _told(database: Database, name: str, contents: Mapping[str, bytes]) -> frozenset[str]:
    """The paths that the new database gives to a package."""
    info = database.records[name].info
    lines = control.listed(contents.get(f"{info}.list", b""))
    if f"{info}.list" not in database.rootfs:
        lines = tuple(path for _, path in control.md5sums(contents.get(f"{info}.md5sums", b"")))
    return frozenset(place for line in lines if (place := database.place(name, line)) is not None)


def _share(database: Database, name: str, staying: Collection[int], stays: bool) -> PackageShare:
    """The share of a package whose files of the numbers `staying` stay."""
    tree, package = database.rootfs.tree, database.records[name].package
    files = [number for number in database.numbers(name) if tree.kind(number) is not Kind.DIR]
    whole = stays and all(number in staying or is_documentation(tree.path(number)) for number in files)
    state: State = "gone" if not stays else "kept" if whole else "partly"
    return PackageShare(
        name,
        package.version,
        package.source,
        len(staying),
        len(files),
        _bytes(tree, staying),
        _bytes(tree, files),
        state,
    )


def _bytes(tree: Tree, numbers: Iterable[int]) -> int:
    """The size of files, those with several names counted once."""
    size, linked = 0, dict[int, int]()
    for number in numbers:
        if tree.plain(number):
            size += tree.size_of(number)
        else:
            entry = tree.entry(number, tree.path(number))
            linked[entry.hardlink or -number - 1] = entry.size
    return size + sum(linked.values())
