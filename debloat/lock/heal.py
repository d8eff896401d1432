"""What a canary noted, and a lock that keeps it: each noted path is a seed with evidence of its own.

Notes are lines of JSON, in a file by themselves or between the lines of a program's log. `parse` is pure and takes any
bytes: whoever writes to that log can write a note.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.model import Want
from debloat.image.rootfs import Rootfs
from debloat.lock.format import Lock

RULE = "canary"
MAX_SIZE = 256 << 20
"""Bytes. A larger file is not read."""
MAX_NOTES = 100_000
"""Notes that are read of a file, more than any image has cut paths that a canary watches."""

_BEGIN = b'{"format":"debloat-canary","version":1,'
_DECODER = json.JSONDecoder()


class Note(Struct, frozen=True, order=True):
    """A cut path that was looked up in a canary of the image of that identity; `source` says where that is noted."""

    path: str
    image: str
    source: str


class Healed(Struct, frozen=True):
    """A lock with the noted paths in it. `added` are those that are new, `absent` those that the image lacks."""

    lock: Lock
    added: tuple[str, ...]
    absent: tuple[str, ...]


def parse(data: bytes, name: str) -> tuple[Note, ...]:
    """The notes in a text, each once, sorted; `name` is what they are to be known by."""
    found = set[Note]()
    for line in data.splitlines():
        at = line.find(_BEGIN)
        if at < 0 or len(found) == MAX_NOTES:
            continue
        found.update(_note(line[at:], name))
    return tuple(sorted(found))


def noted(image: str, paths: Iterable[str]) -> bytes:
    """What `parse` reads, a line a path: cut paths that were looked up in an image of that identity."""
    return b"".join(
        b'%s"image":%s,"path":%s}\n' % (_BEGIN, *(json.dumps(s).encode() for s in (image, p))) for p in paths
    )


def _note(text: bytes, name: str) -> Iterator[Note]:
    try:
        value, _ = _DECODER.raw_decode(text.decode("utf-8"))
        path, image = value["path"], value["image"]
        if isinstance(path, str) and isinstance(image, str) and path.startswith("/") and "\0" not in path:
            os.fsencode(path)
            yield Note(path, image, f"{RULE}:{name}")
    except (ValueError, KeyError, RecursionError):
        return


def healed(lock: Lock, notes: Iterable[Note], rootfs: Rootfs) -> Healed:
    """The lock with a seed for each noted path that its manifest lacks, and for all below one that is a directory.

    A canary sees of a directory that was cut whole only that something was looked for in it.
    """
    locked = {item.path for item in lock.manifest}
    wants: dict[str, Want] = {}
    absent = set[str]()
    for note in sorted(notes):
        entry = rootfs.get(note.path)
        if entry is None:
            absent.add(note.path)
        elif note.path not in locked:
            wants.setdefault(note.path, Want(note.path, RULE, note.source, "looked up where the canary served"))
            for below in _below(rootfs, note.path) if entry.is_dir else ():
                wants.setdefault(below, Want(below, RULE, note.path, "below what was looked into", follow=False))
    seeds = tuple(sorted({*lock.healed, *wants.values()}, key=lambda w: (w.path, w.rule, w.source, w.detail, w.follow)))
    # Of no release: so what it lists is not taken for the closure of its seeds.
    new = replace(lock, healed=seeds, tool="") if wants else lock
    return Healed(new, tuple(wants), tuple(sorted(absent)))


def _below(rootfs: Rootfs, directory: str) -> Iterator[str]:
    for name in rootfs.names(directory):
        path = f"{directory.rstrip('/')}/{name}"
        yield path
        yield from _below(rootfs, path)
