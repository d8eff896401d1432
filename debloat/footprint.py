"""Size, file counts and attack surface of an image, for summaries and for the gate."""

from __future__ import annotations

from collections.abc import Container, Iterable

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.model import Entry, Kind
from debloat.core.shells import SHELLS
from debloat.image.rootfs import Rootfs
from debloat.rules import languages

PACKAGE_MANAGERS = frozenset({"apt", "apt-get", "aptitude", "dpkg"}).union(
    *(language.package_managers for language in languages.known())
)
_MODE_IGNORED = (Kind.SYMLINK, Kind.CHAR, Kind.BLOCK)
"""Kinds that are not reported as writable by all: links have no mode of their own, and device nodes are meant to be."""
_PROGRAM_DIRECTORIES = ("bin", "sbin")


class Footprint(Struct, frozen=True):
    """Size and attack surface of an image.

    `bytes` is the size of all regular files, each hard-linked file counted once; `files` counts all entries except
    directories; `packages` those in the package database. The other fields are paths, in the order of the entries.
    """

    bytes: int
    files: int
    packages: int
    setuid: tuple[str, ...]
    shells: tuple[str, ...]
    package_managers: tuple[str, ...]
    world_writable: tuple[str, ...]


def footprint(entries: Iterable[Entry], rootfs: Rootfs, packages: int) -> Footprint:
    """The footprint of some entries of a root file system; `packages` is the number in its package database."""
    setuid, world_writable, candidates = list[str](), list[str](), list[Entry]()
    size, files, counted_hardlinks, executable = 0, 0, set[int](), set[str]()
    for entry in entries:
        files += entry.kind is not Kind.DIR
        if entry.is_file and entry.hardlink not in counted_hardlinks:
            size += entry.size
            counted_hardlinks.update({entry.hardlink} - {0})
        if entry.is_file and entry.mode & 0o6000:
            setuid.append(entry.path)
        if entry.kind not in _MODE_IGNORED and entry.mode & 0o002 and not entry.mode & 0o1000:
            world_writable.append(entry.path)
        if entry.executable:
            executable.add(entry.path)
        if entry.name in SHELLS or entry.name in PACKAGE_MANAGERS:
            candidates.append(entry)
    programs = [e for e in candidates if is_program(e, rootfs, executable)]
    return Footprint(
        bytes=size,
        files=files,
        packages=packages,
        setuid=tuple(setuid),
        shells=tuple(e.path for e in programs if e.name in SHELLS),
        package_managers=tuple(e.path for e in programs if e.name in PACKAGE_MANAGERS),
        world_writable=tuple(world_writable),
    )


def image_footprint(rootfs: Rootfs, packages: int) -> Footprint:
    """The footprint of a whole root file system. Plain files are only counted, without an `Entry` for each."""
    files, size, others = rootfs.tree.partition_plain(
        lambda kind, mode: kind is Kind.FILE and not mode & _EXAMINED_BITS
    )
    result = footprint((e for path in others if (e := rootfs.get(path)) is not None), rootfs, packages)
    return replace(result, bytes=result.bytes + size, files=result.files + files)


_EXAMINED_BITS = 0o6113
"""Mode bits for which a file is examined and not only counted: setuid, setgid, executable, writable by all."""


def is_program(entry: Entry, rootfs: Rootfs, executable: Container[str]) -> bool:
    """Whether an entry in a directory of programs is executable, or a link to an executable file among the entries."""
    parent = entry.path.rpartition("/")[0]
    if parent.rpartition("/")[2] not in _PROGRAM_DIRECTORIES or not (entry.is_file or entry.is_symlink):
        return False
    real = rootfs.lookup(entry.path)
    return real is not None and real.path in executable
