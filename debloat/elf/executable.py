"""How much of an ELF file the kernel or ld.so maps as code: elf(5), the program headers, which lie at its beginning."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from debloat.elf.facts import MAGIC

HEAD = 4096
"""Bytes from the beginning of a file that are read: program headers follow the ELF header, and there are tens at
most."""

MAX_SEGMENTS = 256
_LOAD, _EXECUTE = 1, 1


def executable_bytes(head: bytes) -> int | None:
    """The bytes in the file of its executable segments, given the file's beginning; None where it is no ELF file."""
    if len(head) < 52 or head[:4] != MAGIC or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    return sum(size for kind, flags, size in _segments(head) if kind == _LOAD and flags & _EXECUTE)


def _segments(head: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, flags and size in the file of each program header that is in the beginning."""
    order, wide = "<" if head[5] == 1 else ">", head[4] == 2
    if wide and len(head) < 64:
        return
    (start,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
    step, number = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    form = f"{order}IIQQQQ" if wide else f"{order}IIIIIII"
    for at in range(start, start + step * min(number, MAX_SEGMENTS), max(step, 1)):
        if at + struct.calcsize(form) > len(head):
            return
        fields = struct.unpack_from(form, head, at)
        yield (fields[0], fields[1], fields[5]) if wide else (fields[0], fields[6], fields[4])
