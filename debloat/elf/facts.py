"""Facts from an ELF file: what the kernel and ld.so read of it before its first instruction runs.

Sources: elf(5), the System V gABI chapter on dynamic linking, `elf.h` of glibc for the GNU values, and the
"dlopen metadata for ELF files" specification (https://systemd.io/ELF_DLOPEN_METADATA) for `.note.dlopen`.
"""

from __future__ import annotations

import itertools
import json
import struct
import warnings
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from debloat.core.platform import Platform, of_elf
from debloat.core.signals import held_back
from debloat.image.rootfs import Rootfs

with held_back():  # an exception while its C++ side is being set up aborts the process, and nothing is given back
    import lief

T = TypeVar("T")

MAGIC = b"\x7fELF"
HEADER = 52
"""Bytes of the shortest header, that of a 32-bit file (elf(5))."""
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

TAG = lief.ELF.DynamicEntry.TAG
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

    `bits` is 32 or 64, `machine` the number of `e_machine`, `flags` those of the machine (`e_flags`), `kind` `exec`,
    `dyn`, `rel`, `core` or empty.
    `rpath` and `runpath` are as written, `""` where absent. `needed` keeps the order of the file; `filters` are
    DT_AUXILIARY and DT_FILTER, `audits` DT_AUDIT and DT_DEPAUDIT. `defines` are the versions of DT_VERDEF.
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
    flags: int = 0
    flags_1: int = 0
    filters: tuple[str, ...] = ()
    audits: tuple[str, ...] = ()
    dlopens: tuple[DlopenFeature, ...] = ()
    defines: tuple[str, ...] = ()

    @property
    def abi(self) -> tuple[int, int, bool]:
        """What must be equal in two objects for ld.so to put them into one process."""
        return self.bits, self.machine, self.little_endian

    @property
    def platform(self) -> Platform | None:
        """The platform of Debian that it is a program or library of; None for another."""
        return of_elf(self.bits, self.machine, self.little_endian, self.flags)

    @property
    def nodeflib(self) -> bool:
        return bool(self.flags_1 & DF_1_NODEFLIB)

    @property
    def effective_rpath(self) -> str:
        """DT_RPATH, which counts only where there is no DT_RUNPATH (ld.so(8))."""
        return "" if self.runpath else self.rpath


def parse_elf(data: bytes) -> ElfFacts | None:
    """The facts of an ELF image; None for what is no ELF file or is damaged beyond reading. Never raises."""
    return read_elf(data, _facts)


def read_elf(data: bytes, read: Callable[[bytes, lief.ELF.Binary], T]) -> T | None:
    """What `read` makes of a file as LIEF sees it, without symbols; None where it, or LIEF, cannot make anything of it.

    Whatever lies in the file, nothing is raised: LIEF reports much of what is damaged only when it is asked for.
    """
    if len(data) < HEADER or not data.startswith(MAGIC) or data[4] not in (1, 2) or data[5] not in (1, 2):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            binary = lief.ELF.parse(data, _CONFIG)
            return None if binary is None else read(data, binary)
    except (ValueError, TypeError, AttributeError, RuntimeError, MemoryError, OverflowError, struct.error):
        return None


def _config() -> lief.ELF.ParserConfig:
    config = lief.ELF.ParserConfig()
    config.parse_relocations = False
    config.parse_dyn_symbols = False
    config.parse_symtab_symbols = False
    config.parse_overlay = False
    config.parse_notes = False
    config.parse_symbol_versions = True
    return config


lief.logging.disable()
_CONFIG = _config()


def _facts(data: bytes, binary: lief.ELF.Binary) -> ElfFacts:
    little = data[5] == 1
    kind, machine = struct.unpack_from("<HH" if little else ">HH", data, 16)
    names = _Dynamic(data, binary)
    interpreter, dlopens = "", list[DlopenFeature]()
    for segment in itertools.islice(binary.segments, MAX_SEGMENTS):
        start, size = segment.file_offset, segment.physical_size
        if segment.type == lief.ELF.Segment.TYPE.INTERP and not interpreter:
            interpreter = _text(data[start : start + min(size, MAX_NAME)])
        elif segment.type == lief.ELF.Segment.TYPE.NOTE and size <= MAX_NOTES:
            dlopens += parse_dlopen_notes(data[start : start + size], little)
    return ElfFacts(
        bits=64 if data[4] == 2 else 32,
        machine=machine,
        little_endian=little,
        kind=TYPES.get(kind, ""),
        flags=struct.unpack_from("<I" if little else ">I", data, 48 if data[4] == 2 else 36)[0],
        interpreter=interpreter,
        needed=names.strings(TAG.NEEDED),
        soname=names.string(TAG.SONAME),
        rpath=names.string(TAG.RPATH),
        runpath=names.string(TAG.RUNPATH),
        flags_1=names.number(TAG.FLAGS_1),
        filters=names.strings(TAG.AUXILIARY) + names.strings(TAG.FILTER),
        audits=tuple(a for t in (_DT_AUDIT, _DT_DEPAUDIT) for n in names.strings(t) for a in n.split(":") if a),
        dlopens=tuple(dlopens),
        defines=_defines(binary),
    )


_DT_AUDIT, _DT_DEPAUDIT = 0x6FFFFEFC, 0x6FFFFEFB


class _Dynamic:
    """The dynamic section by tag. Names are read from the string table itself: they need not be UTF-8."""

    def __init__(self, data: bytes, binary: lief.ELF.Binary) -> None:
        self._data = data
        self._values: dict[int, list[int]] = {}
        for count, entry in enumerate(binary.dynamic_entries):
            if count >= MAX_NAMES:
                break
            self._values.setdefault(tag_of(entry.tag), []).append(entry.value)
        table = self.number(TAG.STRTAB)
        offset = binary.virtual_address_to_offset(table) if table else 0
        self._strings = offset if isinstance(offset, int) and 0 < offset < len(data) else len(data)

    def number(self, tag: Any) -> int:
        return self._values.get(tag_of(tag), [0])[0]

    def string(self, tag: Any) -> str:
        return next(iter(self.strings(tag)), "")

    def strings(self, tag: Any) -> tuple[str, ...]:
        starts = [self._strings + value for value in self._values.get(tag_of(tag), ())[:MAX_NEEDED]]
        found = (_text(self._data[start : start + MAX_NAME]) for start in starts if start < len(self._data))
        return tuple(dict.fromkeys(name for name in found if name))


def tag_of(tag: Any) -> int:
    """A tag's number as it stands in the file; LIEF adds the machine in the upper bits of those specific to one."""
    return int(getattr(tag, "value", tag)) & 0xFFFFFFFF


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _defines(binary: lief.ELF.Binary) -> tuple[str, ...]:
    found = list[str]()
    try:
        for definition in binary.symbols_version_definition:
            found += (str(aux.name) for aux in list(definition.auxiliary_symbols)[:1])
            if len(found) > MAX_NAMES:
                break
    except ValueError:
        return ()
    return tuple(found)


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
    known = _CACHE.setdefault(rootfs, {})
    if path in known:
        return known[path]
    entry = rootfs.lookup(path)
    if entry is None or not entry.is_file or entry.size < HEADER:
        facts = None
    elif entry.path in known:
        facts = known[entry.path]
    else:
        is_elf = rootfs.read(entry.path, len(MAGIC)) == MAGIC
        facts = known[entry.path] = parse_elf(rootfs.read(entry.path)) if is_elf else None
    known[path] = facts
    return facts
