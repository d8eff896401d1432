"""Shared libraries that the application loads by name, in whatever language.

`ffi_lib "sodium"`, `ffi.load("sodium")`, `FFI::cdef($h, "libsodium.so.23")`, `Native.load("sodium", ...)`,
`dlopen("libsodium.so.23", RTLD_NOW)`, `LD_PRELOAD=$(find / -name libjemalloc.so.2)`: the loader looks a soname up in
its directories (ld.so(8)), and a name without `lib` and `.so` is completed by whoever calls it. A name that is no
library of the image's brings nothing. A Debian package names what it depends on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from msgspec.structs import replace

from debloat.closure import Rule, World, derived
from debloat.core.model import Entry, Want
from debloat.core.parsed import cached
from debloat.elf.facts import MAGIC
from debloat.rules.application.mentions import MAX_SOURCE, SOURCES, is_source
from debloat.rules.application.survey import is_application
from debloat.rules.commands import with_dependencies
from debloat.rules.interpreters import HEAD
from debloat.rules.languages.compiled.source import read_program
from debloat.rules.languages.java.packages import CLASSES, classes_of
from debloat.rules.languages.java.source import strings
from debloat.rules.languages.shell.language import LANGUAGE as SHELL
from debloat.rules.languages.shell.rules import is_shell
from debloat.rules.scan import WORD_BYTES, Texts
from debloat.selector import ELF, SCRIPT, Selector

PLACES = ("/usr/lib", "/usr/lib/*-linux-gnu*", "/lib", "/lib/*-linux-gnu*", "/usr/local/lib")
"""Directories of libraries (ld.so.conf of Debian)."""

MAX_PROGRAM = 64 << 20

NAME_BYTES = WORD_BYTES | frozenset(b"/.+-")

_SONAME = re.compile(rb"(lib[\w+-][\w.+-]{0,60}?\.so(?:\.\d{1,4}){0,3})(?![\w.])")
_PACKED = re.compile(rb"(lib[a-zA-Z][\w+-]{0,60}?\.so\.\d{1,4})(?!\d)")
_CALLS = Texts(
    (text, rest + rb"([^\n;]{0,200})")
    for text, rest in (
        *((name, rb"\b") for name in (b"ffi_lib", b"ffi.load", b"load-foreign-library", b"dynamic-link", b"dlopen")),
        *((name, rb"\b") for name in (b"ffi.Library", b"koffi.load", b"DllImport", b"NativeLibrary.getInstance")),
        *((name, rb"\b") for name in (b"FFI::cdef", b"FFI::load", b"FFI::Library")),
        (b"Native.load", rb"(?:Library)?\b"),
        (b"find_lib", rb"(?:_or_die)?\b"),
        (b"lib", rb"\s{0,4}=>"),
    )
)
_CLASSES = (b"com/sun/jna/", b"loadLibrary", b"java/lang/foreign/SymbolLookup", b"jnr/ffi/LibraryLoader")
"""What a class names that loads a library: of JNA, JNI, the foreign function interface (JEP 454), JNR-FFI."""
_NAME = re.compile(rb"[\"']([\w.+-]{2,60})[\"']")


class NamedLibraries(Rule):
    """Libraries of the image whose names stand in a source, a script or a compiled program."""

    name: ClassVar[str] = "library.named"
    selector: ClassVar[Selector] = replace(
        SOURCES, endings=(*SOURCES.endings, *SHELL.suffixes, *CLASSES.endings), formats=SCRIPT | ELF
    )

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.size < 8:
            return
        owners = world.packages.owners(entry.path)
        circle = with_dependencies(world, owners) if owners else None
        for name in sorted(set(_names(entry, world, bool(owners)))):
            for path in _libraries(world).get(name, ()):
                real = world.rootfs.resolve(path).path or path
                if circle is None or not circle.isdisjoint(world.packages.owners(real)):
                    yield self.want(path, entry.path, f"names {name}")


def _names(entry: Entry, world: World, owned: bool) -> Iterator[str]:
    """The names of libraries, as they stand in the file: sonames, and others where a call loads one."""
    if not owned and is_application(world, entry.path):
        for data in classes_of(entry, world):
            if any(name in data for name in _CLASSES):
                yield from (text for text in strings(data) if len(text) <= 60)
    if entry.size <= MAX_SOURCE and _is_text(entry, world):
        yield from _in_source(world.rootfs.read(entry.path))
    elif not owned and entry.size <= MAX_PROGRAM and is_application(world, entry.path):
        data = world.rootfs.read(entry.path) if world.rootfs.read(entry.path, 4) == MAGIC else b""
        yield from _in_program(data)


@cached(list, tuple)
def _in_source(data: bytes) -> tuple[str, ...]:
    names = set(_sonames(data)) if b".so" in data else set()
    names |= {name.decode() for call in _CALLS.groups(data) for name in _NAME.findall(call)}
    return tuple(sorted(names))


@cached(list, tuple)
def _in_program(data: bytes) -> tuple[str, ...]:
    if b"dlopen" not in data:
        return ()
    data = read_program(data).data
    return tuple(sorted({*_sonames(data), *(name.decode() for name in _PACKED.findall(data))}))


def _sonames(data: bytes) -> Iterator[str]:
    """The sonames that stand there by themselves, as no part of a path or of a longer name."""
    for match in _SONAME.finditer(data):
        if not match.start() or data[match.start() - 1] not in NAME_BYTES:
            yield match[1].decode()


def _is_text(entry: Entry, world: World) -> bool:
    if is_source(entry, world):
        return True
    return is_shell(entry.path, world.rootfs.read(entry.path, HEAD))


@derived
def _libraries(world: World) -> dict[str, tuple[str, ...]]:
    """What a library may be called: its file's name, that without a version, and that without `lib` and `.so`."""
    by_name: dict[str, list[str]] = {}
    for place in PLACES:
        for path in world.rootfs.glob(f"{place}/lib*.so*"):
            file = path.rpartition("/")[2]
            stem, _, version = file.partition(".so")
            if not version or re.fullmatch(r"(?:\.\d+)+", version):
                major = ".".join(version.split(".")[:2])
                for name in {file, f"{stem}.so{major}", f"{stem}.so", stem, stem.removeprefix("lib")}:
                    by_name.setdefault(name, []).append(path)
    return {name: _best(name, paths) for name, paths in by_name.items()}


def _best(name: str, paths: list[str]) -> tuple[str, ...]:
    """The files that have the very name; all that may be meant where none has."""
    exact = tuple(path for path in paths if path.endswith(f"/{name}"))
    return exact or tuple(sorted(paths))


RULES: tuple[Rule, ...] = (NamedLibraries(),)
