"""Facts from an ELF file: what the kernel and ld.so read of it before its first instruction runs.

Sources: elf(5), the System V gABI chapter on dynamic linking, `elf.h` of glibc for the GNU values, and the
"dlopen metadata for ELF files" specification (https://systemd.io/ELF_DLOPEN_METADATA) for `.note.dlopen`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import struct
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeVar

from debloat.rootfs import Rootfs

MAGIC = b"\x7fELF"
MAX_NAMES = 4096
"""Dynamic entries, versions and notes that are read of one file; real ones have tens."""
MAX_NAME = 4096
"""PATH_MAX: a longer name cannot be opened (path_resolution(7))."""
MAX_NEEDED = 1024
MAX_SEGMENTS = 256
MAX_NOTES = 1 << 20
"""Bytes of a note segment that is read: one note of at most `MAX_NOTE` for each library is far below it."""
MAX_NOTE = 1 << 16
DLOPEN_NOTE = (b"FDO\0", 0x407C0C0A)
DF_1_NODEFLIB = 0x800
DF_1_PIE = 0x08000000

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE = 1, 2, 3, 4


class DT(IntEnum):
    """Tags of the dynamic section that are read."""

    NEEDED = 1
    STRTAB = 5
    SONAME = 14
    RPATH = 15
    RUNPATH = 29
    FLAGS_1 = 0x6FFFFFFB
    VERDEF = 0x6FFFFFFC
    VERDEFNUM = 0x6FFFFFFD
    VERNEED = 0x6FFFFFFE
    VERNEEDNUM = 0x6FFFFFFF
    AUXILIARY = 0x7FFFFFFD
    FILTER = 0x7FFFFFFF
    AUDIT = 0x6FFFFEFC
    DEPAUDIT = 0x6FFFFEFB


TYPES = {1: "rel", 2: "exec", 3: "dyn", 4: "core"}


@dataclass(frozen=True, slots=True)
class DlopenFeature:
    """One item of `.note.dlopen`: the sonames that would do, best first, and how much it matters."""

    sonames: tuple[str, ...]
    priority: str = "recommended"
    feature: str = ""


@dataclass(frozen=True, slots=True)
class ElfFacts:
    """What an ELF file says of itself.

    `bits` is 32 or 64, `machine` the number of `e_machine`, `kind` `exec`, `dyn`, `rel`, `core` or empty.
    `rpath` and `runpath` are as written, `""` where absent. `needed` keeps the order of the file; `filters` are
    DT_AUXILIARY and DT_FILTER, `audits` DT_AUDIT and DT_DEPAUDIT. `requires` are (file, version) pairs of
    DT_VERNEED, `defines` the versions of DT_VERDEF.
    """

    bits: int
    machine: int
    little_endian: bool = True
    kind: str = "dyn"
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: str = ""
    runpath: str = ""
    flags_1: int = 0
    filters: tuple[str, ...] = ()
    audits: tuple[str, ...] = ()
    dlopens: tuple[DlopenFeature, ...] = ()
    requires: tuple[tuple[str, str], ...] = ()
    defines: tuple[str, ...] = ()
    dynamic: bool = False

    @property
    def abi(self) -> tuple[int, int, bool]:
        """What must be equal in two objects for ld.so to put them into one process."""
        return self.bits, self.machine, self.little_endian

    @property
    def nodeflib(self) -> bool:
        return bool(self.flags_1 & DF_1_NODEFLIB)

    @property
    def is_static(self) -> bool:
        """Whether this is a program that runs without ld.so (ld.so itself, which has a soname, is none)."""
        program = self.kind == "exec" or bool(self.flags_1 & DF_1_PIE)
        return program and not self.interpreter and not self.needed and not self.soname

    @property
    def effective_rpath(self) -> str:
        """DT_RPATH, which counts only where there is no DT_RUNPATH (ld.so(8))."""
        return "" if self.runpath else self.rpath


def parse_elf(data: bytes) -> ElfFacts | None:
    """The facts of an ELF image; None for what is no ELF file or is damaged beyond reading. Never raises."""
    if len(data) < 52 or not data.startswith(MAGIC) or data[4] not in (1, 2) or data[5] not in (1, 2):
        return None
    try:
        return _facts(_File(data))
    except (struct.error, OverflowError):
        return None


class _File:
    """The header, segments and dynamic section of an ELF file, by the offsets that the kernel and ld.so go by.

    Section headers are not looked at: no loader reads them. Reading beyond the end raises struct.error.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.wide, self.order = data[4] == 2, "<" if data[5] == 1 else ">"
        header = self.unpack("HHIQQQIHHH" if self.wide else "HHIIIIIHHH", 16)
        self.kind, self.machine, start, size, count = header[0], header[1], header[4], header[8], header[9]
        places = range(start, start + size * min(count, MAX_SEGMENTS), size) if size else ()
        self.segments = [self._segment(at) for at in places]
        self._values: dict[int, list[int]] = {}
        for segment in self.segments:
            if segment.kind == PT_DYNAMIC:
                self._read_dynamic(segment.offset, segment.size)
                break
        self._strings = self.offset(self.number(DT.STRTAB)) or len(data)

    def unpack(self, layout: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(self.order + layout, self.data, at)

    def _segment(self, at: int) -> _Segment:
        if self.wide:
            kind, _, offset, address, _, size = self.unpack("IIQQQQ", at)
        else:
            kind, offset, address, _, size = self.unpack("IIIII", at)
        return _Segment(kind, offset, address, size)

    def _read_dynamic(self, start: int, size: int) -> None:
        layout, step = ("qQ", 16) if self.wide else ("iI", 8)
        for at in range(start, min(start + size, start + MAX_NAMES * step, len(self.data) - step + 1), step):
            tag, value = self.unpack(layout, at)
            if tag == 0:
                return
            self._values.setdefault(tag & 0xFFFFFFFF, []).append(value)

    def offset(self, address: int) -> int:
        """Where in the file an address is, 0 where it is nowhere."""
        for segment in self.segments:
            if segment.kind == PT_LOAD and segment.address <= address < segment.address + segment.size:
                at = address - segment.address + segment.offset
                return at if at < len(self.data) else 0
        return 0

    @property
    def dynamic(self) -> bool:
        return bool(self._values)

    def number(self, tag: int) -> int:
        return self._values.get(tag, [0])[0]

    def text(self, start: int) -> str:
        """The text that begins at an offset of the string table. It need not be UTF-8."""
        return _text(self.data[self._strings + start : self._strings + start + MAX_NAME])

    def string(self, tag: int) -> str:
        return next(iter(self.strings(tag)), "")

    def strings(self, *tags: int) -> tuple[str, ...]:
        found = (self.text(value) for tag in tags for value in self._values.get(tag, ())[:MAX_NEEDED])
        return tuple(dict.fromkeys(name for name in found if name))

    def requires(self) -> Iterator[tuple[str, str]]:
        """DT_VERNEED: pairs of a file and a version."""
        for at, count, file, aux in self._versions(DT.VERNEED, DT.VERNEEDNUM, "HHIII", (1, 2, 3)):
            for _ in range(min(count, MAX_NAMES)):
                _, _, _, name, further = self.unpack("IHHII", at + aux)
                yield self.text(file), self.text(name)
                aux += further
                if not further:
                    break

    def defines(self) -> Iterator[str]:
        """DT_VERDEF: the versions, whose names come first in their lists."""
        for at, count, _, aux in self._versions(DT.VERDEF, DT.VERDEFNUM, "HHHHIII", (3, 4, 5)):
            if count:
                yield self.text(self.unpack("II", at + aux)[0])

    def _versions(
        self, table: int, number: int, layout: str, fields: tuple[int, int, int]
    ) -> Iterator[tuple[int, ...]]:
        """The records of a chain, whose last field leads to the next: where each stands, and some of its fields."""
        at = self.offset(self.number(table))
        for _ in range(min(self.number(number), MAX_NAMES) if at else 0):
            record = self.unpack(layout, at)
            yield at, *(record[field] for field in fields)
            if not record[-1]:
                return
            at += record[-1]


class _Segment(NamedTuple):
    kind: int
    offset: int
    address: int
    size: int


def _facts(file: _File) -> ElfFacts:
    data, little = file.data, file.order == "<"
    interpreter, dlopens = "", list[DlopenFeature]()
    for kind, start, _, size in file.segments:
        if kind == PT_INTERP and not interpreter:
            interpreter = _text(data[start : start + min(size, MAX_NAME)])
        elif kind == PT_NOTE and size <= MAX_NOTES:
            dlopens += parse_dlopen_notes(data[start : start + size], little)
    return ElfFacts(
        bits=64 if file.wide else 32,
        machine=file.machine,
        little_endian=little,
        kind=TYPES.get(file.kind, ""),
        interpreter=interpreter,
        needed=file.strings(DT.NEEDED),
        soname=file.string(DT.SONAME),
        rpath=file.string(DT.RPATH),
        runpath=file.string(DT.RUNPATH),
        flags_1=file.number(DT.FLAGS_1),
        filters=file.strings(DT.AUXILIARY) + file.strings(DT.FILTER),
        audits=tuple(a for n in file.strings(DT.AUDIT, DT.DEPAUDIT) for a in n.split(":") if a),
        dlopens=tuple(dlopens),
        requires=_as_far_as_it_goes(file.requires()),
        defines=_as_far_as_it_goes(file.defines()),
        dynamic=file.dynamic,
    )


T = TypeVar("T")


def _as_far_as_it_goes(found: Iterator[T]) -> tuple[T, ...]:
    """The versions of a table, up to where it is damaged or too long."""
    kept = list[T]()
    with contextlib.suppress(struct.error, OverflowError):
        kept.extend(itertools.islice(found, MAX_NAMES))
    return tuple(kept)


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def notes(data: bytes, little_endian: bool = True) -> Iterator[tuple[bytes, int, bytes]]:
    """The (owner, type, description) of each note in a note segment, until the first that is cut off."""
    header = struct.Struct("<III" if little_endian else ">III")
    at = 0
    for _ in range(MAX_NAMES):
        if at + header.size > len(data):
            return
        name_size, size, kind = header.unpack_from(data, at)
        start = at + header.size
        description = start + (name_size + 3) // 4 * 4
        if description + size > len(data):
            return
        yield data[start : start + name_size], kind, data[description : description + size]
        at = description + (size + 3) // 4 * 4


def parse_dlopen_notes(data: bytes, little_endian: bool = True) -> list[DlopenFeature]:
    """The features of all `.note.dlopen` notes in a note segment; malformed ones are left out."""
    found = list[DlopenFeature]()
    for owner, kind, description in notes(data, little_endian):
        if (owner, kind) != DLOPEN_NOTE or len(description) > MAX_NOTE:
            continue
        try:
            value = json.loads(description.partition(b"\0")[0])
        except (ValueError, RecursionError):
            continue
        found += (f for item in (value if isinstance(value, list) else [value]) if (f := _feature(item)))
    return found


def _feature(item: object) -> DlopenFeature | None:
    if not isinstance(item, dict):
        return None
    sonames = item.get("soname")
    names = tuple(n for n in (sonames if isinstance(sonames, list) else [sonames]) if isinstance(n, str) and n)
    priority = item.get("priority")
    return DlopenFeature(names, str(priority or "recommended"), str(item.get("feature") or "")) if names else None


_CACHE: weakref.WeakKeyDictionary[Rootfs, dict[str, ElfFacts | None]] = weakref.WeakKeyDictionary()


def elf_facts(rootfs: Rootfs, path: str) -> ElfFacts | None:
    """The facts of the file that `path` leads to; None where it is no ELF file.

    Kept per file for the life of the root file system, whose contents never change. (A digest of the contents
    as key would cost as much as the parsing.)
    """
    entry = rootfs.lookup(path)
    if entry is None or not entry.is_file or entry.size < 52:
        return None
    known = _CACHE.setdefault(rootfs, {})
    if entry.path not in known:
        is_elf = rootfs.read(entry.path, len(MAGIC)) == MAGIC
        known[entry.path] = parse_elf(rootfs.read(entry.path)) if is_elf else None
    return known[entry.path]
