"""An independent audit of what is kept: is every shared object, symbol version and interpreter still there?

It shares no code with the rules and the loader that made the selection, but the names of platforms: pyelftools reads
the files, and a name is satisfied by any kept object of that name and ABI in a place that the dynamic linker may look
into. What the original image lacks as well is no finding.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple

from debloat.core.model import Closure, ImageConfig, Kind
from debloat.core.parsed import cached
from debloat.elf.facts import MAGIC
from debloat.elf.object import ElfObject
from debloat.image.rootfs import Rootfs


class UnmetNeed(Struct, frozen=True, order=True):
    """A need of a kept ELF file that the kept files do not satisfy and the original image did.

    `kind` is `interpreter`, `needed` or `version`, `name` what is missing, `detail` where the original has it.
    """

    path: str
    kind: str
    name: str
    detail: str = ""


def audit(rootfs: Rootfs, kept: Closure | Collection[str], config: ImageConfig) -> list[UnmetNeed]:
    """The findings, sorted; none means that ld.so can satisfy each kept file as well as it could originally.

    `kept` are paths of entries, links among them as such.
    """
    names = kept.evidence.keys() if isinstance(kept, Closure) else kept
    return sorted(set(_Audit(rootfs, frozenset(names), config).findings()))


class _Audit:
    def __init__(self, rootfs: Rootfs, kept: frozenset[str], config: ImageConfig) -> None:
        self._rootfs, self._kept, self._config = rootfs, kept, config
        self._objects: dict[str, ElfObject | None] = {}
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

    def _interpreter(self, path: str, program: ElfObject) -> Iterator[UnmetNeed]:
        if program.interpreter and self._rootfs.is_file(program.interpreter) and not self._stays(program.interpreter):
            yield UnmetNeed(path, "interpreter", program.interpreter)

    def _needed(self, path: str, program: ElfObject, searched: frozenset[str]) -> Iterator[UnmetNeed]:
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

    def _own_directories(self, path: str, program: ElfObject) -> Iterator[str]:
        lib = f"lib/{program.abi[2]}" if program.abi[2] else "lib"
        system = tuple(f"{top}{below}" for top in ("", "/usr") for below in ("/lib", f"/{lib}"))
        extra = tuple(self._config.env.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":"))
        for text in (*program.search, *extra, *system):
            for token, value in (("ORIGIN", posixpath.dirname(path)), ("LIB", lib)):
                text = text.replace("${" + token + "}", value).replace("$" + token, value)
            if text.startswith("/") and "$" not in text:
                yield self._real(text)

    def _object(self, path: str) -> ElfObject | None:
        """The object that a path leads to, read once."""
        real = self._rootfs.resolve(path).path
        if real is None:
            return None
        if real not in self._objects:
            self._objects[real] = self._read(real)
        return self._objects[real]

    def _read(self, path: str) -> ElfObject | None:
        if not self._rootfs.is_file(path) or self._rootfs.read(path, 4) != MAGIC:
            return None
        return _object_of(self._rootfs.read(path))


def _cached_paths(rootfs: Rootfs) -> frozenset[str]:
    """All strings of the loader's cache; the paths of libraries are among them."""
    data = rootfs.read("/etc/ld.so.cache") if rootfs.is_file("/etc/ld.so.cache") else b""
    texts = (raw.decode("utf-8", "surrogateescape") for raw in data.split(b"\0") if raw.startswith(b"/"))
    paths = [rootfs.resolve(text).path or text for text in texts]
    return frozenset(paths)


def _to_json(elf_object: ElfObject | None) -> list[Any] | None:
    return None if elf_object is None else list(astuple(elf_object))


def _from_json(values: list[Any] | None) -> ElfObject | None:
    if values is None:
        return None
    abi, interpreter, needed, soname, search, requires, defines = values
    bits, little_endian, platform = abi
    pairs = tuple((file, version) for file, version in requires)
    return ElfObject(
        (bits, little_endian, platform), interpreter, tuple(needed), soname, tuple(search), pairs, tuple(defines)
    )


@cached(_to_json, _from_json)
def _object_of(data: bytes) -> ElfObject | None:
    """What pyelftools reads of a file; loading it costs as much as reading a hundred files."""
    from debloat.elf.pyelftools import read

    return read(data)
