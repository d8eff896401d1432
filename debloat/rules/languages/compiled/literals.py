"""The texts of a compiled program, each by itself, and whether the program can start others.

C ends each text with a NUL. Go and Rust pack theirs without anything in between; but every text begins where the
code or the data of the program points to, so that one ends where the next begins (cmd/link sorts Go's and keeps
none that nothing points to). Sources: elf(5); the x86-64 manual on LEA, the A64 one on ADRP and ADD.
"""

from __future__ import annotations

import re
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

GO = (b"\xff Go buildinf:", b"Go build ID:")
PACKED = (*GO, b"/rustc/", b"/usr/src/rustc-", b"RUST_BACKTRACE")
"""Marks of compilers that pack literals: Go's runtime/debug.ReadBuildInfo; where rustc's sources are said to be,
upstream and by Debian; a variable that Rust's library reads (std::backtrace), whatever the paths were remapped to.
"""

MAX_SECTIONS = 4096
MAX_SEGMENTS = 64
MAX_POINTERS = 1 << 21
"""Places pointed to that are looked at; programs of 75 MB have a tenth of it."""

LOAD, DYNAMIC = 1, 2
STRTAB, RELA, RELASZ, STRSZ = 5, 7, 8, 10
EXECUTABLE, ALLOCATED, NOBITS = 1, 2, 8
X86_64, AARCH64 = 62, 183
RELATIVE = {X86_64: 8, AARCH64: 1027}

_LEA = re.compile(rb"[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d](?=(....))", re.DOTALL)
_ADRP_ADD = re.compile(rb"[\x90\xb0\xd0\xf0](?=(..[\x00-\x3f]\x91))", re.DOTALL)
"""From the highest byte of the ADRP on: little-endian words end with what tells instructions apart."""

_TEXT = re.compile(rb"([\t\n\x20-\x7e]{1,4096})(?:\0|\Z)")
_ENDED = re.compile(rb"(?<=\0)[\t\n\x20-\x7e]{1,4096}(?=\0)")

_STARTERS = re.compile(
    rb"\0(?:system|popen|wordexp|f?exec[lv]p?e?|execvpe|execveat|posix_spawnp?|forkpty|uv_spawn|apr_proc_create"
    rb"|g_spawn_\w+|g_subprocess_\w+|_ZN\w*(?:7Process|8[KQ]Process|10[Ss]ub[Pp]rocess)\w+)\0"
)
"""Functions that start programs, as a table of symbols names them: of libraries of C, and of C++ classes for it."""
_GO_STARTERS = (b"syscall.forkExec\0", b"syscall.Exec\0")
"""What os/exec comes down to, in the table of functions that stripping leaves."""


@dataclass(frozen=True, slots=True)
class _Segment:
    offset: int
    address: int
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class _Program:
    """What is read of a little-endian 64-bit program: its loaded segments and its dynamic entries."""

    machine: int
    segments: tuple[_Segment, ...]
    dynamic: dict[int, int]

    @property
    def constants(self) -> tuple[_Segment, ...]:
        """The segments that texts lie in; older linkers put them into the one of the code."""
        found = tuple(s for s in self.segments if not s.executable)
        return found if len(found) > 1 else self.segments

    def table(self, start: int, size: int, data: bytes) -> range:
        """Where in the file the table lies that two dynamic entries tell of."""
        address, length = self.dynamic.get(start, 0), self.dynamic.get(size, 0)
        for s in self.segments:
            if s.address <= address < s.address + s.size:
                at = address - s.address + s.offset
                return range(at, min(at + length, len(data)))
        return range(0)


def is_go(data: bytes) -> bool:
    """Whether Go's own linker made a program."""
    return any(mark in data for mark in GO)


def literals(data: bytes) -> frozenset[str]:
    """The printable texts of an ELF program of up to 4,096 characters; empty where they cannot be told apart."""
    program = _parsed(data)
    if program is None:
        return frozenset()
    packed = any(mark in data for mark in PACKED)
    found = set(_pointed_at(data, program, packed))
    if not packed:
        found.update(_ended(data, program))
    return frozenset(text.decode("ascii") for text in found)


def starts_programs(data: bytes) -> bool:
    """Whether a program can call what starts others; one that cannot be read, or has no table of symbols, may."""
    program = _parsed(data)
    if program is None:
        return True
    symbols = program.table(STRTAB, STRSZ, data)
    if symbols and _STARTERS.search(data, symbols.start, symbols.stop) is not None:
        return True
    return any(mark in data for mark in _GO_STARTERS) if is_go(data) else not symbols


def loaded(data: bytes) -> bytes:
    """An ELF file with its symbols, and what is for debuggers, blanked: sections that the running program has not.

    What follows the last section, such as an archive of the program's own, is left.
    """
    pieces, at = list[bytes](), 0
    for start, end in sorted(_unloaded(data)):
        if end > at:
            pieces += (data[at : max(at, start)], bytes(end - max(at, start)))
            at = end
    return b"".join((*pieces, data[at:])) if pieces else data


def _is_read(data: bytes) -> bool:
    """Whether a file begins as a little-endian 64-bit ELF file does, with its whole header."""
    return len(data) >= 64 and data.startswith(b"\x7fELF\x02\x01")


def _unloaded(data: bytes) -> Iterator[tuple[int, int]]:
    if not _is_read(data):
        return
    (table,), (size, count) = struct.unpack_from("<Q", data, 40), struct.unpack_from("<HH", data, 58)
    for number in range(min(count, MAX_SECTIONS) if size >= 64 else 0):
        at = table + number * size
        if at + 64 > len(data):
            return
        kind, flags, _, start, length = struct.unpack_from("<IQQQQ", data, at + 4)
        if kind not in (0, NOBITS) and not flags & ALLOCATED and 64 <= start <= start + length <= len(data):
            yield start, start + length


def _parsed(data: bytes) -> _Program | None:
    if not _is_read(data):
        return None
    (machine,), (table,) = struct.unpack_from("<H", data, 18), struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    segments, dynamic = list[_Segment](), dict[int, int]()
    for number in range(min(count, MAX_SEGMENTS) if size >= 56 else 0):
        at = table + number * size
        if at + 56 > len(data):
            return None
        kind, flags, offset, address, _, length = struct.unpack_from("<IIQQQQ", data, at)
        if offset + length > len(data):
            return None
        if kind == LOAD:
            segments.append(_Segment(offset, address, length, bool(flags & EXECUTABLE)))
        elif kind == DYNAMIC:
            entries = data[offset : offset + min(length // 16, MAX_SECTIONS) * 16]
            dynamic = {tag: value for tag, value in struct.iter_unpack("<QQ", entries) if tag}
    # Segments that share bytes are none of a linker's, and would be read once for each.
    return _Program(machine, tuple(segments), dynamic) if sum(s.size for s in segments) <= 2 * len(data) else None


def _ended(data: bytes, program: _Program) -> Iterator[bytes]:
    """Texts between two NULs, apart from the names of symbols."""
    symbols = program.table(STRTAB, STRSZ, data)
    for segment in program.constants:
        for match in _ENDED.finditer(data, segment.offset, segment.offset + segment.size):
            if match.start() not in symbols:
                yield match[0]


def _pointed_at(data: bytes, program: _Program, packed: bool) -> Iterator[bytes]:
    """Texts from where something points to up to a NUL, or, where they are packed, to the next such place."""
    begins = sorted({*_from_code(data, program), *_from_data(data, program)})[:MAX_POINTERS]
    for segment in program.constants:
        move, end = segment.offset - segment.address, segment.offset + segment.size
        first = bisect_left(begins, segment.address)
        places = [address + move for address in begins[first : bisect_left(begins, segment.address + segment.size)]]
        for place, after in zip(places, (*places[1:], end), strict=False):
            match = _TEXT.match(data, place, after if packed else end)
            if match is not None:
                yield match[1]


def _from_code(data: bytes, program: _Program) -> Iterator[int]:
    for segment in program.segments:
        if not segment.executable:
            continue
        move, end = segment.address - segment.offset, segment.offset + segment.size
        if program.machine == X86_64:
            for match in _LEA.finditer(data, segment.offset, end):
                yield match.end() + 4 + move + int.from_bytes(match[1], "little", signed=True)
        elif program.machine == AARCH64:
            for match in _ADRP_ADD.finditer(data, segment.offset + 3, end):
                at = match.start() - 3
                page, add = int.from_bytes(data[at : at + 4], "little"), int.from_bytes(match[1], "little")
                if (at + move) % 4 == 0 and page & 31 == add >> 5 & 31:
                    pages = (page >> 5 & 0x7FFFF) << 2 | page >> 29 & 3
                    pages -= (pages & 1 << 20) << 1
                    yield (at + move & ~0xFFF) + (pages << 12) + (add >> 10 & 0xFFF)


def _from_data(data: bytes, program: _Program) -> Iterator[int]:
    """Words that are addresses of the program, and those that ld.so writes into it at its start."""
    lowest = min((s.address for s in program.constants), default=0)
    highest = max((s.address + s.size for s in program.constants), default=0)
    for segment in program.segments:
        if not segment.executable:
            start, end = segment.offset + -segment.address % 8, segment.offset + segment.size
            yield from [word for word in _words(data[start:end]) if lowest <= word < highest]
    table, relative = program.table(RELA, RELASZ, data), RELATIVE.get(program.machine)
    words = _words(data[table.start : table.stop])
    yield from [addend for kind, addend in zip(words[1::3], words[2::3], strict=False) if kind == relative]


def _words(data: bytes) -> array[int]:
    words = array("Q", data[: len(data) // 8 * 8])
    if sys.byteorder == "big":
        words.byteswap()
    return words
