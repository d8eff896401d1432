"""The tables that ldconfig(8) reads and writes: `/etc/ld.so.cache` in both its formats, and `/etc/ld.so.conf`.

The layout of the cache is that of `dl-cache.h` of glibc: `struct cache_file` (old), `struct cache_file_new`
with `struct cache_extension` behind it; a file may hold the old table with the new one embedded.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from msgspec import Struct

from debloat.image.rootfs import Rootfs

OLD_MAGIC = b"ld.so-1.7.0\0"
NEW_MAGIC = b"glibc-ld.so.cache1.1"
EXTENSION_MAGIC = 0xEAA42174
TAG_HWCAPS = 1
HWCAP_EXTENSION = 1 << 30
"""In the upper half of an entry's hwcap: the lower half is an index into the table of glibc-hwcaps names."""

MAX_ENTRIES = 1 << 17
MAX_STRING = 4096
MAX_INCLUDES = 64
"""ldconfig has no limit; a cycle of includes would not end there."""


class CacheEntry(Struct, frozen=True):
    """A library known to ldconfig: `flags` tell its ABI, `hwcap` the name of its glibc-hwcaps subdirectory.

    `legacy_hwcap` is the bit mask of the scheme before glibc 2.37. An entry that has neither suits any CPU.
    """

    name: str
    path: str
    flags: int
    hwcap: str = ""
    legacy_hwcap: int = 0

    @property
    def baseline(self) -> bool:
        """Whether it suits any CPU of its ABI."""
        return not self.hwcap and not self.legacy_hwcap


def parse_cache(data: bytes) -> tuple[CacheEntry, ...]:
    """The entries of an `ld.so.cache` in the order of the file; empty for what is none. Never raises."""
    at = data.find(NEW_MAGIC, 0, 48 + MAX_ENTRIES * 12)
    if at >= 0 and (at == 0 or data.startswith(OLD_MAGIC)):
        return _parse_new(memoryview(data)[at:])
    return _parse_old(memoryview(data)) if data.startswith(OLD_MAGIC) else ()


def _order(data: memoryview, at: int, room: int) -> tuple[str, int]:
    """Byte order and number of entries: the order in which the number fits the file."""
    for order in "<>":
        if at + 4 <= len(data):
            count = struct.unpack_from(order + "I", data, at)[0]
            if count <= min(room, MAX_ENTRIES):
                return order, count
    return "<", 0


def _parse_old(data: memoryview) -> tuple[CacheEntry, ...]:
    order, count = _order(data, 12, (len(data) - 16) // 12)
    strings = data[16 + 12 * count :]
    rows = struct.iter_unpack(order + "iII", data[16 : 16 + 12 * count])
    fields = ((_string(strings, key), _string(strings, value), flags) for flags, key, value in rows)
    return tuple(CacheEntry(name, path, flags) for name, path, flags in fields if name and path)


def _parse_new(data: memoryview) -> tuple[CacheEntry, ...]:
    order, count = _order(data, 20, (len(data) - 48) // 24)
    extension = struct.unpack_from(order + "I", data, 32)[0] if len(data) >= 48 else 0
    hwcaps = _hwcaps(data, order, extension)
    entries = list[CacheEntry]()
    for flags, key, value, _, hwcap in struct.iter_unpack(order + "iIIIQ", data[48 : 48 + 24 * count]):
        name, path, label, legacy = _string(data, key), _string(data, value), "", hwcap
        if hwcap >> 32 == HWCAP_EXTENSION:
            index = hwcap & 0xFFFFFFFF
            if index >= len(hwcaps):
                continue
            label, legacy = hwcaps[index], 0
        if name and path:
            entries.append(CacheEntry(name, path, flags, label, legacy))
    return tuple(entries)


def _hwcaps(data: memoryview, order: str, at: int) -> tuple[str, ...]:
    """The glibc-hwcaps names of the extension area at offset `at`."""
    if not 48 <= at <= len(data) - 8:
        return ()
    magic, count = struct.unpack_from(order + "II", data, at)
    if magic != EXTENSION_MAGIC:
        return ()
    end = min(at + 8 + 16 * min(count, 64), at + 8 + (len(data) - at - 8) // 16 * 16)
    for tag, _, offset, size in struct.iter_unpack(order + "IIII", data[at + 8 : end]):
        if tag == TAG_HWCAPS and offset + size <= len(data) and size <= 4096:
            offsets = struct.iter_unpack(order + "I", data[offset : offset + size // 4 * 4])
            return tuple(_string(data, start) for (start,) in offsets)
    return ()


def _string(data: memoryview, at: int) -> str:
    raw, end, _ = bytes(data[at : at + MAX_STRING]).partition(b"\0")
    return raw.decode("utf-8", "surrogateescape") if end else ""


def conf_directories(rootfs: Rootfs, path: str = "/etc/ld.so.conf") -> tuple[str, ...]:
    """The directories that ldconfig searches, in order, `include` globs followed (ldconfig(8))."""
    return tuple(dict.fromkeys(d for d in _conf(rootfs, path, set()) if d.startswith("/")))


def _conf(rootfs: Rootfs, path: str, visited: set[str]) -> Iterator[str]:
    if path in visited or len(visited) >= MAX_INCLUDES:
        return
    visited.add(path)
    for line in rootfs.text(path).splitlines():
        words = line.partition("#")[0].replace(",", " ").replace(":", " ").split()
        if words[:1] == ["include"]:
            for pattern in words[1:]:
                absolute = pattern if pattern.startswith("/") else f"{path.rpartition('/')[0]}/{pattern}"
                # glob(3) knows no `**`.
                for included in rootfs.glob(re.sub(r"\*+", "*", absolute)):
                    yield from _conf(rootfs, included, visited)
        elif words and words[0] != "hwcap":
            yield words[0].partition("=")[0]
