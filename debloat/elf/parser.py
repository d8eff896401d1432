"""ELF files as LIEF reads them. Loading it takes longer than reading the files of most images, so nothing imports this
module before there is a file to read that no earlier run has read (`debloat.core.parsed`).
"""

from __future__ import annotations

import itertools
import struct
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from debloat.core.signals import held_back
from debloat.elf.facts import (
    MAX_NAME,
    MAX_NAMES,
    MAX_NEEDED,
    MAX_NOTES,
    MAX_SEGMENTS,
    TYPES,
    DlopenFeature,
    ElfFacts,
    looks_like_elf,
    parse_dlopen_notes,
)

with held_back():  # an exception while its C++ side is being set up aborts the process, and nothing is given back
    import lief

T = TypeVar("T")

TAG = lief.ELF.DynamicEntry.TAG


def parse(data: bytes) -> ElfFacts | None:
    """The facts of an ELF image; None for what is damaged beyond reading. Never raises."""
    return read_elf(data, _facts)


def read_elf(data: bytes, read: Callable[[bytes, lief.ELF.Binary], T]) -> T | None:
    """What `read` makes of a file as LIEF sees it, without symbols; None where it, or LIEF, cannot make anything of it.

    Whatever lies in the file, nothing is raised: LIEF reports much of what is damaged only when it is asked for.
    """
    if not looks_like_elf(data):
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
        names = (_text(self._data[start : start + MAX_NAME]) for start in starts if start < len(self._data))
        return tuple(dict.fromkeys(name for name in names if name))


def tag_of(tag: Any) -> int:
    """A tag's number as it stands in the file; LIEF adds the machine in the upper bits of those specific to one."""
    return int(getattr(tag, "value", tag)) & 0xFFFFFFFF


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _defines(binary: lief.ELF.Binary) -> tuple[str, ...]:
    versions = list[str]()
    try:
        for definition in binary.symbols_version_definition:
            versions += (str(aux.name) for aux in list(definition.auxiliary_symbols)[:1])
            if len(versions) > MAX_NAMES:
                break
    except ValueError:
        return ()
    return tuple(versions)
