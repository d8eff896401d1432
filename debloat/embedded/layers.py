"""Layers on disk, each unpacked once: a directory for overlayfs, and an index of what the layer's tar says.

A layer is known by its diff ID, the digest of its tar; what has another digest than it was asked for is not kept.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

from debloat.core.errors import EngineUnavailable
from debloat.core.model import Entry, Kind
from debloat.embedded.place import Place
from debloat.embedded.tar import TarError
from debloat.embedded.unpack import Unpacked, unpack

FORMAT = 1
"""Of an index; one of another format is read from the layer's tar anew."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer to be had: its diff ID, and its tar, uncompressed, as often as it is opened."""

    diff_id: str
    open: Callable[[], BinaryIO]


class Layers:
    """The layers below a place. Several processes may share it. `user`: for overlays in a user namespace."""

    def __init__(self, place: Place, *, user: bool) -> None:
        self._place = place
        self._user = user

    def has(self, diff_id: str) -> bool:
        return self._index_path(diff_id).exists()

    def directory(self, diff_id: str) -> Path:
        """The layer as overlayfs takes it. Names are short: those of all layers go into one page (mount(2))."""
        return self._place.layers / _short(diff_id)

    def _index_path(self, diff_id: str) -> Path:
        return self._place.indexes / f"{_short(diff_id)}.{FORMAT}.json"

    def add(self, layer: Layer) -> None:
        """Unpack a layer that is not there. EngineUnavailable where it is damaged or cannot be written."""
        draft = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._place.drafts))
        tree, index = draft / "tree", draft / "index"
        try:
            tree.mkdir(mode=0o755)
            tree.chmod(0o755)
            with layer.open() as stream:
                hashed = _Hashed(stream)
                found = unpack(cast(BinaryIO, hashed), str(tree), user=self._user)
            if hashed.digest() != layer.diff_id:
                raise TarError(f"its content has the digest {hashed.digest()}")
            index.write_text(json.dumps(_document(layer.diff_id, found), separators=(",", ":")), "utf-8")
            with self._place.locked():
                if not self.has(layer.diff_id):
                    target = self.directory(layer.diff_id)
                    if target.exists():
                        target.rename(draft / "old")  # of another format
                    tree.rename(target)
                    index.rename(self._index_path(layer.diff_id))
        except TarError as error:
            raise EngineUnavailable(
                f"cannot unpack the layer {layer.diff_id[:19]}: {error}", "pull or build the image anew"
            ) from error
        except OSError as error:
            raise EngineUnavailable(
                f"cannot unpack the layer {layer.diff_id[:19]}: {error.strerror or error}",
                f"is there space left in {self._place.home}?",
            ) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def read(self, diff_id: str) -> LayerIndex:
        """The index of a layer that is there."""
        try:
            document = json.loads(self._index_path(diff_id).read_bytes())
            if document["diff_id"] != diff_id:
                raise ValueError("of another layer")
            entries = {row[0]: _entry(row) for row in document["entries"]}
            return LayerIndex(entries, tuple(document["hidden"]), tuple(document["opaque"]))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise EngineUnavailable(
                f"cannot read the index of the layer {diff_id[:19]}: {error}", "`debloat gc --all` empties the store"
            ) from error

    def size(self, diff_id: str) -> int:
        """Bytes of the files of a layer; 0 for one that is not there."""
        try:
            with self._index_path(diff_id).open("rb") as file:
                head = file.read(200)
            return int(head.partition(b'"size":')[2].partition(b",")[0])
        except (OSError, ValueError):
            return 0

    def keep_only(self, diff_ids: Iterable[str]) -> list[str]:
        """Remove all other layers; the directories that went. Called by who has locked the place."""
        kept = {_short(diff_id) for diff_id in diff_ids}
        gone = []
        for index in self._place.indexes.iterdir():
            if index.name.partition(".")[0] not in kept:
                index.unlink()
        for tree in sorted(self._place.layers.iterdir()):
            if tree.name not in kept:
                draft = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=self._place.drafts))
                tree.rename(draft / "tree")
                gone.append(str(draft))
        return gone


@dataclass(frozen=True, slots=True)
class LayerIndex:
    """What a layer has, and what it hides of those below: names with all below them, and contents of directories."""

    entries: dict[str, Entry]
    hidden: tuple[str, ...]
    opaque: tuple[str, ...]


def merged(layers: Iterable[LayerIndex]) -> dict[str, tuple[Entry, int]]:
    """The entries of layers put together, lowest first, each with the number of the layer that has it."""
    found: dict[str, tuple[Entry, int]] = {}
    for number, layer in enumerate(layers):
        # A name that changes from a directory to something else hides what was below it.
        replaced = {
            path
            for path, entry in layer.entries.items()
            if entry.kind is not Kind.DIR and path in found and found[path][0].kind is Kind.DIR
        }
        hidden, opaque = replaced.union(layer.hidden), frozenset(layer.opaque)
        if found and (hidden or opaque):
            found = {path: what for path, what in found.items() if not _is_hidden(path, hidden, opaque)}
        groups = number << 32
        for path, entry in layer.entries.items():
            if entry.hardlink:
                entry = replace(entry, hardlink=groups + entry.hardlink)
            found[path] = entry, number
    return _with_parents(found)


def _is_hidden(path: str, hidden: set[str], opaque: frozenset[str]) -> bool:
    if path in hidden:
        return True
    while path != "/":
        path = path.rpartition("/")[0] or "/"
        if path in hidden or path in opaque:
            return True
    return False


def _with_parents(found: dict[str, tuple[Entry, int]]) -> dict[str, tuple[Entry, int]]:
    """With the directories that no layer has although something lies in them, as engines make them."""
    missing: dict[str, tuple[Entry, int]] = {}
    for path, (_, number) in found.items():
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            if path in found or path in missing:
                break
            missing[path] = Entry(path, Kind.DIR, 0o755), number
    return {**missing, **found} if missing else found


class _Hashed:
    """A stream whose digest is known when it has been read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._buffer = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        left = len(self._buffer) - self._at
        if not left:
            self._buffer, self._at = self._stream.read(_PIECE), 0
            self._hash.update(self._buffer)
            left = len(self._buffer)
        data = self._buffer[self._at : self._at + min(size, left)]
        self._at += len(data)
        return data

    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _short(diff_id: str) -> str:
    return diff_id.partition(":")[2][:24]


def _document(diff_id: str, found: Unpacked) -> dict[str, Any]:
    rows = [
        [
            *(e.path, e.kind.value, e.mode, e.uid, e.gid, e.size, e.mtime, e.target, e.hardlink, list(e.device)),
            [[name, value.hex()] for name, value in e.xattrs],
        ]
        for e in found.entries.values()
    ]
    return {
        "diff_id": diff_id,
        "size": found.size,
        "hidden": found.hidden,
        "opaque": found.opaque,
        "entries": rows,
    }


_KINDS = {kind.value: kind for kind in Kind}


def _entry(row: list[Any]) -> Entry:
    path, kind, mode, uid, gid, size, mtime, target, group, device, xattrs = row
    if xattrs:
        xattrs = tuple((name, bytes.fromhex(value)) for name, value in xattrs)
    return Entry(
        path, _KINDS[kind], mode, uid, gid, size, mtime, target, group, (device[0], device[1]), tuple(xattrs)
    )


class Files:
    """Contents of an image's files where its layers lie: the `Contents` that `debloat.image.rootfs`."""

    def __init__(self, layers: Layers, diff_ids: tuple[str, ...]) -> None:
        self._roots = [str(layers.directory(diff_id)) for diff_id in diff_ids]
        self._found = merged(layers.read(diff_id) for diff_id in diff_ids)

    def entries(self) -> Iterator[Entry]:
        """All entries of the image, in no order."""
        return (entry for entry, _ in self._found.values())

    def fetch(self, paths: Iterable[str]) -> None:
        """Nothing is to be brought."""

    def read(self, path: str, limit: int | None = None) -> bytes:
        with self._open(path) as file:
            return file.read() if limit is None else file.read(limit)

    def chunks(self, path: str) -> Iterator[bytes]:
        with self._open(path) as file:
            while piece := file.read(_PIECE):
                yield piece

    def _open(self, path: str) -> BinaryIO:
        _, number = self._found[path]
        try:
            return open(self._roots[number] + path, "rb", buffering=0, opener=_not_through_a_link)
        except OSError as error:
            raise EngineUnavailable(
                f"cannot read {path!r} of the image: {error.strerror}", "was its store emptied meanwhile? Run it again"
            ) from error


def _not_through_a_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
