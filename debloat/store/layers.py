"""Layers as a root file system, read in this process: nothing is unpacked, nothing of the image can act.

Layers are laid over each other as the OCI image specification says (layer.md): whiteouts and opaque directories hide
what the layers below have, and never what is in their own; of one name's several members the last counts. A way that
leads through a symbolic link ends where it does in the image, as containerd unpacks it; one that leads out of it is
refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

from msgspec.structs import replace

from debloat.core.model import Entry, Kind
from debloat.image.archive import file_part
from debloat.image.contents import read_at
from debloat.image.reader import volumes_without_directory, with_mount_points, without_engine_made
from debloat.image.rootfs import MAX_LINKS, Rootfs
from debloat.store.base import ImageStore, StoredImage, StoredLayer
from debloat.store.streams import MAX_BYTES, PIECE, damaged, is_compressed, uncompressed
from debloat.store.tar import MAX_PART, Damaged, Member, members

MAX_ENTRIES = 3_000_000
"""Members of all layers of an image together."""

MAX_STEPS = 20_000_000
"""Names looked at where members lie behind symbolic links."""
MAX_DEPTH = 500
"""Parts of a path."""

_WHITEOUT = ".wh."
_MARK = f"/{_WHITEOUT}"
_NOTES = f"/{_WHITEOUT * 2}"
"""What aufs notes for itself, and no other file system reads."""
_OPAQUE = ".wh..wh..opq"
_ODD = re.compile(r"(?:^|/)\.{0,2}(?:/|$)")
"""What a plain path has not: empty parts, `.` and `..`."""
_KINDS = {b"0": Kind.FILE, b"2": Kind.SYMLINK, b"3": Kind.CHAR, b"4": Kind.BLOCK, b"5": Kind.DIR, b"6": Kind.FIFO}
_DIR, _FILE, _SYMLINK = Kind.DIR, Kind.FILE, Kind.SYMLINK
_LINK = b"1"
_LATEST = (1 << 63) // 10**9


class Spooled(NamedTuple):
    """An uncompressed layer in a file of this machine: where it begins there, and its bytes."""

    file: BinaryIO
    start: int
    size: int


class LayerContents:
    """Contents of files in uncompressed layers, read where they lie, behind the `Contents` protocol."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[BinaryIO, int, int]] = {}
        """Layer's file, offset and size, by path."""

    def fetch(self, paths: Iterable[str], limit: int | None = None) -> None:
        pass

    def read(self, path: str, limit: int | None = None) -> bytes:
        file, offset, size = self.places[path]
        return read_at(file.fileno(), size if limit is None else min(size, limit), offset)

    def chunks(self, path: str) -> Iterator[bytes]:
        return file_part(*self.places[path])


class OpenLayers(NamedTuple):
    """A stored image, open: its root file system, and its layers uncompressed, by their diff IDs."""

    rootfs: Rootfs
    layers: Mapping[str, Spooled]


def open_layers(store: ImageStore, image: StoredImage, directory: Path, where: str) -> OpenLayers:
    """Read a stored image; layers are uncompressed into `directory`, and stay there for the contents.

    StoreError where a layer is not what the manifest and the configuration say, or no image can have it.
    """
    contents = LayerContents()
    overlay = Overlay(where, contents)
    budget = Budget(directory, where)
    with ThreadPoolExecutor(2) as pool:
        # Every layer once, also where an image has it twice.
        wanted = {layer.diff_id: layer for layer in image.layers}
        spooling = {key: pool.submit(spool, store, layer, directory, budget, where) for key, layer in wanted.items()}
        try:
            layers = {key: future.result() for key, future in spooling.items()}
            for layer in image.layers:
                overlay.add(layers[layer.diff_id])
        except BaseException:
            budget.stop()
            raise
    entries = overlay.entries()
    made = overlay.volumes_without_directory(image.image.config.volumes)
    return OpenLayers(Rootfs(without_engine_made(with_mount_points(entries), made), contents), layers)


class Budget:
    """The bytes of layers that may still be written: less than what is free, and no more than `MAX_BYTES`."""

    def __init__(self, directory: Path, where: str) -> None:
        self._left = min(MAX_BYTES, shutil.disk_usage(directory).free * 9 // 10)
        self._where = where

    def take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise damaged(self._where, "its layers are larger uncompressed than what is free in TMPDIR, or than 64 GiB")

    def stop(self) -> None:
        """Let those who still write come to an end."""
        self._left = -1


def lying(store: ImageStore, layer: StoredLayer) -> Spooled | None:
    """A layer that lies uncompressed on this machine, open, as nobody has verified it yet; None where it does not."""
    place = store.place(layer.blob)
    if place is None:
        return None
    try:
        file = place.path.open("rb")
    except OSError:
        return None  # whoever verifies it says why
    if is_compressed(read_at(file.fileno(), 8, place.offset)):
        file.close()
        return None
    return Spooled(file, place.offset, min(layer.blob.size, os.fstat(file.fileno()).st_size - place.offset))


def spool(store: ImageStore, layer: StoredLayer, directory: Path, budget: Budget, where: str) -> Spooled:
    """A layer uncompressed in a file, its digests held against what manifest and configuration say.

    One that lies uncompressed on this machine already is only read through.
    """
    path = directory / f"layer-{layer.diff_id.partition(':')[2]}.tar"
    digest, size = hashlib.new(layer.diff_id.partition(":")[0]), 0
    with contextlib.closing(store.open(layer.blob)) as raw, contextlib.ExitStack() as opened:
        found = lying(store, layer)
        if found is not None:
            opened.enter_context(found.file)
            same = layer.blob.digest == layer.diff_id  # then it is held against that as it is read
            while piece := raw.read(PIECE):
                if not same:
                    digest.update(piece)
            if not same:
                _must_be(layer, digest.hexdigest(), where)
            opened.pop_all()  # it stays open
            return found
        out = opened.enter_context(path.open("w+b", buffering=0))
        for piece in uncompressed(raw, where):
            budget.take(len(piece))
            digest.update(piece)
            out.write(piece)
            size += len(piece)
        _must_be(layer, digest.hexdigest(), where)
        opened.pop_all()
    return Spooled(out, 0, size)


def _must_be(layer: StoredLayer, found: str, where: str) -> None:
    if found != layer.diff_id.partition(":")[2]:
        raise damaged(where, f"a layer is not the one with the diff ID {layer.diff_id[:19]} of the configuration")


class Overlay:
    """The entries of layers laid over each other, from the lowest up."""

    def __init__(self, where: str, contents: LayerContents) -> None:
        self._where = where
        self._contents = contents
        self._nodes: dict[str, Entry] = {"/": Entry("/", _DIR, 0o755)}
        self._below: dict[str, set[str]] = {"/": set()}
        """The paths in each directory that has some."""
        self._groups: dict[int, set[str]] = {}
        self._headers: dict[int, Member] = {}
        """What was said last of each group of names: it holds for all of them, as for one file."""
        self._count = 0
        self._steps = 0

    def add(self, layer: Spooled) -> None:
        """Lay one more layer on top."""
        descriptor = layer.file.fileno()
        try:
            found = []
            for member in members(
                lambda size, at: os.pread(descriptor, size, at), layer.start + layer.size, layer.start
            ):
                self._count += 1
                if self._count > MAX_ENTRIES:
                    raise Damaged(f"more than {MAX_ENTRIES} members")
                found.append((member_path(member.name), member))
            for path, _ in found:
                if _MARK in path:
                    self._hide(path)
            for path, member in found:
                if _MARK not in path:
                    self._put(path, member, layer.file)
        except Damaged as error:
            raise damaged(self._where, f"a layer has {error}") from None

    def _hide(self, path: str) -> None:
        """Remove what a whiteout speaks of, all of it from layers below."""
        parent, _, name = path.rpartition("/")
        if _NOTES in path and name != _OPAQUE:
            return
        if _MARK in parent:
            raise Damaged(f"the path {path!r:.80}, which leads through a whiteout")
        directory = self._real(parent or "/", make=False)
        if name == _OPAQUE:
            for child in tuple(self._below.get(directory, ())) if directory else ():
                self._remove(child)
        else:
            gone = name.removeprefix(_WHITEOUT)
            if gone in ("", ".", ".."):
                raise Damaged(f"a whiteout of {gone!r}, which is no name")
            if directory:
                self._remove(_join(directory, gone))

    def _put(self, path: str, member: Member, file: BinaryIO) -> None:
        if path == "/":
            if member.kind != b"5":
                raise Damaged("a root that is no directory")
            self._nodes["/"] = _entry("/", _DIR, member)
            return
        parent = path.rpartition("/")[0] or "/"
        above = self._nodes.get(parent)
        if above is None or above.kind is not _DIR:
            parent = self._real(parent, make=True)
            path = _join(parent, path.rpartition("/")[2])
        if member.kind == _LINK:
            self._link(path, member)
            return
        kind = _KINDS[member.kind]
        there = self._nodes.get(path)
        if there is not None:
            if there.kind is _DIR and kind is _DIR:
                self._nodes[path] = _entry(path, kind, member)
                return
            self._remove(path)
        self._nodes[path] = _entry(path, kind, member)
        self._below.setdefault(parent, set()).add(path)
        if kind is _FILE:
            self._contents.places[path] = (file, member.offset, member.size)

    def _link(self, path: str, member: Member) -> None:
        """One more name of a file; what the header says of owner, mode and time holds for all its names."""
        target = member_path(member.link)
        directory = self._real(target.rpartition("/")[0] or "/", make=False)
        first = self._nodes.get(_join(directory, target.rpartition("/")[2])) if directory and target != "/" else None
        if first is None or first.kind is _DIR:
            raise Damaged(f"a hard link to {target!r:.80}, which is no file of the image")
        if first.path == path:
            raise Damaged(f"a hard link of {path!r:.80} to itself")
        if path in self._nodes:
            self._remove(path)
        number = first.hardlink or len(self._groups) + 1
        group = self._groups.setdefault(number, {first.path})
        group.add(path)
        self._headers[number] = member
        linked = replace(first, hardlink=number)
        self._nodes[first.path] = linked
        self._nodes[path] = replace(linked, path=path)
        self._below.setdefault(path.rpartition("/")[0] or "/", set()).add(path)
        if first.kind is _FILE:
            self._contents.places[path] = self._contents.places[first.path]

    def _remove(self, path: str) -> None:
        """Take an entry away, with all below it; nothing happens where there is none."""
        if path not in self._nodes:
            return
        self._below.get(path.rpartition("/")[0] or "/", set()).discard(path)
        stack = [path]
        while stack:
            here = stack.pop()
            stack.extend(self._below.pop(here, ()))
            entry = self._nodes.pop(here)
            self._contents.places.pop(here, None)
            if entry.hardlink:
                self._groups[entry.hardlink].discard(here)

    def _real(self, directory: str, *, make: bool) -> str:
        """The real path of a directory, links followed; empty where there is none, unless it is to be made."""
        entry = self._nodes.get(directory)
        if entry is not None and entry.kind is _DIR:
            return directory
        todo, here, links = directory.split("/")[::-1], "/", 0
        while todo:
            name = todo.pop()
            self._steps += 1
            if self._steps > MAX_STEPS:
                raise Damaged(f"ways through links of more than {MAX_STEPS} steps")
            if name in ("", "."):
                continue
            if name == "..":
                here = here.rpartition("/")[0] or "/"
                continue
            step = _join(here, name)
            entry = self._nodes.get(step)
            if entry is None and make:
                self._nodes[step] = entry = Entry(step, _DIR, 0o755)
                self._below.setdefault(here, set()).add(step)
            if entry is None:
                return ""
            if entry.kind is _SYMLINK:
                links += 1
                if links > MAX_LINKS:
                    raise Damaged(f"a way through {directory!r:.80} that runs in a circle")
                if entry.target.startswith("/"):
                    here = "/"
                todo.extend(entry.target.split("/")[::-1])
            elif entry.kind is not _DIR:
                if make:
                    raise Damaged(f"a name below {step!r:.80}, which is no directory")
                return ""
            else:
                here = step
        return here

    def entries(self) -> Iterator[Entry]:
        """What the layers come to."""
        return map(self.entry, self._nodes)

    def entry(self, path: str) -> Entry:
        """What they come to at a path; KeyError where that is nothing. A file with one name left is not linked."""
        entry = self._nodes[path]
        if (number := entry.hardlink) and (header := self._headers.get(number)):
            linked = entry.kind is _FILE and len(self._groups[number]) > 1
            return replace(
                entry,
                hardlink=number if linked else 0,
                uid=header.uid,
                gid=header.gid,
                mode=header.mode if entry.kind is not _SYMLINK else entry.mode,
                mtime=_nanoseconds(header),
            )
        return entry

    def volumes_without_directory(self, volumes: Iterable[str]) -> frozenset[str]:
        """As `debloat.image.reader.volumes_without_directory` has it."""
        return volumes_without_directory(volumes, lambda path: self._real(path, make=False), self._nodes)


def _join(directory: str, name: str) -> str:
    return f"/{name}" if directory == "/" else f"{directory}/{name}"


def member_path(name: bytes) -> str:
    """A member's name as an absolute path; Damaged for one that leads out of the root."""
    text = name.decode("utf-8", "surrogateescape").strip("/").removeprefix("./")
    if text in ("", "."):
        return "/"
    if _ODD.search(text):
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise Damaged(f"the path {text!r:.80}, which leads out of where it begins")
        text = "/".join(parts)
    if len(name) > MAX_PART and max(map(len, name.split(b"/"))) > MAX_PART:
        raise Damaged("a name longer than any file's")
    if text.count("/") >= MAX_DEPTH:
        raise Damaged(f"a path of more than {MAX_DEPTH} parts")
    return f"/{text}"


def _nanoseconds(member: Member) -> int:
    """A member's time; engines unpack one that is before the epoch, or no number of theirs holds, as the epoch."""
    return member.mtime * 10**9 if 0 <= member.mtime < _LATEST else 0


def _entry(path: str, kind: Kind, member: Member) -> Entry:
    xattrs = tuple((os.fsdecode(name), value) for name, value in member.xattrs) if member.xattrs else ()
    return Entry(
        path,
        kind,
        0o777 if kind is _SYMLINK else member.mode,
        member.uid,
        member.gid,
        member.size,
        _nanoseconds(member),
        member.link.decode("utf-8", "surrogateescape") if kind is _SYMLINK else "",
        0,
        member.device,
        xattrs,
    )
