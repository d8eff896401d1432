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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from debloat.core.model import Entry, Image
from debloat.embedded import syscalls
from debloat.embedded.layers import Files
from debloat.embedded.namespace import Namespace
from debloat.embedded.place import Place
from debloat.embedded.unpack import Stack, Tree
from debloat.engine.run_id import new_run
from debloat.image.oci import Written
from debloat.store.layers import member_path
from debloat.store.tar import Damaged, Member, members

MOST = 64 << 20
"""Bytes that the layer in memory may have; an image that differs in more is unpacked as any other."""
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Cutout:
    """An image that is shown. `layers` are directories below the place's, the lowest first; `top` is the last."""

    image: Image
    written: Written
    layers: tuple[str, ...]
    top: Path


def make(
    place: Place, namespace: Namespace, image: Image, written: Written, other: Files, below: list[str], *, user: bool
) -> Cutout | None:
    """Show `image`, whose `written` form is of one layer, over the layers of another; None where that cannot be."""
    if len(written.layers) != 1:
        return None
    top = Path(tempfile.mkdtemp(prefix=f"{new_run()}-", dir=place.drafts))
    try:
        with written.layers[0].file.open("rb", buffering=0) as tar:
            namespace.call(lambda: _fill(top, tar.fileno(), other, user))
    except (OSError, Damaged):
        remove(namespace, top)
        return None
    except BaseException:
        remove(namespace, top)
        raise
    return Cutout(image, written, (*below, os.path.relpath(top, place.layers)), top)


def remove(namespace: Namespace, top: Path) -> None:
    """Take the layer in memory away."""

    def gone() -> None:
        with contextlib.suppress(OSError):
            syscalls.unmount(str(top))

    namespace.call(gone)
    shutil.rmtree(top, ignore_errors=True)


def _fill(top: Path, tar: int, other: Files, user: bool) -> None:
    syscalls.mount("tmpfs", str(top), "tmpfs", 0, f"mode=755,size={MOST}")
    found = list(members(lambda size, at: os.pread(tar, size, at), os.fstat(tar).st_size))
    own = Stack("the minimal image")
    own.lay(found)
    rows = {member_path(row.name): row for row in found}
    if len(rows) != len(found):
        raise Damaged("a name twice")
    entries, known = _comparable(own), _comparable(other.stack)
    tree = Tree(str(top), tar, lambda number: "", user=user)
    if "/" in rows:
        tree.root(rows["/"])
    for path in sorted(known.keys() - entries.keys()):
        above = path.rpartition("/")[0] or "/"
        if above in entries and entries[above][0].is_dir:
            tree.hide(path, own.nodes)
    for path, row in rows.items():
        if path != "/" and not (entries[path] == known.get(path) and _same_content(tar, row, other, path)):
            tree.put(path, row, own.nodes, member_path(row.link) if row.kind == b"1" else "", 0)
    tree.finish(own.nodes)


def _comparable(stack: Stack) -> Mapping[str, tuple[Entry, tuple[str, ...]]]:
    """Each entry by its path, and all names of a hard-linked file in place of a number."""
    found = {entry.path: entry for entry in stack.entries()}
    names: dict[int, list[str]] = {}
    for path in sorted(p for p, entry in found.items() if entry.hardlink):
        names.setdefault(found[path].hardlink, []).append(path)
    return {
        path: (replace(entry, hardlink=0), tuple(names[entry.hardlink])) if entry.hardlink else (entry, ())
        for path, entry in found.items()
    }


def _same_content(tar: int, row: Member, other: Files, path: str) -> bool:
    """Whether a file of the layer has the content that the other image's has; what is no file has none."""
    if row.kind != b"0" or not row.size:
        return True
    pieces = other.chunks(path)
    return all(piece == next(pieces, b"") for piece in _content(tar, row)) and not next(pieces, b"")


def _content(tar: int, row: Member) -> Iterator[bytes]:
    for done in range(0, row.size, _PIECE):
        yield os.pread(tar, min(_PIECE, row.size - done), row.offset + done)
