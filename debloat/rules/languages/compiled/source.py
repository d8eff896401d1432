"""The string literals of a compiled program, one by one, and whether the program can start others.

C ends each text with a NUL. Go and Rust pack theirs without anything in between; but every text begins where the
code or the data of the program points to, so that one ends where the next begins (cmd/link sorts Go's and keeps
none that nothing points to). Sources: elf(5); the x86-64 manual on LEA, the A64 one on ADRP and ADD.
"""

from __future__ import annotations

import itertools
import re
import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    import lief

GO = (b"\xff Go buildinf:", b"Go build ID:")
PACKED = (*GO, b"/rustc/", b"/usr/src/rustc-", b"RUST_BACKTRACE")
"""Marks of compilers that pack literals: Go's runtime/debug.ReadBuildInfo; where rustc's sources are said to be,
upstream and by Debian; a variable that Rust's library reads (std::backtrace), whatever the paths were remapped to.
"""

MAX_SECTIONS = 4096
MAX_DYNAMIC = 4096
MAX_SEGMENTS = 64
MAX_POINTERS = 1 << 21
"""Places pointed to that are looked at; programs of 75 MB have a tenth of it."""

LITTLE_64 = b"\2\1"
"""Class and byte order (e_ident) of the files that are read."""
STRTAB, RELA, RELASZ, STRSZ = 5, 7, 8, 10
EXECUTABLE, ALLOCATED = 1, 2
LOAD = 1
WITHOUT_BYTES = (0, 8)
"""Types of sections that lie nowhere in the file: SHT_NULL and SHT_NOBITS (elf(5))."""
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


class _Segment(Struct, frozen=True):
    offset: int
    address: int
    size: int
    executable: bool


class Program(Struct, frozen=True):
    """A compiled program: what runs of it, and how its texts can be told apart.

    `data` is its file, with its symbols and what is for debuggers blanked; what follows the last section, such as an
    archive of its own, is left. `segments` and `dynamic` are those of a little-endian 64-bit ELF file that is sound; of
    anything else `machine` is 0.
    """

    data: bytes
    machine: int = 0
    segments: tuple[_Segment, ...] = ()
    dynamic: Mapping[int, int] = {}

    @property
    def is_go(self) -> bool:
        """Whether Go's own linker made it."""
        return any(mark in self.data for mark in GO)

    @property
    def packed(self) -> bool:
        """Whether its compiler puts texts one after the other without anything in between."""
        return any(mark in self.data for mark in PACKED)

    @property
    def constants(self) -> tuple[_Segment, ...]:
        """The segments that texts lie in; older linkers put them into the one of the code."""
        segments = tuple(s for s in self.segments if not s.executable)
        return segments if len(segments) > 1 else self.segments

    def table(self, start: int, size: int) -> range:
        """Where in the file the table lies that two dynamic entries tell of."""
        address, length = self.dynamic.get(start, 0), self.dynamic.get(size, 0)
        for s in self.segments:
            if s.address <= address < s.address + s.size:
                at = address - s.address + s.offset
                return range(at, min(at + length, len(self.data)))
        return range(0)


def read_program(data: bytes) -> Program:
    """A program from the bytes of its file, whatever they are."""
    from debloat.elf.parser import read_elf

    return read_elf(data, _program) or Program(data)


def literals(program: Program) -> frozenset[str]:
    """The printable texts of a program of up to 4,096 characters; empty where they cannot be told apart."""
    if not program.machine:
        return frozenset()
    packed = program.packed
    texts = set(_pointed_at(program, packed))
    if not packed:
        texts.update(_ended(program))
    return frozenset(text.decode("ascii") for text in texts)


def starts_programs(program: Program) -> bool:
    """Whether a program can call what starts others; one that cannot be read, or has no table of symbols, may."""
    if not program.machine:
        return True
    symbols = program.table(STRTAB, STRSZ)
    if symbols and _STARTERS.search(program.data, symbols.start, symbols.stop) is not None:
        return True
    return any(mark in program.data for mark in _GO_STARTERS) if program.is_go else not symbols


def _program(data: bytes, binary: lief.ELF.Binary) -> Program:
    """The program as LIEF reads its headers; of those that do not fit the file, only the bytes."""
    from debloat.elf.parser import tag_of

    data = without_unloaded_sections(data, binary)
    loaded = [s for s in itertools.islice(binary.segments, MAX_SEGMENTS) if int(s.type) == LOAD]
    segments = tuple(
        _Segment(s.file_offset, s.virtual_address, s.physical_size, bool(int(s.flags) & EXECUTABLE)) for s in loaded
    )
    whole = all(s.offset + s.size <= len(data) for s in segments)
    # Segments that share bytes are none of a linker's, and would be read once for each.
    if data[4:6] != LITTLE_64 or not whole or sum(s.size for s in segments) > 2 * len(data):
        return Program(data)
    entries = itertools.islice(binary.dynamic_entries, MAX_DYNAMIC)
    dynamic = {tag_of(entry.tag): entry.value for entry in entries}
    (machine,) = struct.unpack_from("<H", data, 18)
    return Program(data, machine, segments, MappingProxyType({tag: n for tag, n in dynamic.items() if tag}))


def without_unloaded_sections(data: bytes, binary: lief.ELF.Binary) -> bytes:
    """A file with the sections blanked that the running program has not."""
    pieces, at = list[bytes](), 0
    for start, end in sorted(_unloaded(data, binary)):
        if end > at:
            pieces += (data[at : max(at, start)], bytes(end - max(at, start)))
            at = end
    return b"".join((*pieces, data[at:])) if pieces else data


def _unloaded(data: bytes, binary: lief.ELF.Binary) -> Iterator[tuple[int, int]]:
    for section in itertools.islice(binary.sections, MAX_SECTIONS):
        start, length = section.offset, section.size
        if (
            int(section.type) not in WITHOUT_BYTES
            and not int(section.flags) & ALLOCATED
            and 64 <= start <= len(data) - length
        ):
            yield start, start + length


def _ended(program: Program) -> Iterator[bytes]:
    """Texts between two NULs, apart from the names of symbols."""
    symbols = program.table(STRTAB, STRSZ)
    for segment in program.constants:
        for match in _ENDED.finditer(program.data, segment.offset, segment.offset + segment.size):
            if match.start() not in symbols:
                yield match[0]


def _pointed_at(program: Program, packed: bool) -> Iterator[bytes]:
    """Texts from where something points to up to a NUL, or, where they are packed, to the next such place."""
    begins = sorted({*_from_code(program), *_from_data(program)})[:MAX_POINTERS]
    for segment in program.constants:
        move, end = segment.offset - segment.address, segment.offset + segment.size
        first = bisect_left(begins, segment.address)
        places = [address + move for address in begins[first : bisect_left(begins, segment.address + segment.size)]]
        for place, after in zip(places, (*places[1:], end), strict=False):
            match = _TEXT.match(program.data, place, after if packed else end)
            if match is not None:
                yield match[1]


def _from_code(program: Program) -> Iterator[int]:
    """Addresses that instructions compute: LEA on x86-64, ADRP and ADD on AArch64."""
    data = program.data
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


def _from_data(program: Program) -> Iterator[int]:
    """Words that are addresses of the program, and those that ld.so writes into it at its start."""
    data = program.data
    lowest = min((s.address for s in program.constants), default=0)
    highest = max((s.address + s.size for s in program.constants), default=0)
    for segment in program.segments:
        if not segment.executable:
            start, end = segment.offset + -segment.address % 8, segment.offset + segment.size
            yield from [word for word in _words(data[start:end]) if lowest <= word < highest]
    table, relative = program.table(RELA, RELASZ), RELATIVE.get(program.machine)
    words = _words(data[table.start : table.stop])
    yield from [addend for kind, addend in zip(words[1::3], words[2::3], strict=False) if kind == relative]


def _words(data: bytes) -> array[int]:
    words = array("Q", data[: len(data) // 8 * 8])
    if sys.byteorder == "big":
        words.byteswap()
    return words
