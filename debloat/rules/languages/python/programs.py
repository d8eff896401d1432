"""Python's rules for what runs: programs and libraries that code names, and Pythons that command lines start."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.model import Entry, Want
from debloat.rules.cmdline import words_of
from debloat.rules.commands import reachable_program
from debloat.rules.interpreters import sources_of
from debloat.rules.languages.python import stdlib
from debloat.rules.languages.python.layout import find, layout
from debloat.rules.languages.python.packages import units
from debloat.rules.languages.python.reach import (
    DEVELOPMENT,
    SOURCES,
    facts_of,
    is_source,
    resolve,
    search_path,
    site_tops,
)
from debloat.rules.languages.python.source import facts
from debloat.rules.languages.shell.language import LANGUAGE as SHELL
from debloat.rules.languages.shell.rules import DEPENDENCIES, is_shell
from debloat.rules.languages.shell.source import MAX_SCRIPT
from debloat.rules.system.configfiles import CONFIGURATION, is_configuration

_MODULE_WORD = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)(?::[A-Za-z_][\w.]*(?:\(.*\))?)?")
_LIBRARY_PLACES = ("/usr/lib/*", "/lib/*", "/usr/lib", "/lib", "/usr/local/lib", "/usr/local/lib/*")

_NOT_FOR_LIBRARIES = frozenset(
    {
        *("bash", "fish", "zsh"),
        *("display", "eog", "gm", "open", "xdg-open", "xv", "sensible-browser"),
        *("less", "more", "pager", "vi", "vim"),
        *("c++", "cc", "clang", "g++", "gcc", "make", "lscpu", "sudo"),
    }
)
"""What distributions start for a person at a terminal or desktop, or a developer: completion, viewers, compilers."""


class Subprocesses(Rule):
    """Programs that code starts by a literal name, through PATH; of distributions, those of use to a server."""

    name = "python.subprocess"
    selector = SOURCES

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if is_source(entry, world):
            unit = units(world).of_path.get(entry.path)
            idle = _NOT_FOR_LIBRARIES if unit is not None else frozenset[str]()
            for word in sorted(facts_of(world, entry.path).commands - idle):
                path = reachable_program(world, word, entry.path)
                if path is not None:
                    yield self.want(path, entry.path, word)


_FINDS_FOR_OTHERS = frozenset({"cffi"})
"""Distributions whose find_library is asked by their callers' dlopen, which is seen there."""


class Libraries(Rule):
    """Shared libraries that code loads by a literal name, and what ctypes.util.find_library asks for them.

    On Linux find_library reads the output of `/sbin/ldconfig -p` (Lib/ctypes/util.py), which reads the cache.
    """

    name = "python.library"
    selector = SOURCES

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not is_source(entry, world):
            return
        file_facts = facts_of(world, entry.path)
        unit = units(world).of_path.get(entry.path)
        if file_facts.finds_libraries and (unit is None or unit.name not in _FINDS_FOR_OTHERS):
            for path in ("/sbin/ldconfig", "/etc/ld.so.cache"):
                yield self.want(path, entry.path, "ctypes.util.find_library")
        for name in sorted(file_facts.libraries):
            for path in _libraries(world, name):
                yield self.want(path, entry.path, name)


def _libraries(world: World, name: str) -> Iterator[str]:
    """`magic`, `libmagic.so.1`, `pango-1.0-0`: the files of the system's library directories that may be meant."""
    if any(c in name for c in "*?[/"):
        return
    stem = name if ".so" in name else f"{name.removeprefix('lib').removesuffix('-0')}.so*"
    for place in _LIBRARY_PLACES:
        yield from world.rootfs.glob(f"{place}/{stem if stem.startswith('lib') else 'lib' + stem}")


class CommandLine(Rule):
    """Modules that the image's command line names: `-m package`, `package.module:app`, a worker's class."""

    name = "python.command_line"

    def initial_wants(self, world: World) -> Iterable[Want]:
        config = world.config
        fields = {"Entrypoint": config.entrypoint, "Cmd": config.cmd, "Healthcheck": config.healthcheck}
        for label, words in fields.items():
            for word in words_of(words):
                match = _MODULE_WORD.fullmatch(word.rpartition("=")[2])
                for file in _named(world, match[1]) if match else ():
                    yield self.want(file, f"config:{label}", word)


def _named(world: World, module: str) -> Iterator[str]:
    table = layout(world)
    for env in table.live:
        files = find(world, search_path(world, env, f"{world.config.workdir}/x"), module)
        if files and (table.site_of(files[0]) is not None or "." in module):
            yield from files


class InlineCode(Rule):
    """What a script of the application tells a Python to run: `python3 -m package`, `python3 -c 'import package'`."""

    name = "python.inline"
    selector = sources_of(SHELL)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not 0 < entry.size <= MAX_SCRIPT or world.packages.owners(entry.path):
            return
        source = world.rootfs.read(entry.path)
        if b"python" not in source or not is_shell(entry.path, source[:512]) or DEPENDENCIES.search(entry.path):
            return
        for match in _RUN.finditer(source):
            if match["module"]:
                module = match["module"].decode()
                for name in (module, f"{module}.__main__"):
                    for file in _named(world, name):
                        yield self.want(file, entry.path, f"-m {module}")
            for imported in sorted(facts(match["code"] or match["more"] or match["here"] or b"").imports):
                for file in resolve(world, f"{world.config.workdir.rstrip('/')}/-", imported):
                    yield self.want(file, entry.path, f"import {imported}")
                    for part in stdlib.optional_parts(world, file):
                        yield self.want(part, entry.path, f"import {imported}")


_RUN = re.compile(
    rb"\bpython[\d.]*(?:[ \t]+-[A-Za-z]{1,4}(?=[ \t]))*?[ \t]+(?:-m[ \t]*(?P<module>[A-Za-z_][\w.]*)"
    rb"|-\w{0,3}c[ \t]*(?:\"(?P<code>(?:[^\"\\]|\\.){1,4000})\"|'(?P<more>[^']{1,4000})')"
    rb"|(?:-[ \t]*)?[^\n]{0,80}?<<-?[ \t]*[\"']?(?P<mark>\w+)[\"']?[^\n]*\n(?P<here>.{1,8000}?)\n\t*(?P=mark))",
    re.DOTALL,
)
"""A Python's -m, -c and here-document (python3(1)), in a shell script."""


class ConfiguredModules(Rule):
    """Installed modules that the image's own configuration names: `class = pkg.module.Class`, `plugin: pkg`."""

    name = "python.configured"
    selector = CONFIGURATION

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not is_configuration(entry, world) or not layout(world).live:
            return
        text = world.rootfs.text(entry.path)
        names = {*_DOTTED.findall(text), *_PLUGGED.findall(text)} if "\0" not in text else set()
        if len(names) > MAX_MODULES:
            return
        for name in sorted(names):
            parts = name.split(".")
            if parts[0] in site_tops(world) - DEVELOPMENT:
                for length in range(len(parts), 0, -1):
                    if files := list(_named(world, ".".join(parts[:length]))):
                        yield from (self.want(file, entry.path, f"names {name}") for file in files)
                        break


_DOTTED = re.compile(r"(?<![\w./@:-])([A-Za-z_]\w{0,60}(?:\.[A-Za-z_]\w{0,60}){1,8})(?![\w/@-])")
_PLUGGED = re.compile(
    r"(?i:class|module|plugin|extension|backend|engine|driver|handler|formatter|storage)s?[\"']?[ \t]{0,9}[=:]"
    r"[\[\"' \t]{0,9}([A-Za-z_]\w{1,60})\b"
)
MAX_MODULES = 500
"""A file with more names is a table of them."""

RULES: tuple[Rule, ...] = (Subprocesses(), Libraries(), CommandLine(), InlineCode(), ConfiguredModules())
