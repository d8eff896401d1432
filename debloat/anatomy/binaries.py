"""The programs and libraries of an image and how they are hardened, and the files that give rights to who runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from debloat.core.capabilities import XATTR, capabilities
from debloat.core.model import Entry
from debloat.elf.facts import HEADER, MAGIC
from debloat.elf.hardening import Hardening, hardening
from debloat.image.rootfs import Rootfs

_LOADED = re.compile(r"\.so(\.|$)|\.node$|\.ko$")
"""Names of what is loaded without an executable bit."""

BATCH_BYTES = 64 << 20
"""Bytes of files that are fetched at once."""


class Binary(Struct, frozen=True):
    """An ELF file of the image that is executable, or named as what is loaded."""

    path: str
    hardening: Hardening


class Privileged(Struct, frozen=True):
    """A file that gives rights: `rights` are `setuid`, `setgid` and capabilities, `owner` its numeric user:group."""

    path: str
    owner: str
    rights: tuple[str, ...]


def binaries(rootfs: Rootfs) -> tuple[Binary, ...]:
    """The ELF files of an image, sorted by path, each of several names once."""
    found, seen = list[Binary](), set[int]()
    for batch in _batches(rootfs):
        rootfs.fetch(entry.path for entry in batch)
        for entry in batch:
            if entry.hardlink in seen or rootfs.read(entry.path, len(MAGIC)) != MAGIC:
                continue
            seen.update({entry.hardlink} - {0})
            if (facts := hardening(rootfs.read(entry.path))) is not None and facts.form != "object":
                found.append(Binary(entry.path, facts))
    return tuple(found)


def _batches(rootfs: Rootfs) -> Iterator[list[Entry]]:
    batch, size = list[Entry](), 0
    for entry in rootfs.entries():
        if entry.is_file and entry.size >= HEADER and (entry.executable or _LOADED.search(entry.name)):
            batch.append(entry)
            size += entry.size
            if size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def privileged(rootfs: Rootfs) -> tuple[Privileged, ...]:
    """The files that give rights to who runs them, sorted by path."""
    return tuple(
        Privileged(entry.path, f"{entry.uid}:{entry.gid}", rights)
        for entry in rootfs.entries()
        if entry.is_file and (rights := _rights(entry))
    )


def _rights(entry: Entry) -> tuple[str, ...]:
    bits = tuple(word for bit, word in ((0o4000, "setuid"), (0o2000, "setgid")) if entry.mode & bit)
    return bits + tuple(c for key, value in entry.xattrs if key == XATTR for c in capabilities(value))
