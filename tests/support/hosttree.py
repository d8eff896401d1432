"""A directory of the host as a root file system: entries by lstat(2), contents from disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from debloat.core.model import Entry, Kind
from debloat.image.rootfs import Rootfs

_KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIR,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFCHR: Kind.CHAR,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFSOCK: Kind.SOCKET,
}


class DiskContents:
    """Contents read from below a directory when asked for."""

    def __init__(self, base: str) -> None:
        self._base = base

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None:
        pass

    def read(self, path: str, limit: int | None = None) -> bytes:
        with open(self._base + path, "rb") as file:
            return file.read(-1 if limit is None else limit)

    def chunks(self, path: str) -> Iterator[bytes]:
        yield self.read(path)


def host_rootfs(base: Path | str, below: Iterable[str] = ("/",)) -> Rootfs:
    """The tree at `base` as a root; with `below` only these paths in it, with what is below and above them."""
    root = os.fspath(base).rstrip("/")
    entries = {"/": _entry(root, "/")}
    for path in below:
        top = path.rstrip("/")
        parts = top.split("/")[1:]
        for i in range(len(parts)):
            parent = "/" + "/".join(parts[: i + 1])
            if os.path.lexists(root + parent):
                entries[parent] = _entry(root, parent)
        if os.path.islink(root + top):
            continue
        for directory, directories, files in os.walk(root + top if top else (root or "/")):
            inside = directory[len(root) :].rstrip("/")
            for name in (*directories, *files):
                entries[f"{inside}/{name}"] = _entry(root, f"{inside}/{name}")
    return Rootfs(entries.values(), DiskContents(root))


def _entry(root: str, path: str) -> Entry:
    status = os.lstat(root + path)
    kind = _KINDS[stat.S_IFMT(status.st_mode)]
    return Entry(
        path,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_size if kind is Kind.FILE else 0,
        status.st_mtime_ns,
        os.readlink(root + path) if kind is Kind.SYMLINK else "",
    )
