"""ELF files as pyelftools reads them, for the audit: the rules have theirs from another library (`parser.py`)."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_E_MACHINE
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
from elftools.elf.segments import InterpSegment

from debloat.core.platform import of_elf
from debloat.elf.object import ElfObject

DAMAGED = (ELFError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, OverflowError)
"""What pyelftools raises on files that are cut off or forged."""
MAX_ITEMS = 10_000
VERSION_SECTIONS = (0x6FFFFFFD, 0x6FFFFFFE)
"""SHT_GNU_verdef and SHT_GNU_verneed (elf.h)."""


def read(data: bytes) -> ElfObject | None:
    """What the audit reads of a file; None for what is damaged beyond reading."""
    try:
        return _object(ELFFile(io.BytesIO(data)))
    except DAMAGED:
        return None


def _object(elf: ELFFile) -> ElfObject:
    interpreter, needed, soname, search = "", list[str](), "", list[str]()
    dynamic: DynamicSegment | None = None
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            interpreter = segment.get_interp_name()
        elif isinstance(segment, DynamicSegment):
            dynamic = segment
    for tag in _some(dynamic.iter_tags()) if dynamic is not None else ():
        match tag.entry.d_tag:
            case "DT_NEEDED":
                needed.append(tag.needed)
            case "DT_SONAME":
                soname = tag.soname
            case "DT_RPATH":
                search += tag.rpath.split(":")
            case "DT_RUNPATH":
                search += tag.runpath.split(":")
    requires, defines = _versions(elf)
    machine = ENUM_E_MACHINE.get(elf["e_machine"], 0)
    platform = of_elf(elf.elfclass, machine, elf.little_endian, elf["e_flags"])
    abi = (elf.elfclass, elf.little_endian, platform.multiarch if platform else str(elf["e_machine"]))
    return ElfObject(abi, interpreter, tuple(needed), soname, tuple(search), requires, defines)


def _versions(elf: ELFFile) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """DT_VERNEED and DT_VERDEF, by their sections: a file without section headers has none that this can see."""
    requires, defines = list[tuple[str, str]](), set[str]()
    for section in map(elf.get_section, _version_sections(elf)):
        if not isinstance(section, GNUVerDefSection | GNUVerNeedSection):
            continue
        # One bound for both levels: forged lists may be long, or lead in a circle.
        pairs = ((item, aux) for item, auxiliaries in section.iter_versions() for aux in auxiliaries)
        for item, auxiliary in _some(pairs):
            if isinstance(section, GNUVerDefSection):
                defines.add(auxiliary.name)
            # A weak need is one that ld.so does without (VER_FLG_WEAK).
            elif not auxiliary.entry.vna_flags & 2:
                requires.append((item.name, auxiliary.name))
    return tuple(requires), tuple(sorted(defines))


def _version_sections(elf: ELFFile) -> list[int]:
    """Indices of the version sections by their type alone: making all sections takes three times as long."""
    size, start = elf["e_shentsize"], elf["e_shoff"]
    indices = list[int]()
    for index in range(min(elf.num_sections(), MAX_ITEMS)):
        elf.stream.seek(start + index * size + 4)
        if int.from_bytes(elf.stream.read(4), "little" if elf.little_endian else "big") in VERSION_SECTIONS:
            indices.append(index)
    return indices[: len(VERSION_SECTIONS)]


def _some(items: Iterable[Any]) -> Iterator[Any]:
    for count, item in enumerate(items):
        if count >= MAX_ITEMS:
            return
        yield item
