"""The directories of a root file system with all that is below them, in figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from debloat.core.model import Entry
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs


@dataclass(frozen=True, slots=True)
class Branch:
    """A directory: what is in and below it. Files are everything but directories, bytes of a hard-linked file once.

    `owner` is the package that more than half of the bytes are of, empty where there is none. `children` are the
    directories in it, sorted.
    """

    path: str
    files: int
    bytes: int
    owner: str
    children: tuple[Branch, ...]

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2] or "/"


def directories(rootfs: Rootfs, packages: Packages) -> Branch:
    """The root directory. One walk; a hard-linked file counts where its first name is."""
    return _branch(rootfs, packages, "/", set())[0]


def _branch(rootfs: Rootfs, packages: Packages, path: str, linked: set[int]) -> tuple[Branch, dict[str, int]]:
    """A directory, and how many bytes below it are whose."""
    files = size = 0
    whose: dict[str, int] = {}
    children = []
    for entry in _inside(rootfs, path):
        if entry.is_dir:
            child, theirs = _branch(rootfs, packages, entry.path, linked)
            children.append(child)
            files, size = files + child.files, size + child.bytes
            for owner, count in theirs.items():
                whose[owner] = whose.get(owner, 0) + count
            continue
        files += 1
        if entry.is_file and entry.hardlink not in linked:
            linked.update({entry.hardlink} - {0})
            size += entry.size
            owner = next(iter(packages.owners(entry.path)), "")
            whose[owner] = whose.get(owner, 0) + entry.size
    owner = next((name for name, count in whose.items() if 2 * count > size), "")
    return Branch(path, files, size, owner, tuple(children)), whose


def _inside(rootfs: Rootfs, directory: str) -> Iterator[Entry]:
    for name in rootfs.names(directory):
        entry = rootfs.get(f"/{name}" if directory == "/" else f"{directory}/{name}")
        if entry is not None:
            yield entry
