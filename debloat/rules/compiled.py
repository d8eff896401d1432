"""Compiled programs of the application: the paths that stand in them, and the programs that they may start by name.

The text of a compiled program cannot be read as source is, but its literals lie in the file as they were written: C
ends each with a NUL, Java begins the next with a small number, .NET doubles their bytes, Go and Rust pack them
without anything in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

from debloat.closure import Rule, World
from debloat.model import Entry, Want
from debloat.rules.application import MANY, is_application
from debloat.rules.classfile import compiled_classes
from debloat.rules.dockerfile import installed_packages
from debloat.rules.families import left_out
from debloat.rules.plugins import SHARED, STORES
from debloat.rules.shell import BUILD_TIME

MAX_PROGRAM = 256 << 20
MAX_TREE = 16 << 20
"""Bytes of a directory that is named; a larger one is a store of which something is picked."""

MAX_PATH = 200

_START = re.compile(rb"/(?:etc|usr|bin|sbin|lib|lib64|opt|srv)/(?=([\x21-\x7e]{1,200}))")
_PACKED = (b"\xff Go buildinf:", b"Go build ID:", b"/rustc/")
"""Marks of compilers that pack literals (Go's runtime/debug.ReadBuildInfo; rustc's remapped sources)."""

_WORD = re.compile(r"[\w.+@%-]")
_TREES = re.compile(r"/(?:etc|usr/share|usr/lib|opt)/.+")


class CompiledPaths(Rule):
    """Files and directories of the distribution whose paths stand in a compiled program of the application.

    Go's time package names /usr/share/zoneinfo, mime the tables of types, `exec.Command("/usr/bin/gm")` its program.
    """

    name = "compiled.path"

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        data = _program(entry, world)
        contents = [data] if data.startswith(b"\x7fELF") else compiled_classes(entry, world)
        for path in sorted({path for content in contents for path in paths(content, world)}):
            if STORES.fullmatch(path) or is_application(world, path):
                continue
            if not world.rootfs.is_dir(path):
                if path.rpartition("/")[2] not in BUILD_TIME:
                    yield self.want(path, entry.path, "its path stands in the program")
            elif _TREES.fullmatch(path) and not SHARED.fullmatch(path) and len(world.packages.owners(path)) <= MANY:
                yield from self._tree(path, entry.path, world)

    def _tree(self, directory: str, source: str, world: World) -> Iterator[Want]:
        unwanted = world.derived(left_out)
        found = [e for e in world.rootfs.walk(directory) if not unwanted(e.path)]
        if sum({e.hardlink or e.path: e.size for e in found if e.is_file}.values()) <= MAX_TREE:
            for entry in found:
                yield Want(
                    entry.path, self.name, source, f"below {directory}, which stands in the program", follow=False
                )


class CompiledPrograms(Rule):
    """Programs of packages that the Dockerfile asked for by name, where a compiled program of the application says
    the program's name: what was installed for it, and is started through PATH.
    """

    name = "compiled.program"

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        programs = world.derived(_asked_for)
        data = _program(entry, world) if programs else b""
        for name, path in programs:
            wide = name.encode("utf-16-le") if data.startswith(b"MZ") else None
            if (wide or name.encode()) in data:
                yield self.want(path, entry.path, f"says {name}, which the Dockerfile installed")


def _program(entry: Entry, world: World) -> bytes:
    """The content of a compiled program or library of the application, else nothing."""
    if not entry.is_file or not 64 < entry.size <= MAX_PROGRAM or not is_application(world, entry.path):
        return b""
    if world.rootfs.read(entry.path, 4)[:4] != b"\x7fELF" and not entry.name.endswith((".dll", ".exe")):
        return b""
    return world.rootfs.read(entry.path)


def paths(data: bytes, world: World) -> Iterator[str]:
    """Real paths of the image that stand in a program, directories only where a literal may end after them."""
    packed = any(mark in data for mark in _PACKED)
    seen = set[bytes]()
    for match in _START.finditer(data):
        text = match[0] + match[1]
        if text not in seen:
            seen.add(text)
            path = _longest(text.decode("ascii")[:MAX_PATH], packed, world)
            if path is not None:
                yield path


def _longest(text: str, packed: bool, world: World) -> str | None:
    """The path that a text begins with: the whole text, up to what is no part of a name, or, where literals are
    packed, as much of it as there is in the image.
    """
    rootfs, here, rest = world.rootfs, "", text
    while True:
        rest = rest.lstrip("/")
        part = rest.partition("/")[0]
        names = world.derived(partial_names)(here or "/")
        length = next((n for n in range(len(part), 0, -1) if part[:n] in names), 0)
        if not length:
            # A directory with a slash behind it, where the literal ends; where that is cannot be seen if it is packed.
            return here if here and (not part or (packed and here.startswith(("/etc/", "/usr/share/")))) else None
        real = rootfs.resolve(f"{here}/{part[:length]}").path
        if real is None:
            return None
        here, rest = real, rest[length:]
        if rest.startswith("/") and rootfs.is_dir(here):
            continue
        if rootfs.is_dir(here):
            return here if not rest else None
        return here if not rest or packed or not _WORD.match(rest) else None


def partial_names(world: World) -> partial[frozenset[str]]:
    """A function that gives the names in a directory as a set, remembered; for `World.derived`."""
    return partial(_names, world, {})


def _names(world: World, known: dict[str, frozenset[str]], directory: str) -> frozenset[str]:
    if directory not in known:
        known[directory] = frozenset(world.rootfs.names(directory))
    return known[directory]


def _asked_for(world: World) -> tuple[tuple[str, str], ...]:
    """Names and paths of the programs of packages that the Dockerfile names; of what a metapackage depends on."""
    asked = set[str]()
    for bare in installed_packages(world.history):
        for name in world.packages.providers(bare):
            package = world.packages.get(name)
            own = any(p.startswith(("/usr/bin/", "/usr/sbin/", "/bin/")) for p in world.packages.files(name))
            asked.add(name)
            if package is not None and not own:
                asked |= {p for options in package.depends for o in options for p in world.packages.providers(o)}
    found = {}
    for directory in reversed(world.config.path):
        for name in world.rootfs.names(directory) if world.rootfs.is_dir(directory) else ():
            real = world.rootfs.resolve(f"{directory}/{name}").path
            if real is not None and not asked.isdisjoint(world.packages.owners(real)) and name not in BUILD_TIME:
                found[name] = f"{directory}/{name}"
    return tuple(sorted(found.items()))


RULES: tuple[Rule, ...] = (CompiledPaths(), CompiledPrograms())
