"""Compiled programs of the application: the paths that stand in them, and the programs that they may start by name.

The text of a compiled program cannot be read as source is, but its literals lie in the file as they were written: C
ends each with a NUL, Java begins the next with a small number, .NET doubles their bytes, Go and Rust pack them
without anything in between. `source.py` separates those of ELF programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World, derived, derived_by
from debloat.core.model import Entry, Want
from debloat.elf.facts import MAGIC
from debloat.rules import languages
from debloat.rules.application.build import asked_packages
from debloat.rules.application.survey import MAX_OWNERS, is_application
from debloat.rules.cmdline import programs
from debloat.rules.commands import assumed_packages, on_path
from debloat.rules.knowledge.families import left_out
from debloat.rules.knowledge.plugins import SHARED_DIRECTORY, STORES
from debloat.rules.knowledge.tools import MAX_TOOL_BYTES
from debloat.rules.languages.compiled.source import PACKED, Program, literals, read_program, starts_programs
from debloat.rules.languages.java.packages import CLASSES, classes_of
from debloat.rules.programs import BUILD_TIME, DIRECTORIES
from debloat.selector import ELF, FILES, Selector

MAX_PROGRAM = 256 << 20
MAX_TREE_BYTES = 16 << 20
"""Bytes of a named directory up to which it is kept whole; from a larger one the program picks."""

MAX_PATH = 200
WINDOWS = (".dll", ".exe")
"""Of programs in the Portable Executable format, which .NET runs here too."""

SETID_BITS = 0o6000
"""The bits of set-user-ID and set-group-ID (chmod(2))."""

_START = re.compile(rb"/(?:etc|usr|bin|sbin|lib|lib64|opt|srv)/(?=([\x21-\x7e]{1,200}))")
SOURCES = re.compile(
    "/usr/include/.*|/usr/lib/gcc(?:-cross)?/.*|.*(?:{})".format(
        "|".join(
            re.escape(suffix) for language in languages.known() if language.compiled for suffix in language.suffixes
        )
    ),
    re.DOTALL,
)
"""What was compiled: assertions, panics and tables of lines name the sources, and nothing opens them."""

_WORD = re.compile(r"[\w.+@%-]")
_TREES = re.compile(r"/(?:etc|usr/share|usr/lib|opt)/.+")


class CompiledPaths(Rule):
    """Files and directories of the distribution whose paths stand in a compiled program of the application.

    Go's time package names /usr/share/zoneinfo, mime the tables of types, `exec.Command("/usr/bin/gm")` its program.
    """

    name = "compiled.path"
    selector = Selector(FILES, endings=CLASSES.endings, formats=ELF)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        data = _program(entry, world).data
        contents = [data] if data.startswith(MAGIC) else classes_of(entry, world)
        for path in sorted({path for content in contents for path in paths(content, world)}):
            real = world.rootfs.resolve(path).path or path
            if STORES.fullmatch(real) or is_application(world, real):
                continue
            if not world.rootfs.is_dir(real):
                names = {path.rpartition("/")[2], real.rpartition("/")[2]}
                if names.isdisjoint(BUILD_TIME) and not SOURCES.fullmatch(real):
                    yield self.want(path, entry.path, "its path stands in the program")
            elif not _TREES.fullmatch(real) or SHARED_DIRECTORY.fullmatch(real) or SOURCES.fullmatch(f"{real}/"):
                continue
            elif len(world.packages.owners(real)) <= MAX_OWNERS:
                if path != real:
                    yield self.want(path, entry.path, "its path stands in the program")
                yield from self._tree(real, entry.path, world)

    def _tree(self, directory: str, source: str, world: World) -> Iterator[Want]:
        unwanted = left_out(world)
        entries = [e for e in world.rootfs.walk(directory) if not unwanted(e.path) and not SOURCES.fullmatch(e.path)]
        if sum({e.hardlink or e.path: e.size for e in entries if e.is_file}.values()) <= MAX_TREE_BYTES:
            for entry in entries:
                yield Want(
                    entry.path, self.name, source, f"below {directory}, which stands in the program", follow=False
                )


class CompiledPrograms(Rule):
    """Programs that a compiled program of the application starts by name, through PATH.

    Of packages that the Dockerfile asked for by name, those whose name stands in it at all: they were installed for
    it. A Go program, in which each text can be separated from the next, must have one that is the name or may be a
    command.

    Of all others, where it can start any: what a line for a shell runs (`sort -u %s`, ` | uniq -c`); of Essential
    packages, which programs take for granted, also a name and no more, and what may be a message as well (`cp %s %s`).
    """

    name = "compiled.program"
    selector = Selector(FILES, endings=WINDOWS, formats=ELF)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        program = _program(entry, world)
        if not program.data:
            return
        requested, starts = _requested_programs(world), starts_programs(program)
        texts = sorted(literals(program)) if starts else []
        if not (program.is_go and (texts or not starts)):
            wide = "utf-16-le" if program.data.startswith(b"MZ") else "utf-8"
            for name, path in requested.items():
                if name.encode(wide) in program.data:
                    yield self.want(path, entry.path, f"says {name}, which the Dockerfile installed")
            requested = {}
        few = re.compile(_SHORT_PHRASE.format("|".join(map(re.escape, requested)) or "(?!)"))
        for text in texts:
            line, command = _SHELL_LINE.search(text), _COMMAND_WITH_ARGUMENT.fullmatch(text)
            for word in commands(text) if line or command or few.fullmatch(text) else ():
                executable = on_path(world, word)
                if executable is None or word.rpartition("/")[2] in BUILD_TIME:
                    continue
                if line or word in requested or (command and _is_essential_tool(executable, world)):
                    yield self.want(executable, entry.path, f"starts programs, and says {text[:80]}")


_NAME = r"[a-z\d][\w.+/-]*"
_SHELL_LINE = re.compile(
    rf"^\s*{_NAME}(?:\s+[\w./:=+%-]+)?\s+--?[a-zA-Z]|[|;&]\s*{_NAME}\s+--?[a-zA-Z]|\s(?:[|]|&&|[|][|])\s+{_NAME}(?:\s|$)"
)
"""A command, perhaps with a word of its own, and an option; or a command behind what stands between two."""
_COMMAND_WITH_ARGUMENT = re.compile(rf"{_NAME}(?:\s+(?:\S+\s+)?(?:[-%/$~'\"]|[<>](?!=)).*)?", re.DOTALL)
"""A command alone, or with what may be an argument."""
_SHORT_PHRASE = r"\s*(?:[\w./:=@-]+\s+){{0,2}}(?:{})(?:\s+[\w./:=@-]+){{0,2}}\s*"
"""A few words, one of them a certain name: `git log`; more of them are a message."""
_PIPED = re.compile(rf"(?:\$\(|(?:[|;]|&&)\s+)({_NAME})(?=[\s;|&)]|$)")
"""A command after another, in a text that may begin or end within a line."""


def commands(text: str) -> tuple[str, ...]:
    """The words of a text that would run programs if a shell read it."""
    return tuple(dict.fromkeys((*programs(text.strip()), *_PIPED.findall(text))))


def _is_essential_tool(path: str, world: World) -> bool:
    """Whether a program is of an Essential package, is no large one, and lends nobody its owner's rights."""
    entry = world.rootfs.lookup(path)
    if entry is None or entry.size > MAX_TOOL_BYTES or entry.mode & SETID_BITS:
        return False
    return not assumed_packages(world, ()).isdisjoint(world.packages.owners(entry.path))


def _program(entry: Entry, world: World) -> Program:
    """A compiled program or library of the application; one without data for any other entry."""
    if not entry.is_file or not 64 < entry.size <= MAX_PROGRAM or not is_application(world, entry.path):
        return Program(b"")
    if world.rootfs.read(entry.path, 4) != MAGIC and not entry.name.endswith(WINDOWS):
        return Program(b"")
    return read_program(world.rootfs.read(entry.path))


def paths(data: bytes, world: World) -> Iterator[str]:
    """Paths of the image that stand in a program, as it names them; directories only where a literal may end there."""
    packed = any(mark in data for mark in PACKED)
    visited = set[bytes]()
    for match in _START.finditer(data):
        text = match[0] + match[1]
        if text not in visited:
            visited.add(text)
            path = _longest_path(text.decode("ascii")[:MAX_PATH], packed, world)
            if path is not None:
                yield path


def _longest_path(text: str, packed: bool, world: World) -> str | None:
    """The path that a text begins with: the whole text, up to what is no part of a name, or, where literals are
    packed, as much of it as there is in the image.
    """
    rootfs, base, named, rest = world.rootfs, "", "", text
    while True:
        rest = rest.lstrip("/")
        part = rest.partition("/")[0]
        names = _names(world, base or "/")
        length = next((n for n in range(len(part), 0, -1) if part[:n] in names), 0)
        if not length:
            # A directory with a slash behind it, where the literal ends; where that is cannot be seen if it is packed.
            return named if base and (not part or (packed and base.startswith(("/etc/", "/usr/share/")))) else None
        real = rootfs.resolve(f"{base}/{part[:length]}").path
        if real is None:
            return None
        base, named, rest = real, f"{named}/{part[:length]}", rest[length:]
        if rest.startswith("/") and rootfs.is_dir(base):
            continue
        if rootfs.is_dir(base):
            return named if not rest else None
        return named if not rest or packed or not _WORD.match(rest) else None


@derived_by
def _names(world: World, directory: str) -> frozenset[str]:
    return frozenset(world.rootfs.names(directory))


@derived
def _requested_programs(world: World) -> dict[str, str]:
    """Names and paths of the programs of packages that the Dockerfile names; of what a metapackage depends on."""
    requested = set[str]()
    for name in asked_packages(world):
        package = world.packages.get(name)
        own = any(p.startswith(DIRECTORIES) for p in world.packages.files(name))
        requested.add(name)
        if package is not None and not own:
            requested |= {p for options in package.depends for o in options for p in world.packages.providers(o)}
    path_of = {}
    for directory in reversed(world.config.path):
        for name in world.rootfs.names(directory) if world.rootfs.is_dir(directory) else ():
            real = world.rootfs.resolve(f"{directory}/{name}").path
            if real is not None and not requested.isdisjoint(world.packages.owners(real)) and name not in BUILD_TIME:
                path_of[name] = f"{directory}/{name}"
    return dict(sorted(path_of.items()))


RULES: tuple[Rule, ...] = (CompiledPaths(), CompiledPrograms())
