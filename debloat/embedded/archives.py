"""Small archives into and out of a root file system. Every function runs with that root as its own (`view`).

So names are followed as programs in the container would follow them, and lead nowhere else.
"""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

_PIECE = 1 << 20


def untar(data: bytes, directory: str) -> None:
    """Unpack an archive of files, directories and links into a directory."""
    os.makedirs(directory, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for member in tar:
            place = f"{directory.rstrip('/')}/{member.name.strip('/')}"
            if member.isdir():
                os.makedirs(place, exist_ok=True)
            elif member.issym():
                os.symlink(member.linkname, place)
            elif member.isreg():
                source = tar.extractfile(member)
                assert source is not None
                with open(place, "wb", opener=_fresh) as file:
                    file.write(source.read())
            else:
                continue
            os.chown(place, member.uid, member.gid, follow_symlinks=False)
            if not member.issym():
                os.chmod(place, member.mode)


def _fresh(path: str, flags: int) -> int:
    if os.path.lexists(path):
        os.unlink(path)
    return os.open(path, flags | os.O_EXCL | os.O_NOFOLLOW, 0o600)


def write_tar(path: str, file: BinaryIO) -> None:
    """Write a path as an archive; sockets are left out, as of `docker cp`.

    Not by `TarFile.add`: it asks for the names of owners, and the C library would ask modules of the image for them.
    """
    first: dict[tuple[int, int], str] = {}
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, path, os.path.basename(path.rstrip("/")) or ".", first)


def _add(tar: tarfile.TarFile, path: str, name: str, first: dict[tuple[int, int], str]) -> None:
    status = os.lstat(path)
    info = tarfile.TarInfo(name)
    kind = _TYPES.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return
    info.type, info.mode, info.uid, info.gid = kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
    info.mtime = status.st_mtime_ns // 10**9
    info.pax_headers = {
        f"SCHILY.xattr.{key}": os.getxattr(path, key, follow_symlinks=False).decode("utf-8", "surrogateescape")
        for key in os.listxattr(path, follow_symlinks=False)
    }
    if kind == tarfile.SYMTYPE:
        info.linkname = os.readlink(path)
    elif kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        info.devmajor, info.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    elif kind == tarfile.REGTYPE:
        known = first.setdefault((status.st_dev, status.st_ino), name)
        if known != name:
            info.type, info.linkname = tarfile.LNKTYPE, known
        else:
            info.size = status.st_size
            with open(path, "rb", opener=_as_it_is) as source:
                tar.addfile(info, source)
            return
    tar.addfile(info)
    if kind == tarfile.DIRTYPE:
        for below in sorted(os.listdir(path)):
            _add(tar, f"{path.rstrip('/')}/{below}", f"{name}/{below}", first)


_TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def _as_it_is(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """A file from its beginning, closed at the end."""
    with file:
        file.seek(0)
        while piece := file.read(_PIECE):
            yield piece
