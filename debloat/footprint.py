"""What an image amounts to, for summaries and for the gate: size, files, packages, and what an attacker would like."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from debloat.carve import content_size
from debloat.model import Entry, Kind
from debloat.rootfs import Rootfs

SHELLS = frozenset({"sh", "ash", "bash", "dash", "rbash", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "busybox"})
PACKAGE_MANAGERS = frozenset(
    {
        "apt",
        "apt-get",
        "aptitude",
        "dpkg",
        "pip",
        "pip3",
        "npm",
        "npx",
        "yarn",
        "pnpm",
        "corepack",
        "gem",
        "cpan",
        "cargo",
    }
)
_PROGRAM_DIRECTORIES = ("bin", "sbin")


@dataclass(frozen=True, slots=True)
class Footprint:
    """An image in figures: bytes of regular files (a hardlinked file once), files, packages, and lists of paths."""

    bytes: int
    files: int
    packages: int
    setuid: tuple[str, ...]
    shells: tuple[str, ...]
    package_managers: tuple[str, ...]
    world_writable: tuple[str, ...]


def footprint(entries: Iterable[Entry], rootfs: Rootfs, packages: int) -> Footprint:
    """The footprint of some entries of a root file system; `packages` is how many its database names."""
    listed = list(entries)
    there = {e.path for e in listed}
    programs = [e for e in listed if _is_program(e, rootfs, there)]
    return Footprint(
        bytes=content_size(listed),
        files=sum(e.kind is not Kind.DIR for e in listed),
        packages=packages,
        setuid=tuple(e.path for e in listed if e.is_file and e.mode & 0o6000),
        shells=tuple(e.path for e in programs if e.name in SHELLS),
        package_managers=tuple(e.path for e in programs if e.name in PACKAGE_MANAGERS),
        world_writable=tuple(e.path for e in listed if not e.is_symlink and e.mode & 0o002 and not e.mode & 0o1000),
    )


def _is_program(entry: Entry, rootfs: Rootfs, there: set[str]) -> bool:
    """Whether an entry is a program by its name: in a directory for programs, executable, or a link to one here."""
    parent = entry.path.rpartition("/")[0]
    if parent.rpartition("/")[2] not in _PROGRAM_DIRECTORIES or not (entry.is_file or entry.is_symlink):
        return False
    real = rootfs.lookup(entry.path)
    return real is not None and real.executable and real.path in there
