"""Contents of an image's files: where they lie on this machine, brought into one file, or in an archive of all."""

from __future__ import annotations

import os
import tarfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from debloat.core.errors import EngineUnavailable
from debloat.core.model import Entry, Kind
from debloat.image.archive import file_part

CHUNK_BYTES = 1 << 20
_BATCH_PATHS = 2000


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """These bytes of a file, or those up to its end, read without the offset that all users of a descriptor share
    (pread(2))."""
    data = os.pread(descriptor, size, offset) if size else b""
    while len(data) < size and (more := os.pread(descriptor, size - len(data), offset + len(data))):
        data += more
    return data


class Lying:
    """Contents of files that lie on this machine, one by one, behind the `Contents` protocol.

    `_open` gives a descriptor; what OSError it raises becomes EngineUnavailable with the hint `gone`.
    """

    gone = ""

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None:
        """Nothing has to be brought."""

    def read(self, path: str, limit: int | None = None) -> bytes:
        # Without a file object: of an application there are tens of thousands to read, each a few hundred bytes.
        descriptor = self._descriptor(path)
        try:
            size = os.fstat(descriptor).st_size
            return read_at(descriptor, size if limit is None else min(size, limit), 0)
        finally:
            os.close(descriptor)

    def chunks(self, path: str) -> Iterator[bytes]:
        with open(self._descriptor(path), "rb", buffering=0) as file:
            while piece := file.read(CHUNK_BYTES):
                yield piece

    def _descriptor(self, path: str) -> int:
        try:
            return self._open(path)
        except OSError as error:
            raise EngineUnavailable(f"cannot read {path!r} of the image: {error.strerror}", self.gone) from error

    def _open(self, path: str) -> int:
        raise KeyError(path)


class Below(Lying):
    """Contents of files below an open directory, which is closed with them. Paths are real ones, as everywhere."""

    gone = "was the image removed meanwhile? Run it again"

    def __init__(self, root: int) -> None:
        self._root = root

    def close(self) -> None:
        root, self._root = self._root, -1
        if root >= 0:
            os.close(root)

    def _open(self, path: str) -> int:
        return open_file(path.lstrip("/"), self._root)


def open_file(path: str, directory: int | None = None) -> int:
    """A descriptor to read a file or a directory by; no last link leads it elsewhere, and no pipe holds it up."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)


class Spool:
    """Contents in one file on disk, behind the `Contents` protocol; `_bring` gets those that are missing.

    Threads may share it: one at a time gets contents, and a content that is in the file never changes and is read at
    its own offset.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("w+b")
        self._end = 0
        self._places: dict[str, tuple[int, int]] = {}
        """Offset and size in the file, by path, of contents that have been written in full."""
        self._heads: dict[str, tuple[int, int]] = {}
        """The same of beginnings of contents; a longer beginning takes the place of a shorter one."""
        self._bringing = threading.Lock()

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None:
        missing = sorted({p for p in paths if self._ready(p, limit) is None})
        for start in range(0, len(missing), _BATCH_PATHS):
            with self._bringing:
                # Another thread may have brought some of them meanwhile.
                if batch := [p for p in missing[start : start + _BATCH_PATHS] if self._ready(p, limit) is None]:
                    brought = self._bring(batch, limit)
                    self._file.flush()
                    if limit is None:
                        self._places.update(brought)
                        continue
                    self._heads.update((path, place) for path, place in brought.items() if place[1] == limit)
                    self._places.update((path, place) for path, place in brought.items() if place[1] < limit)

    def _ready(self, path: str, limit: int | None) -> tuple[int, int] | None:
        """Where a content is, or a beginning that is long enough; None where it is not yet."""
        place = self._places.get(path)
        if place is None and limit is not None and (head := self._heads.get(path)) is not None and head[1] >= limit:
            return head
        return place

    def _bring(self, paths: list[str], limit: int | None) -> dict[str, tuple[int, int]]:
        """Append the contents of these paths, or their first `limit` bytes, to the file, and say where they are.

        Called by one thread at a time.
        """
        raise KeyError(paths[0])

    def _append(self, pieces: Iterable[bytes]) -> tuple[int, int]:
        start = self._end
        for piece in pieces:
            self._file.write(piece)
            self._end += len(piece)
        return start, self._end - start

    def read(self, path: str, limit: int | None = None) -> bytes:
        start, size = (limit is not None and self._ready(path, limit)) or self._place(path)
        return read_at(self._file.fileno(), size if limit is None else min(size, limit), start)

    def chunks(self, path: str) -> Iterator[bytes]:
        return file_part(self._file, *self._place(path))

    def _place(self, path: str) -> tuple[int, int]:
        self.fetch((path,))
        return self._places[path]


class ExportedContents(Spool):
    """Contents from the archive of a whole export, which is the spool; `entries` are those of the archive."""

    def __init__(self, spool: Path, stream: Iterable[bytes]) -> None:
        super().__init__(spool)
        for piece in stream:
            self._file.write(piece)
        self._file.flush()
        self.entries = list(self._take_apart())

    def _take_apart(self) -> Iterator[Entry]:
        kinds = {
            tarfile.REGTYPE: Kind.FILE,
            tarfile.AREGTYPE: Kind.FILE,
            tarfile.DIRTYPE: Kind.DIR,
            tarfile.SYMTYPE: Kind.SYMLINK,
            tarfile.FIFOTYPE: Kind.FIFO,
            tarfile.CHRTYPE: Kind.CHAR,
            tarfile.BLKTYPE: Kind.BLOCK,
        }
        entries: dict[str, Entry] = {}
        groups: dict[str, int] = {}
        self._file.seek(0)
        with tarfile.open(fileobj=self._file, mode="r:", errors="surrogateescape") as tar:
            for member in tar:
                path = _member_path(member.name)
                if member.islnk():
                    first = _member_path(member.linkname)
                    group = groups.setdefault(first, len(groups) + 1)
                    first_entry = entries[first]
                    entries[first] = replace(first_entry, hardlink=group)
                    entries[path] = replace(first_entry, path=path, hardlink=group)
                    self._places[path] = self._places[first]
                    continue
                kind = kinds.get(member.type)
                if kind is None:
                    continue
                if kind is Kind.FILE:
                    self._places[path] = (member.offset_data, member.size)
                entries[path] = _entry(path, kind, member)
        yield from entries.values()


def _member_path(name: str) -> str:
    """A tar member's name as an absolute path; `.` and `./` are the root."""
    name = name.removeprefix("./").strip("/")
    return "/" if name in ("", ".") else f"/{name}"


def _entry(path: str, kind: Kind, member: tarfile.TarInfo) -> Entry:
    prefix = "SCHILY.xattr."
    xattrs = tuple(
        sorted(
            (name.removeprefix(prefix), value.encode("utf-8", "surrogateescape"))
            for name, value in member.pax_headers.items()
            if name.startswith(prefix)
        )
    )
    seconds, _, fraction = str(member.pax_headers.get("mtime", int(member.mtime))).partition(".")
    mtime = int(seconds) * 10**9 + int((fraction + "0" * 9)[:9])
    device = (member.devmajor, member.devminor) if kind in (Kind.CHAR, Kind.BLOCK) else (0, 0)
    size = member.size if kind is Kind.FILE else 0
    mode = 0o777 if kind is Kind.SYMLINK else member.mode & 0o7777
    return Entry(path, kind, mode, member.uid, member.gid, size, mtime, member.linkname, 0, device, xattrs)
