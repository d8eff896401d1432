"""What the application's sources mention: literal paths, and names of programs that stand in no call.

`truetype("/usr/share/fonts/x.ttf")` names a file; `TOOL = "pdftoppm"`, `{"png": "convert"}`, a default argument and
`environ.get("JQ", "jq")` name a program that some other line starts. No reader of calls sees these. So in a source file
of the application a literal that is the path of a file counts, whatever the language; and in one that starts programs
at all, a literal that is the name of a program. Interpreters, and what builds and installs, are not followed from a
mere mention.

Packages of pip, npm and gem are others' code, which names whatever it could do: what it does here was asked for by
name, and stays for that. A Debian package depends on what it needs: of a mention there the programs of its Depends
follow.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from msgspec.structs import replace

from debloat.closure import Rule, World, derived, derived_by
from debloat.core.model import Entry, Level, Want
from debloat.core.parsed import cached
from debloat.core.shells import SHELLS
from debloat.rules import languages
from debloat.rules.application.survey import is_application
from debloat.rules.commands import SYSTEM_PATH, with_dependencies
from debloat.rules.interpreters import is_script_of, script_head
from debloat.rules.knowledge.families import left_out
from debloat.rules.knowledge.plugins import SHARED_DIRECTORY, STORES
from debloat.rules.programs import BUILD_TIME
from debloat.rules.scan import Texts
from debloat.selector import FILES, SCRIPT, Selector

MAX_SOURCE = 2 << 20
"""Larger files are data or bundles."""

MAX_DIRECTORY = 4 << 20
"""Bytes of a directory of packages that a literal names: more is a place to look in."""

MAX_MENTIONS = 500
"""A source with more literal paths or names of programs is a table of them."""

STARTS = Texts(
    words=(b"system", b"systemx", b"qx", b"exec", b"import sh"),
    fragments=(
        *(b"subprocess", b"popen", b"spawn", b"execv", b"execl", b"child_process", b"shell_exec", b"proc_open"),
        *(b"passthru", b"Open3", b"open3", b"IPC::", b"ProcessBuilder", b"plumbum", b"os.execute"),
        *(b"from 'zx", b'from "zx', (b"Process", rb"\b")),
        *((b"exec", rb"(?:File|Sync|a)?\s*\("), (b"system", rb"\s*\(")),
    ),
)
"""Words one of which stands in every source that starts programs, in all languages."""

_PATH = re.compile(rb"[\"'`](/(?:[\w.+@-]+/)*[\w.+@-]+)/?[\"'`]")
_WORD = re.compile(rb"[\"'`]([A-Za-z0-9][\w.+-]{1,40})[\"'` ]")
_LIST = re.compile(rb"(?:%w|qw)\s{0,3}[\[({/<]([\w.+\s-]{1,1000})[\])}/>]")
_SETTING = re.compile(
    rb"^\s*(?:export\s+)?[A-Za-z_]\w*=[\"']?(/(?:[\w.+@-]+/)*[\w.+@-]+|[A-Za-z0-9][\w.+-]{1,40})", re.MULTILINE
)


SUFFIXES = tuple(suffix for language in languages.known() if not language.compiled for suffix in language.suffixes)
FILE_NAMES = frozenset(name for language in languages.known() for name in language.file_names)

SOURCES = Selector(FILES, names=FILE_NAMES, endings=SUFFIXES, formats=SCRIPT)
"""What may be source code of any language."""


class SourceMentions(Rule):
    """Files that the application's sources name by a literal path, and programs that they name and start elsewhere."""

    name: ClassVar[str] = "source.mention"
    level: ClassVar[Level] = Level.SAFE
    selector: ClassVar[Selector] = replace(SOURCES, beginnings=(".",))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not 0 < entry.size <= MAX_SOURCE:
            return
        if owners := world.packages.owners(entry.path):
            yield from self._of_package(entry, owners, world)
            return
        if not is_application(world, entry.path):
            return
        dotfile = entry.name.startswith(".") and not entry.name.endswith(SUFFIXES)
        if not dotfile and not is_source(entry, world):
            return
        data = world.rootfs.read(entry.path)
        if b"\0" in data[:1024]:
            return
        for path in sorted(_paths(data, dotfile)):
            yield from self._path(world, path, entry.path)
        for word in sorted(_names(data, dotfile) & _programs(world).keys()):
            path, _ = _programs(world)[word]
            yield self.want(path, entry.path, f"mentions {word}")

    def _of_package(self, entry: Entry, owners: tuple[str, ...], world: World) -> Iterator[Want]:
        """The programs of what a library's package depends on, in its sources: that is what it depends on them for."""
        if not entry.name.endswith(SUFFIXES) or not _needs(world, owners):
            return
        for word in sorted(_names(world.rootfs.read(entry.path), dotfile=False) & _needs(world, owners).keys()):
            yield self.want(_needs(world, owners)[word], entry.path, f"mentions {word}")

    def _path(self, world: World, path: str, source: str) -> Iterator[Want]:
        entry = world.rootfs.lookup(path)
        if entry is None or path.count("/") < 2 or SHARED_DIRECTORY.fullmatch(entry.path) or _passive(path):
            return
        if not entry.is_dir:
            yield self.want(path, source, "a literal path")
            return
        if STORES.fullmatch(entry.path):
            return
        unwanted = left_out(world)
        # What no package brought is the application's by itself, or left over.
        packaged = (e for e in world.rootfs.walk(entry.path) if not e.is_dir and world.packages.owners(e.path))
        files = [file for file in packaged if not unwanted(file.path)]
        yield self.want(path, source, "a literal path")
        if sum(file.size for file in files) <= MAX_DIRECTORY:
            for file in files:
                yield self.want(file.path, source, f"below the literal path {path}")


def _paths(data: bytes, dotfile: bool) -> set[str]:
    literals = set(_PATH.findall(data))
    if dotfile:
        literals |= {value for value in _SETTING.findall(data) if value.startswith(b"/")}
    return _texts(literals) if len(literals) <= MAX_MENTIONS else set()


def _names(data: bytes, dotfile: bool) -> set[str]:
    if dotfile:
        return _texts(value for value in _SETTING.findall(data) if not value.startswith(b"/"))
    if not _starts(data):
        return set()
    literals = {*_WORD.findall(data), *(word for words in _LIST.findall(data) for word in words.split())}
    return _texts(literals)


@cached(bool, bool)
def _starts(data: bytes) -> bool:
    return STARTS.stand_in(data)


def _texts(literals: Iterable[bytes]) -> set[str]:
    return {value.decode("utf-8", "surrogateescape") for value in literals}


def _passive(path: str) -> bool:
    """Whether a path names a program that only builds, or an interpreter: a mere mention starts neither."""
    name = path.rpartition("/")[2]
    return "/bin/" in path and (name in BUILD_TIME or _interpreter().match(name) is not None)


@derived
def _programs(world: World) -> dict[str, tuple[str, bool]]:
    """The programs on PATH that a mention can mean: name -> path and whether an Essential package brought it."""
    programs: dict[str, tuple[str, bool]] = {}
    for directory in dict.fromkeys((*world.config.path, *SYSTEM_PATH)):
        for name in world.rootfs.names(directory) if world.rootfs.is_dir(directory) else ():
            entry = world.rootfs.lookup(f"{directory}/{name}")
            if name in programs or entry is None or not entry.executable:
                continue
            if name not in BUILD_TIME and name not in SHELLS and _interpreter().match(name) is None:
                owners = (world.packages.get(owner) for owner in world.packages.owners(entry.path))
                essential = any(owner is not None and owner.essential for owner in owners)
                programs[name] = (f"{directory.rstrip('/')}/{name}", essential)
    return programs


@derived_by
def _needs(world: World, owners: tuple[str, ...]) -> dict[str, str]:
    """The programs of the packages that some packages depend on by name, Essential ones left out: name -> path."""
    names = with_dependencies(world, owners) - frozenset(owners)
    programs: dict[str, str] = {}
    for word, (path, essential) in _programs(world).items():
        real = world.rootfs.resolve(path).path or path
        if not essential and not names.isdisjoint(world.packages.owners(real)):
            programs[word] = path
    return programs


@functools.cache
def _interpreter() -> re.Pattern[str]:
    """Interpreters and package managers of all languages, by the beginning of their names."""
    records = languages.known()
    managers = {
        re.escape(name) for language in records for name in (*language.package_managers, *language.build_programs)
    }
    names = "|".join([*(language.interpreters for language in records if language.interpreters), *sorted(managers)])
    return re.compile(rf"(?:{names})(?:[\d.-].*)?$")


def is_source(entry: Entry, world: World) -> bool:
    """Whether a file is source code, by its name or by its `#!` line: of any language but the shells."""
    if entry.name.endswith(SUFFIXES) or entry.name in FILE_NAMES:
        return True
    head = script_head(entry, world)
    return bool(head) and any(is_script_of(language, head) for language in languages.known())


RULES: tuple[Rule, ...] = (SourceMentions(),)
