"""The directories of a root file system with all that is below them, in figures."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs


class Branch(Struct, frozen=True):
    """A directory: what is in and below it. Files are everything but directories, bytes of a hard-linked file once.

    `kept_files` and `kept_bytes` are what of it stays. `owner` is the package that more than half of the bytes are of,
    empty where there is none. `children` are the directories in it, sorted.
    """

    path: str
    files: int
    bytes: int
    owner: str
    children: tuple[Branch, ...]
    kept_files: int = 0
    kept_bytes: int = 0

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2] or "/"


class _Sum(Struct):
    """A directory while it is added up."""

    files: int = 0
    bytes: int = 0
    kept_files: int = 0
    kept_bytes: int = 0
    whose: dict[str, int] = {}
    children: list[Branch] = []

    def add(self, other: _Sum) -> None:
        self.files += other.files
        self.bytes += other.bytes
        self.kept_files += other.kept_files
        self.kept_bytes += other.kept_bytes
        for name, size in other.whose.items():
            self.whose[name] = self.whose.get(name, 0) + size


def _none(path: str) -> bool:
    return False


def directories(rootfs: Rootfs, packages: Packages, kept: Callable[[str], bool] = _none) -> Branch:
    """The root directory; `kept` says which paths stay. A hard-linked file counts where its first name is.

    However deep directories lie in one another, nothing recurses.
    """
    sums = {"/": _Sum()}
    linked = set[int]()
    for entry in rootfs.entries():
        if entry.is_dir:
            _at(sums, entry.path)
            continue
        size = entry.size if entry.is_file and entry.hardlink not in linked else 0
        linked.update({entry.hardlink} - {0})
        found = _at(sums, entry.path.rpartition("/")[0] or "/")
        found.files += 1
        found.bytes += size
        if kept(entry.path):
            found.kept_files += 1
            found.kept_bytes += size
        owner = next(iter(packages.owners(entry.path)), "")
        found.whose[owner] = found.whose.get(owner, 0) + size
    for path in sorted(sums.keys() - {"/"}, key=lambda path: path.count("/"), reverse=True):
        parent = sums[path.rpartition("/")[0] or "/"]
        parent.add(sums[path])
        parent.children.append(_branch(path, sums.pop(path)))
    return _branch("/", sums["/"])


def _at(sums: dict[str, _Sum], path: str) -> _Sum:
    """The sum of a directory, which with all above it is there then."""
    found = sums.get(path)
    if found is None:
        found = sums[path] = _Sum()
        above = path.rpartition("/")[0] or "/"
        while above not in sums:
            sums[above] = _Sum()
            above = above.rpartition("/")[0] or "/"
    return found


def _branch(path: str, found: _Sum) -> Branch:
    owner = next((name for name, size in sorted(found.whose.items()) if 2 * size > found.bytes), "")
    children = tuple(sorted(found.children, key=lambda branch: branch.path))
    return Branch(path, found.files, found.bytes, owner, children, found.kept_files, found.kept_bytes)
