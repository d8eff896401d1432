"""An image that was cut from another, shown over the layers of that one: it is neither written nor removed again.

What differs from the other becomes one more layer, in memory: overlayfs's whiteouts for what is gone, and the few
entries that are new. Everything else is what lies in the other's layers, and is held against the image's own layer
first, header by header and byte by byte, so that what is seen is what the layer says. The layer is mounted where nobody
else sees it, and goes with the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.model import Entry, Image
from debloat.core.reference import full_name
from debloat.embedded import syscalls
from debloat.embedded.layers import Files
from debloat.embedded.namespace import Namespace
from debloat.embedded.place import Place
from debloat.embedded.unpack import Stack, Tree
from debloat.engine.run_id import new_run
from debloat.image.archive import file_part
from debloat.image.carve import image_id
from debloat.image.oci import Written
from debloat.store.documents import image_of
from debloat.store.layers import member_path
from debloat.store.tar import Damaged, Member, members

MOST = 64 << 20
"""Bytes that the layer in memory may have; an image that differs in more is unpacked as any other."""


class Cutout(Struct, frozen=True):
    """An image that is shown. `layers` are directories below the place's, the lowest first; `top` is the last."""

    image: Image
    written: Written
    layers: tuple[str, ...]
    top: Path


class Cutouts:
    """The images that are shown, by name. `user` is for overlays in a user namespace."""

    def __init__(self, place: Place, namespace: Namespace, *, user: bool) -> None:
        self._place = place
        self._namespace = namespace
        self._user = user
        self._shown: dict[str, Cutout] = {}

    def __len__(self) -> int:
        return len(self._shown)

    def find(self, image: str) -> Cutout | None:
        """The image of this name or id."""
        by_id = (shown for shown in self._shown.values() if shown.image.id == image)
        return self._shown.get(full_name(image)) or next(by_id, None)

    def show(self, written: Written, name: str, other: Files, below: Iterable[str]) -> bool:
        """Show an image of one layer, under a name, over the layers of another; False where that cannot be."""
        if len(written.layers) != 1:
            return False
        (stored,) = written.layers
        image = image_of(written.config, image_id(written.config), name, (name,), stored.layer.content)
        top = Path(tempfile.mkdtemp(prefix=f"{new_run()}-", dir=self._place.drafts))
        try:
            with stored.file.open("rb", buffering=0) as tar:
                self._namespace.call(lambda: _fill(top, tar, other, self._user))
        except (OSError, Damaged):
            self._remove(top)
            return False
        except BaseException:
            self._remove(top)
            raise
        layers = (*below, os.path.relpath(top, self._place.layers))
        self._shown[full_name(name)] = Cutout(image, written, layers, top)
        return True

    def drop(self, name: str) -> None:
        """Show an image no longer; nothing happens where none of this name is shown."""
        shown = self._shown.pop(full_name(name), None)
        if shown is not None:
            self._remove(shown.top)

    def close(self) -> None:
        """Show none any longer."""
        for name in list(self._shown):
            self.drop(name)

    def _remove(self, top: Path) -> None:
        def gone() -> None:
            with contextlib.suppress(OSError):
                syscalls.unmount(str(top))

        self._namespace.call(gone)
        shutil.rmtree(top, ignore_errors=True)


def _fill(top: Path, tar: BinaryIO, other: Files, user: bool) -> None:
    syscalls.mount("tmpfs", str(top), "tmpfs", 0, f"mode=755,size={MOST}")
    found = list(members(lambda size, at: os.pread(tar.fileno(), size, at), os.fstat(tar.fileno()).st_size))
    own = Stack("the minimal image")
    own.lay(found)
    rows = {member_path(row.name): row for row in found}
    if len(rows) != len(found):
        raise Damaged("a name twice")
    entries = _comparable(own, own.nodes)
    known = _comparable(other.stack, entries)
    tree = Tree(str(top), tar.fileno(), lambda number: "", user=user)
    if "/" in rows:
        tree.root(rows["/"])
    for path in sorted(other.stack.nodes.keys() - entries.keys()):
        above = path.rpartition("/")[0] or "/"
        if above in entries and entries[above][0].is_dir:
            tree.hide(path, own.nodes)
    for path, row in rows.items():
        if path != "/" and not (entries[path] == known.get(path) and _same_content(tar, row, other, path)):
            tree.put(path, row, own.nodes, member_path(row.link) if row.kind == b"1" else "", 0)
    tree.finish(own.nodes)


def _comparable(stack: Stack, paths: Iterable[str]) -> Mapping[str, tuple[Entry, tuple[str, ...]]]:
    """The entries that a stack has of these paths, and all names of a hard-linked file in place of a number."""
    names: dict[int, list[str]] = {}
    for path in sorted(path for path, node in stack.nodes.items() if node.hardlink):
        names.setdefault(stack.entry(path).hardlink, []).append(path)
    found = ((path, stack.entry(path)) for path in paths if path in stack.nodes)
    return {
        path: (replace(entry, hardlink=0), tuple(names[entry.hardlink])) if entry.hardlink else (entry, ())
        for path, entry in found
    }


def _same_content(tar: BinaryIO, row: Member, other: Files, path: str) -> bool:
    """Whether a file of the layer has the content that the other image's has; what is no file has none."""
    if row.kind != b"0" or not row.size:
        return True
    pieces = other.chunks(path)
    return all(piece == next(pieces, b"") for piece in file_part(tar, row.offset, row.size)) and not next(pieces, b"")
