"""Layers laid over each other in directories that overlayfs takes for layers, as they are laid over each other by name.

A layer's names are made where `Overlay` says that they are: what a link points at is followed by name only, in the
image, so that no archive reaches beyond its directory. Whiteouts (OCI image specification, layer.md) become
overlayfs's own: a device 0/0, and an attribute of the directory (kernel, filesystems/overlayfs.rst).
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, BinaryIO, Self

from debloat.core.model import Entry, Kind
from debloat.store.layers import LayerContents, Overlay, member_path
from debloat.store.tar import Damaged, Member

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_LINK = b"1"
FIELDS = Entry.__struct_fields__
_more = attrgetter(*FIELDS[2:])
_KINDS = {kind.value: kind for kind in Kind}
_SET_ID = stat.S_ISUID | stat.S_ISGID
"""What writing to a file takes out of its mode, but where the machine's root writes (CAP_FSETID in capabilities(7))."""
_OF_OVERLAY = (b"trusted.overlay.", b"user.overlay.")


class Stack(Overlay):
    """The layers of an image laid over each other; each name knows the number of the layer that has its content."""

    def __init__(self, where: str) -> None:
        self._numbers = LayerContents()
        super().__init__(where, self._numbers)
        self._layers: list[BinaryIO] = []
        """What stands for the file of each layer: the contents lie elsewhere."""

    def lay(self, rows: Iterable[Member], tree: Tree | None = None) -> None:
        """Lay one more layer on top, of these members; and into a directory, if there is one to be made of it."""
        self._layers.append(io.BytesIO())
        found = [(member_path(member.name), member) for member in rows]
        for path, _ in found:
            name = path.rpartition("/")[2]
            if name.startswith(_WHITEOUT):
                if tree is not None:
                    self._hide_on_disk(path, name, tree)
                self._hide(path)
        for path, member in found:
            if not path.rpartition("/")[2].startswith(_WHITEOUT):
                self._lay_one(path, member, tree)
        if tree is not None:
            tree.finish(self._nodes)

    def _lay_one(self, path: str, member: Member, tree: Tree | None) -> None:
        if path == "/":
            self._put(path, member, self._layers[-1])
            if tree is not None:
                tree.root(member)
            return
        path = self._at(path)
        origin = self._at(member_path(member.link)) if member.kind == _LINK else ""
        below = self.layer_of(origin) if origin in self._numbers.places else 0
        self._put(path, member, self._layers[-1])
        if tree is not None:
            tree.put(path, member, self._nodes, origin, below)
        if path in self._numbers.places:
            # A file that gets one more name comes up with all of them, as on an overlay that is written to.
            mine = (self._layers[-1], 0, 0)
            self._numbers.places.update(dict.fromkeys((path, origin) if origin else (path,), mine))

    def _at(self, path: str) -> str:
        """The path at which a name of the layer ends up."""
        parent = path.rpartition("/")[0] or "/"
        above = self._nodes.get(parent)
        if above is None or above.kind is not Kind.DIR:
            parent = self._real(parent, make=True)
        return f"{'' if parent == '/' else parent}/{path.rpartition('/')[2]}"

    def _hide_on_disk(self, path: str, name: str, tree: Tree) -> None:
        directory = self._real(path.rpartition("/")[0] or "/", make=False)
        if not directory:
            return
        if name == _OPAQUE:
            if self._below.get(directory):
                tree.opaque(directory, self._nodes)
        elif not name.startswith(_WHITEOUT * 2):
            hidden = f"{'' if directory == '/' else directory}/{name.removeprefix(_WHITEOUT)}"
            if hidden in self._nodes:
                tree.hide(hidden, self._nodes)

    def rows(self) -> tuple[int, list[tuple[Any, ...]]]:
        """All of it as plain values: how many layers, and the fields of each entry with the number of its layer."""
        numbers = {id(file): number for number, file in enumerate(self._layers)}
        places = self._numbers.places
        return len(self._layers), [
            (e.path, e.kind.value, *_more(e), numbers[id(places[e.path][0])] if e.path in places else -1)
            for e in self.entries()
        ]

    @classmethod
    def restored(cls, where: str, count: int, rows: Iterable[tuple[Any, ...]]) -> Self:
        """The same from `rows`, to be looked at: no layer can be laid on top."""
        stack = cls(where)
        stack._layers = [io.BytesIO() for _ in range(count)]
        places = [(file, 0, 0) for file in stack._layers]
        for path, kind, *more, number in rows:
            stack._nodes[path] = Entry(path, _KINDS[kind], *more)
            if number >= 0:
                stack._numbers.places[path] = places[number]
        return stack

    @property
    def nodes(self) -> dict[str, Entry]:
        """What the layers come to, by path; what holds of all names of a file is said by `entries`."""
        return self._nodes

    def layer_of(self, path: str) -> int:
        """The number of the layer in which the content of a file is, from the lowest up."""
        file = self._numbers.places[path][0]
        return next(number for number, known in enumerate(self._layers) if known is file)


class Tree:
    """The directory that one layer is unpacked into; `source` is a descriptor of its tar.

    `below` gives the directory of a lower layer by its number. `user` is for an overlay in a user namespace, where no
    device nodes can be made and some attributes not be set. `flat` is for a directory of several layers: what one of
    them hides is removed.
    """

    def __init__(
        self, directory: str, source: int, below: Callable[[int], str], *, user: bool, flat: bool = False
    ) -> None:
        self._root = directory
        self.source = source
        self._below = below
        self._user = user
        self._flat = flat
        self._opaque = "user.overlay.opaque" if user else "trusted.overlay.opaque"
        self._umask = os.umask(0o022)
        os.umask(self._umask)
        self._made = {"/"}
        """The directories that are there."""
        self._others: set[str] = set()
        self._absent: set[str] = set()
        """Names at which a whiteout stands."""
        self.size = 0

    def root(self, member: Member) -> None:
        self._dress(self._root + "/", member)

    def opaque(self, directory: str, nodes: dict[str, Entry]) -> None:
        """Hide what the layers below have in a directory."""
        self._parents(directory, nodes)
        if self._flat:
            for name in os.listdir(self._root + directory):
                self._clear(f"{'' if directory == '/' else directory}/{name}")
        else:
            os.setxattr(self._root + directory, self._opaque, b"y")

    def hide(self, path: str, nodes: dict[str, Entry]) -> None:
        """Hide a name of the layers below."""
        if self._flat:
            self._clear(path)
        elif path not in self._absent:
            self._parents(path.rpartition("/")[0] or "/", nodes)
            os.mknod(self._root + path, stat.S_IFCHR, os.makedev(0, 0))
            self._absent.add(path)

    def put(self, path: str, member: Member, nodes: dict[str, Entry], origin: str, below: int) -> None:
        """Make what a member says; `origin` is the first name of a hard link, in the layer of that number."""
        parent = path.rpartition("/")[0] or "/"
        if parent not in self._made:
            self._parents(parent, nodes)
        replaces = path in self._absent
        if path in self._others or replaces or (path in self._made and member.kind != b"5"):
            self._clear(path)
        if origin:
            self._raise(origin, below, nodes)
        _MAKERS[member.kind](self, self._root + path, path, member, self._root + origin)
        if member.kind == b"5":
            self._made.add(path)
            if replaces:
                os.setxattr(self._root + path, self._opaque, b"y")
        else:
            self._others.add(path)

    def finish(self, nodes: dict[str, Entry]) -> None:
        """Set the times of directories, which what is made in them changes."""
        for path in self._made:
            mtime = nodes[path].mtime if path in nodes else 0
            os.utime(self._root + path, ns=(mtime, mtime))

    def _parents(self, directory: str, nodes: dict[str, Entry]) -> None:
        """Make the directories of a path that are missing, as the layers below have them."""
        missing = []
        while directory not in self._made:
            missing.append(directory)
            directory = directory.rpartition("/")[0] or "/"
        for path in reversed(missing):
            entry = nodes[path]
            if path in self._absent:
                self._clear(path)
            os.mkdir(self._root + path, entry.mode)
            os.chown(self._root + path, entry.uid, entry.gid)
            os.chmod(self._root + path, entry.mode)
            self._made.add(path)

    def _clear(self, path: str) -> None:
        if path in self._made:
            shutil.rmtree(self._root + path)
            # Every name below it goes too.
            for known in (self._made, self._others, self._absent):
                known -= {p for p in known if p == path or p.startswith(path + "/")}
        else:
            os.unlink(self._root + path)
            self._absent.discard(path)
            self._others.discard(path)

    def _raise(self, path: str, below: int, nodes: dict[str, Entry]) -> None:
        """Bring a file of a lower layer into this one."""
        if path not in self._others and not self._flat:
            self._parents(path.rpartition("/")[0] or "/", nodes)
            source, place = self._below(below) + path, self._root + path
            shutil.copy2(source, place, follow_symlinks=False)
            status = os.lstat(source)
            os.chown(place, status.st_uid, status.st_gid, follow_symlinks=False)
            if not os.path.islink(place):
                os.chmod(place, stat.S_IMODE(status.st_mode))
            self._others.add(path)

    def _directory(self, place: str, path: str, member: Member, origin: str) -> None:
        if path not in self._made:
            os.mkdir(place, member.mode)
        self._dress(place, member)

    def _dress(self, place: str, member: Member) -> None:
        os.chown(place, member.uid, member.gid)
        os.chmod(place, member.mode)
        if member.xattrs:
            self._attributes(place, member)

    def _file(self, place: str, path: str, member: Member, origin: str) -> None:
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, member.mode)
        try:
            at, end = member.offset, member.offset + member.size
            while at < end:
                done = os.sendfile(handle, self.source, at, end - at)
                if not done:
                    raise Damaged("an end within a file")
                at += done
            if member.uid or member.gid:
                os.fchown(handle, member.uid, member.gid)
            if member.uid or member.gid or member.mode & (self._umask | _SET_ID):
                os.fchmod(handle, member.mode)
            if member.xattrs:
                self._attributes(place, member)
            os.utime(handle, ns=(member.mtime * 10**9,) * 2)
        finally:
            os.close(handle)
        self.size += member.size

    def _symlink(self, place: str, path: str, member: Member, origin: str) -> None:
        os.symlink(member.link, os.fsencode(place))
        if member.uid or member.gid:
            os.chown(place, member.uid, member.gid, follow_symlinks=False)
        os.utime(place, ns=(member.mtime * 10**9,) * 2, follow_symlinks=False)

    def _link(self, place: str, path: str, member: Member, origin: str) -> None:
        os.link(origin, place, follow_symlinks=False)
        if not os.path.islink(place):
            found = os.stat(place)
            if (found.st_uid, found.st_gid) != (member.uid, member.gid):
                os.chown(place, member.uid, member.gid)
            if stat.S_IMODE(found.st_mode) != member.mode:
                os.chmod(place, member.mode)
            if found.st_mtime_ns != member.mtime * 10**9:
                os.utime(place, ns=(member.mtime * 10**9,) * 2)

    def _node(self, place: str, path: str, member: Member, origin: str) -> None:
        if self._user and member.kind != b"6":
            # No device of a user's own can be made (user_namespaces(7)): an empty file stands in its place.
            os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o000))
            os.utime(place, ns=(member.mtime * 10**9,) * 2)
            return
        os.mknod(place, _NODES[member.kind] | member.mode, os.makedev(*member.device))
        os.chown(place, member.uid, member.gid)
        os.chmod(place, member.mode)
        os.utime(place, ns=(member.mtime * 10**9,) * 2)

    def _attributes(self, place: str, member: Member) -> None:
        for name, value in member.xattrs:
            if name.startswith(_OF_OVERLAY):
                continue
            try:
                os.setxattr(place, name, value, follow_symlinks=False)
            except OSError as error:
                if error.errno != errno.ENOTSUP and not (self._user and error.errno == errno.EPERM):
                    raise


_NODES = {b"3": stat.S_IFCHR, b"4": stat.S_IFBLK, b"6": stat.S_IFIFO}
_MAKERS: dict[bytes, Callable[[Tree, str, str, Member, str], None]] = {
    b"0": Tree._file,
    b"1": Tree._link,
    b"2": Tree._symlink,
    b"5": Tree._directory,
    **dict.fromkeys(_NODES, Tree._node),
}
