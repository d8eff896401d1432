"""An independent audit of what is kept: is every shared object, symbol version and interpreter still there?

It shares no code with the rules and the loader that made the selection, but the names of platforms: pyelftools reads
the files, and a name is satisfied by any kept object of that name and ABI in a place that the dynamic linker may look
into. What the original image lacks as well is no finding.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_E_MACHINE
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
from elftools.elf.segments import InterpSegment

from debloat.core.model import Closure, ImageConfig, Kind
from debloat.core.platform import of_elf
from debloat.image.rootfs import Rootfs

DAMAGED = (ELFError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, OverflowError)
"""What pyelftools raises on files that are cut off or forged."""
MAX_ITEMS = 10_000
VERSION_SECTIONS = (0x6FFFFFFD, 0x6FFFFFFE)
"""SHT_GNU_verdef and SHT_GNU_verneed (elf.h)."""


@dataclass(frozen=True, slots=True, order=True)
class UnmetNeed:
    """A need of a kept ELF file that the kept files do not satisfy and the original image did.

    `kind` is `interpreter`, `needed` or `version`, `name` what is missing, `detail` where the original has it.
    """

    path: str
    kind: str
    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class _Object:
    """What the audit reads of one ELF file: an ABI, and names."""

    abi: tuple[int, bool, str]
    interpreter: str
    needed: tuple[str, ...]
    soname: str
    search: tuple[str, ...]
    requires: tuple[tuple[str, str], ...]
    defines: frozenset[str]


def audit(rootfs: Rootfs, kept: Closure | Collection[str], config: ImageConfig) -> list[UnmetNeed]:
    """The findings, sorted; none means that ld.so can satisfy each kept file as well as it could originally.

    `kept` are paths of entries, links among them as such.
    """
    names = kept.evidence.keys() if isinstance(kept, Closure) else kept
    return sorted(set(_Audit(rootfs, frozenset(names), config).findings()))


class _Audit:
    def __init__(self, rootfs: Rootfs, kept: frozenset[str], config: ImageConfig) -> None:
        self._rootfs, self._kept, self._config = rootfs, kept, config
        self._objects: dict[str, _Object | None] = {}
        self._by_name: dict[str, list[str]] = {}
        """Where names that kept objects need are in the original."""
        self._cached = _cached_paths(rootfs)

    def findings(self) -> Iterator[UnmetNeed]:
        files = [p for p in sorted(self._kept) if (e := self._rootfs.get(p)) is not None and e.is_file]
        programs = {path: program for path in files if (program := self._object(path)) is not None}
        self._by_name = {posixpath.basename(name): [] for program in programs.values() for name in program.needed}
        for path in self._rootfs.named(*self._by_name):
            if (e := self._rootfs.get(path)) is not None and e.kind in (Kind.FILE, Kind.SYMLINK):
                self._by_name[path.rpartition("/")[2]].append(path)
        searched = frozenset(d for path, program in programs.items() for d in self._own_directories(path, program))
        for path, program in programs.items():
            yield from self._interpreter(path, program)
            yield from self._needed(path, program, searched)

    def _interpreter(self, path: str, program: _Object) -> Iterator[UnmetNeed]:
        if program.interpreter and self._rootfs.is_file(program.interpreter) and not self._stays(program.interpreter):
            yield UnmetNeed(path, "interpreter", program.interpreter)

    def _needed(self, path: str, program: _Object, searched: frozenset[str]) -> Iterator[UnmetNeed]:
        versions: dict[str, set[str]] = {}
        for file, version in program.requires:
            versions.setdefault(file, set()).add(version)
        for name in program.needed:
            places = self._by_name.get(posixpath.basename(name), ())
            providers = [p for p in places if (o := self._object(p)) is not None and o.abi == program.abi]
            reachable = [p for p in providers if "/" in name or self._reachable(p, searched)]
            kept = [p for p in reachable if self._stays(p)]
            if reachable and not kept:
                yield UnmetNeed(path, "needed", name, reachable[0])
            for version in sorted(versions.get(name, ())):
                if not self._defined(version, reachable) or not kept or self._defined(version, kept):
                    continue
                yield UnmetNeed(path, "version", f"{name} ({version})", reachable[0])

    def _defined(self, version: str, paths: Iterable[str]) -> bool:
        objects = [o for p in paths if (o := self._object(p)) is not None]
        return any(version in o.defines or not o.defines for o in objects)

    def _stays(self, path: str) -> bool:
        """Whether a path still leads to a file when only the kept entries are there."""
        resolution = self._rootfs.resolve(path)
        return (
            resolution.path is not None
            and resolution.path in self._kept
            and all(link in self._kept for link in resolution.links)
        )

    def _reachable(self, path: str, searched: frozenset[str]) -> bool:
        """Whether the dynamic linker may look there: by its cache, its default directories, or some object's own."""
        directory = posixpath.dirname(path)
        for ancestor in (directory, posixpath.dirname(directory), posixpath.dirname(posixpath.dirname(directory))):
            if self._real(ancestor) in searched:
                return True
        return self._real(path) in self._cached

    def _real(self, directory: str) -> str:
        return self._rootfs.resolve(directory).path or directory

    def _own_directories(self, path: str, program: _Object) -> Iterator[str]:
        lib = f"lib/{program.abi[2]}" if program.abi[2] else "lib"
        system = tuple(f"{top}{below}" for top in ("", "/usr") for below in ("/lib", f"/{lib}"))
        extra = tuple(self._config.env.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":"))
        for text in (*program.search, *extra, *system):
            for token, value in (("ORIGIN", posixpath.dirname(path)), ("LIB", lib)):
                text = text.replace("${" + token + "}", value).replace("$" + token, value)
            if text.startswith("/") and "$" not in text:
                yield self._real(text)

    def _object(self, path: str) -> _Object | None:
        """The object that a path leads to, read once."""
        real = self._rootfs.resolve(path).path
        if real is None:
            return None
        if real not in self._objects:
            self._objects[real] = self._read(real)
        return self._objects[real]

    def _read(self, path: str) -> _Object | None:
        if not self._rootfs.is_file(path) or self._rootfs.read(path, 4) != b"\x7fELF":
            return None
        try:
            return _object(ELFFile(io.BytesIO(self._rootfs.read(path))))
        except DAMAGED:
            return None


def _object(elf: ELFFile) -> _Object:
    interpreter, needed, soname, search = "", list[str](), "", list[str]()
    dynamic: DynamicSegment | None = None
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            interpreter = segment.get_interp_name()
        elif isinstance(segment, DynamicSegment):
            dynamic = segment
    for tag in _first_items(dynamic.iter_tags()) if dynamic is not None else ():
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
    return _Object(abi, interpreter, tuple(needed), soname, tuple(search), requires, defines)


def _versions(elf: ELFFile) -> tuple[tuple[tuple[str, str], ...], frozenset[str]]:
    """DT_VERNEED and DT_VERDEF, by their sections: a file without section headers has none that this can see."""
    requires, defines = list[tuple[str, str]](), set[str]()
    for section in map(elf.get_section, _version_sections(elf)):
        if not isinstance(section, GNUVerDefSection | GNUVerNeedSection):
            continue
        # One bound for both levels: forged lists may be long, or lead in a circle.
        pairs = ((item, aux) for item, auxiliaries in section.iter_versions() for aux in auxiliaries)
        for item, auxiliary in _first_items(pairs):
            if isinstance(section, GNUVerDefSection):
                defines.add(auxiliary.name)
            # A weak need is one that ld.so does without (VER_FLG_WEAK).
            elif not auxiliary.entry.vna_flags & 2:
                requires.append((item.name, auxiliary.name))
    return tuple(requires), frozenset(defines)


def _version_sections(elf: ELFFile) -> list[int]:
    """Indices of the version sections by their type alone: making all sections takes three times as long."""
    size, start = elf["e_shentsize"], elf["e_shoff"]
    indices = list[int]()
    for index in range(min(elf.num_sections(), MAX_ITEMS)):
        elf.stream.seek(start + index * size + 4)
        if int.from_bytes(elf.stream.read(4), "little" if elf.little_endian else "big") in VERSION_SECTIONS:
            indices.append(index)
    return indices[: len(VERSION_SECTIONS)]


def _first_items(items: Iterable[Any]) -> Iterator[Any]:
    for count, item in enumerate(items):
        if count >= MAX_ITEMS:
            return
        yield item


def _cached_paths(rootfs: Rootfs) -> frozenset[str]:
    """All strings of the loader's cache; the paths of libraries are among them."""
    data = rootfs.read("/etc/ld.so.cache") if rootfs.is_file("/etc/ld.so.cache") else b""
    texts = (raw.decode("utf-8", "surrogateescape") for raw in data.split(b"\0") if raw.startswith(b"/"))
    paths = [rootfs.resolve(text).path or text for text in texts]
    return frozenset(paths)
