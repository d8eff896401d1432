"""A layer's tar as a directory that overlayfs takes for a layer, and as a list of what is in it.

Every name is made below the layer's own root, in directories that were made here: what a link of the layer points at is
followed by name only, so no archive reaches beyond its directory. Whiteouts (OCI image specification, layer.md) become
overlayfs's own: a device 0/0, an attribute of the directory (kernel, filesystems/overlayfs.rst).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from debloat.core.model import Entry, Kind
from debloat.embedded import tar

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_OWN = ".wh..wh."
_MOST_LINKS = 40
"""Links followed for one name, as the kernel has it (path_resolution(7))."""
_OF_OVERLAY = ("trusted.overlay.", "user.overlay.")


@dataclass(slots=True)
class Unpacked:
    """What a layer holds, by path in the order of its tar, and what it hides of the layers below."""

    entries: dict[str, Entry] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)
    opaque: list[str] = field(default_factory=list)
    size: int = 0


def unpack(stream: BinaryIO, root: str, *, user: bool) -> Unpacked:
    """Unpack a layer into the empty directory `root`. `TarError` for a damaged one, OSError where it cannot be written.

    `user`: for an overlay in a user namespace, where device nodes cannot be made and some attributes not be set.
    """
    return _Unpacking(stream, root, user).run()


class _Unpacking:
    def __init__(self, stream: BinaryIO, root: str, user: bool) -> None:
        self._reader = tar.Reader(stream)
        self._root = root
        self._user = user
        self._opaque = b"user.overlay.opaque" if user else b"trusted.overlay.opaque"
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._made = {"/"}
        """Directories that are there, by real path."""
        self._absent: set[str] = set()
        """Names at which a whiteout stands."""
        self._done = Unpacked()
        self._groups = 0

    def run(self) -> Unpacked:
        for member in self._reader:
            path = self._placed(member.name)
            name = path.rpartition("/")[2]
            if name.startswith(_WHITEOUT):
                self._whiteout(path, name)
            elif path == "/":
                self._directory(path, member)
            else:
                self._clear(path, keep_directory=member.kind is tar.DIRECTORY)
                _MAKERS[member.kind](self, path, member)
        self._reader.rest()
        # Last, for what is made in a directory changes its time; its own mode may forbid it.
        for path, entry in self._done.entries.items():
            if entry.kind is Kind.DIR:
                os.utime(self._root + path, ns=(entry.mtime, entry.mtime))
        return self._done

    def _placed(self, name: str) -> str:
        """The path below the layer's root that a name means, its parents made."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts or "\0" in name:
            raise tar.TarError(f"a name leads out of the layer: {name!r}")
        if not parts:
            return "/"
        parent = "/" + "/".join(parts[:-1])
        if parent not in self._made:
            parent = self._parent(parts[:-1])
        return f"{'' if parent == '/' else parent}/{parts[-1]}"

    def _parent(self, parts: list[str]) -> str:
        """A directory by its real path in the layer, made as far as it is missing."""
        here, ahead, links = "/", list(reversed(parts)), 0
        while ahead:
            part = ahead.pop()
            if part == "..":
                here = here.rpartition("/")[0] or "/"
                continue
            path = f"{'' if here == '/' else here}/{part}"
            entry = self._done.entries.get(path)
            if entry is not None and entry.kind is Kind.SYMLINK:
                links += 1
                if links > _MOST_LINKS:
                    raise tar.TarError("links of the layer lead in a circle")
                if entry.target.startswith("/"):
                    here = "/"
                ahead += reversed([word for word in entry.target.split("/") if word not in ("", ".")])
                continue
            if path not in self._made:
                if entry is not None:
                    raise tar.TarError("a file of the layer stands where one of its directories is to be")
                self._clear(path, keep_directory=True)
                os.mkdir(self._root + path, 0o755)
                self._made.add(path)
            here = path
        return here

    def _clear(self, path: str, *, keep_directory: bool) -> None:
        """Take away what an earlier member of the same name made; the last one counts."""
        if path in self._absent:
            self._absent.remove(path)
            os.unlink(self._root + path)
        elif path in self._made:
            if keep_directory:
                return
            shutil.rmtree(self._root + path)
            below = path + "/"
            self._made = {made for made in self._made if made != path and not made.startswith(below)}
            entries = self._done.entries
            for gone in [p for p in entries if p == path or p.startswith(below)]:
                del entries[gone]
        elif self._done.entries.pop(path, None) is not None:
            os.unlink(self._root + path)

    def _whiteout(self, path: str, name: str) -> None:
        parent = path.rpartition("/")[0] or "/"
        if name == _OPAQUE:
            os.setxattr(self._root + parent, self._opaque, b"y")
            self._done.opaque.append(parent)
        elif not name.startswith(_OWN):
            hidden = f"{'' if parent == '/' else parent}/{name.removeprefix(_WHITEOUT)}"
            # What the layer itself has of that name stays: it comes after the removal, wherever it stands in the tar.
            if hidden not in self._done.entries and hidden not in self._made and hidden not in self._absent:
                self._absent.add(hidden)
                os.mknod(self._root + hidden, stat.S_IFCHR, os.makedev(0, 0))
            self._done.hidden.append(hidden)

    def _note(self, path: str, kind: Kind, member: tar.Member, group: int = 0) -> None:
        self._done.entries[path] = Entry(
            path,
            kind,
            0o777 if kind is Kind.SYMLINK else member.mode,
            member.uid,
            member.gid,
            member.size,
            member.mtime,
            member.target if kind is Kind.SYMLINK else "",
            group,
            member.device,
            tuple(sorted(member.xattrs.items())),
        )

    def _directory(self, path: str, member: tar.Member) -> None:
        place = self._root + path
        if path not in self._made:
            os.mkdir(place, member.mode)
            self._made.add(path)
        self._own(place, member)
        os.chmod(place, member.mode)
        self._attributes(place, member)
        self._note(path, Kind.DIR, member)

    def _file(self, path: str, member: tar.Member) -> None:
        place = self._root + path
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, member.mode)
        try:
            for piece in self._reader.data():
                view = memoryview(piece)
                while view:
                    view = view[os.write(handle, view) :]
            if member.uid or member.gid:
                os.fchown(handle, member.uid, member.gid)
            if member.uid or member.gid or member.mode & self._umask:
                os.fchmod(handle, member.mode)
            if member.xattrs:
                self._attributes(place, member)
            os.utime(handle, ns=(member.mtime, member.mtime))
        finally:
            os.close(handle)
        self._done.size += member.size
        self._note(path, Kind.FILE, member)

    def _symlink(self, path: str, member: tar.Member) -> None:
        place = self._root + path
        os.symlink(member.target, place)
        self._own(place, member)
        os.utime(place, ns=(member.mtime, member.mtime), follow_symlinks=False)
        self._note(path, Kind.SYMLINK, member)

    def _link(self, path: str, member: tar.Member) -> None:
        origin = self._placed(member.target)
        first = self._done.entries.get(origin)
        if first is None or first.kind is Kind.DIR:
            raise tar.TarError(f"a hard link leads to what the layer has not: {member.target!r}")
        os.link(self._root + origin, self._root + path, follow_symlinks=False)
        group = first.hardlink
        if not group and first.kind is Kind.FILE:
            self._groups += 1
            group = self._groups
            self._done.entries[origin] = _named(first, origin, group)
        self._done.entries[path] = _named(first, path, group)

    def _node(self, path: str, member: tar.Member) -> None:
        place, kind = self._root + path, _NODES[member.kind]
        if self._user and kind is not Kind.FIFO:
            return  # no device of a user's own can be made (user_namespaces(7))
        os.mknod(place, _MODES[kind] | member.mode, os.makedev(*member.device))
        self._own(place, member)
        os.chmod(place, member.mode)
        os.utime(place, ns=(member.mtime, member.mtime))
        self._note(path, kind, member)

    @staticmethod
    def _own(place: str, member: tar.Member) -> None:
        if member.uid or member.gid:
            os.chown(place, member.uid, member.gid, follow_symlinks=False)

    def _attributes(self, place: str, member: tar.Member) -> None:
        for name, value in sorted(member.xattrs.items()):
            if name.startswith(_OF_OVERLAY):
                continue
            try:
                os.setxattr(place, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno != errno.ENOTSUP and not (self._user and error.errno == errno.EPERM):
                    raise


_NODES = {tar.CHAR: Kind.CHAR, tar.BLOCK_DEVICE: Kind.BLOCK, tar.FIFO: Kind.FIFO}
_MODES = {Kind.CHAR: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}
_MAKERS: dict[bytes, Callable[[_Unpacking, str, tar.Member], None]] = {
    tar.FILE: _Unpacking._file,
    tar.DIRECTORY: _Unpacking._directory,
    tar.SYMLINK: _Unpacking._symlink,
    tar.LINK: _Unpacking._link,
    **dict.fromkeys(_NODES, _Unpacking._node),
}


def _named(entry: Entry, path: str, group: int) -> Entry:
    return Entry(
        path,
        entry.kind,
        entry.mode,
        entry.uid,
        entry.gid,
        entry.size,
        entry.mtime,
        entry.target,
        group,
        entry.device,
        entry.xattrs,
    )
