"""Files of an image that have the same content, each stored once more than needed."""

from __future__ import annotations

import hashlib
from collections import defaultdict

from msgspec import Struct

from debloat.core.model import Entry
from debloat.image.rootfs import Rootfs

LEAST = 4096
"""Bytes from which a file is compared: what is smaller saves nothing, and there are very many of them."""


class Duplicates(Struct, frozen=True):
    """Paths with the same content of `size` bytes, sorted; names of one hard-linked file are one copy, and one path."""

    size: int
    paths: tuple[str, ...]

    @property
    def wasted(self) -> int:
        """Bytes that are there more than once."""
        return self.size * (len(self.paths) - 1)


def duplicates(rootfs: Rootfs, least: int = LEAST) -> tuple[Duplicates, ...]:
    """The groups of equal files of at least `least` bytes, those that waste most first."""
    by_size: defaultdict[int, list[Entry]] = defaultdict(list)
    seen = set[int]()
    for entry in rootfs.entries():
        if entry.is_file and entry.size >= least and entry.hardlink not in seen:
            seen.update({entry.hardlink} - {0})
            by_size[entry.size].append(entry)
    found: defaultdict[tuple[int, bytes], list[str]] = defaultdict(list)
    alike = {size: entries for size, entries in by_size.items() if len(entries) > 1}
    for size in sorted(alike):
        rootfs.fetch(entry.path for entry in alike[size])
        for entry in alike[size]:
            digest = hashlib.blake2b(digest_size=20)
            for piece in rootfs.chunks(entry.path):
                digest.update(piece)
            found[size, digest.digest()].append(entry.path)
    groups = (Duplicates(size, tuple(sorted(paths))) for (size, _), paths in found.items() if len(paths) > 1)
    return tuple(sorted(groups, key=lambda g: (-g.wasted, g.paths)))
