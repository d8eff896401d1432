"""Size, file counts and attack surface of an image, for summaries and for the gate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from debloat.core.model import Entry, Kind
from debloat.core.shells import SHELLS
from debloat.image.rootfs import Rootfs
from debloat.rules import languages

PACKAGE_MANAGERS = frozenset({"apt", "apt-get", "aptitude", "dpkg"}).union(
    *(language.package_managers for language in languages.known())
)
_NO_CONTENT = (Kind.SYMLINK, Kind.CHAR, Kind.BLOCK)
"""Links have no mode of their own; device nodes are writable by all on purpose, and the engine makes its own."""
_PROGRAM_DIRECTORIES = ("bin", "sbin")


@dataclass(frozen=True, slots=True)
class Footprint:
    """An image in figures.

    `bytes` are those of regular files, a hard-linked file once; `files` counts all entries but directories; `packages`
    those in the package database. The rest are paths, sorted as the entries were.
    """

    bytes: int
    files: int
    packages: int
    setuid: tuple[str, ...]
    shells: tuple[str, ...]
    package_managers: tuple[str, ...]
    world_writable: tuple[str, ...]


def footprint(entries: Iterable[Entry], rootfs: Rootfs, packages: int) -> Footprint:
    """The footprint of some entries of a root file system; `packages` is how many its database names."""
    setuid, world_writable, named = list[str](), list[str](), list[Entry]()
    size, files, linked, executable = 0, 0, set[int](), set[str]()
    for entry in entries:
        files += entry.kind is not Kind.DIR
        if entry.is_file and entry.hardlink not in linked:
            size += entry.size
            linked.update({entry.hardlink} - {0})
        if entry.is_file and entry.mode & 0o6000:
            setuid.append(entry.path)
        if entry.kind not in _NO_CONTENT and entry.mode & 0o002 and not entry.mode & 0o1000:
            world_writable.append(entry.path)
        if entry.executable:
            executable.add(entry.path)
        if entry.name in SHELLS or entry.name in PACKAGE_MANAGERS:
            named.append(entry)
    programs = [e for e in named if _is_program(e, rootfs, executable)]
    return Footprint(
        bytes=size,
        files=files,
        packages=packages,
        setuid=tuple(setuid),
        shells=tuple(e.path for e in programs if e.name in SHELLS),
        package_managers=tuple(e.path for e in programs if e.name in PACKAGE_MANAGERS),
        world_writable=tuple(world_writable),
    )


def of_image(rootfs: Rootfs, packages: int) -> Footprint:
    """The footprint of a whole root file system. Most files only count, and no `Entry` is made for them."""
    files, size, others = rootfs.tree.partition_plain(lambda kind, mode: kind is Kind.FILE and not mode & _LOOKED_AT)
    found = footprint((e for path in others if (e := rootfs.get(path)) is not None), rootfs, packages)
    return replace(found, bytes=found.bytes + size, files=found.files + files)


_LOOKED_AT = 0o6113
"""Bits of a mode for which a file is looked at: setuid, setgid, executable, writable by all."""


def _is_program(entry: Entry, rootfs: Rootfs, executable: set[str]) -> bool:
    """Whether an entry in a directory of programs is executable, or a link to an executable file among the entries."""
    parent = entry.path.rpartition("/")[0]
    if parent.rpartition("/")[2] not in _PROGRAM_DIRECTORIES or not (entry.is_file or entry.is_symlink):
        return False
    real = rootfs.lookup(entry.path)
    return real is not None and real.path in executable
