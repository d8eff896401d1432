"""Python's rules of level safe: interpreters, imports, distributions, plug-ins, commands, libraries."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from debloat.closure import Rule, World, derived
from debloat.core.model import Entry, Want
from debloat.core.parsed import cached
from debloat.rules.application.survey import is_application
from debloat.rules.languages.python import stdlib
from debloat.rules.languages.python.layout import Environment, layout
from debloat.rules.languages.python.packages import Unit, units
from debloat.rules.languages.python.reach import (
    DEVELOPMENT,
    SOURCES,
    facts_of,
    foreign_tool,
    groups_used,
    is_source,
    neighbours,
    resolve,
    site_tops,
)
from debloat.rules.languages.python.requirements import normalised, requirements
from debloat.rules.languages.python.source import Import, facts
from debloat.selector import FILES, FILES_AND_LINKS, Selector

_INTERPRETER = re.compile(r"(?:python|pypy)(\d(?:\.\d+)?)?t?|libpython(\d\.\d+)\w*\.so[\d.]*")
MAX_NATIVE = 64 << 20
"""Bytes of an extension module that are searched for names."""


class StandardLibrary(Rule):
    """An interpreter, or libpython, brings its standard library; a virtual environment brings its base."""

    name = "python.stdlib"
    selector = Selector(names=("os.py", "os.pyc", "pyvenv.cfg"), beginnings=("python", "pypy", "libpython"))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        table = layout(world)
        if _INTERPRETER.fullmatch(entry.name) and not entry.is_dir:
            if not (entry.name.startswith("libpython") and entry.path in _idle_libraries(world)):
                yield from self._interpreter(entry, world)
        elif entry.name in ("os.py", "os.pyc") and entry.path.rpartition("/")[0] in table.stdlibs:
            lib = entry.path.rpartition("/")[0]
            for path in stdlib.library_files(world, lib):
                yield self.want(path, entry.path, "standard library")
            for path in (*stdlib.DATA, *_archives(table.environments, lib)):
                yield self.want(path, entry.path)
        elif entry.name == "pyvenv.cfg":
            for env in table.environments:
                if env.config == entry.path:
                    for name in ("python", "python3", f"python{env.version}"):
                        yield self.want(f"{env.prefix}/bin/{name}", entry.path, "its interpreter")

    def _interpreter(self, entry: Entry, world: World) -> Iterator[Want]:
        """The landmark that getpath looks for, of the library with this version, of the same prefix if there is one."""
        match = _INTERPRETER.fullmatch(entry.name)
        assert match is not None
        version = match[1] or match[2] or ""
        prefix = entry.path.rpartition("/")[0].rpartition("/")[0] or "/"
        table = layout(world)
        if entry.is_symlink:
            yield self.want(f"{prefix}/pyvenv.cfg", entry.path)
            return
        same = [e for e in table.environments if not e.config and (e.version + ".").startswith(version + ".")]
        if not version:
            same = [e for e in table.environments if not e.config]
        for env in [e for e in same if e.prefix == prefix] or same:
            for landmark in ("os.py", "os.pyc"):
                yield self.want(f"{env.stdlib}/{landmark}", entry.path, f"Python {env.version}")


@derived
def _idle_libraries(world: World) -> frozenset[str]:
    """Each libpython that a recorded program loaded and did not start: nothing of its library was looked for.

    A server linked with it runs Python where its configuration says so, and this one does not.
    """
    opened = {a.path for a in world.trace.accesses if "libpython" in a.path}
    loaded = {real for path in opened if (real := world.rootfs.resolve(path).path)}
    started = {
        env.version
        for env in layout(world).environments
        if any(a.path.startswith(f"{env.stdlib}/") for a in world.trace.accesses)
    }
    version = re.compile(r"libpython(\d\.\d+)")
    return frozenset(p for p in loaded if (m := version.search(p)) is not None and m[1] not in started)


def _archives(environments: Sequence[Environment], lib: str) -> Iterator[str]:
    """The zipped standard library, and eggs and zip files that .pth files or PYTHONPATH put on sys.path."""
    for env in environments:
        if env.stdlib == lib:
            yield f"{lib.rpartition('/')[0]}/python{env.version.replace('.', '')}.zip"
            yield from (path for path in env.extra if path.endswith((".zip", ".egg", ".whl", ".pyz")))


class Imports(Rule):
    """A kept module or program brings what it imports, anywhere in it, and modules that it names to importers."""

    name = "python.import"
    selector = replace(SOURCES, kinds=FILES_AND_LINKS, endings=(*SOURCES.endings, ".pth"))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.name.endswith(".pth") and layout(world).site_of(entry.path):
            yield from self._start_up(entry, world)
        elif is_source(entry, world):
            file_facts = facts_of(world, entry.path)
            unit = units(world).of_path.get(entry.path)
            for imported in sorted(file_facts.imports):
                if unit is None or not foreign_tool(unit, imported):
                    yield from self._import(entry.path, imported, world, file_facts.paths)

    def _import(self, path: str, imported: Import, world: World, extra: Iterable[str]) -> Iterator[Want]:
        if _shim(world, path) and not imported.level:
            unit = units(world).of_path[path]
            if imported.module.partition(".")[0] in unit.tops:
                return
        for file in resolve(world, path, imported, extra):
            yield self.want(file, path, f"import {imported}")
            for part in stdlib.optional_parts(world, file, library=path in units(world).of_path):
                yield self.want(part, path, f"import {imported}")

    def _start_up(self, entry: Entry, world: World) -> Iterator[Want]:
        """`import` lines of a .pth file are code that site runs."""
        text = world.rootfs.read(entry.path, 64 * 1024).decode("utf-8", "replace")
        for line in text.splitlines():
            if line.startswith(("import ", "import\t")):
                for imported in sorted(facts(line.encode()).imports):
                    for file in resolve(world, entry.path, imported):
                        yield self.want(file, entry.path, f"import {imported}")


def _shim(world: World, path: str) -> bool:
    """Whether a file belongs to a private module that a .pth file imports at every start, beside the real ones.

    Such as setuptools' `_distutils_hack`: it runs in every program and is no sign that the program uses its unit.
    """
    table, unit = layout(world), units(world).of_path.get(path)
    site = table.site_of(path)
    if unit is None or site is None:
        return False
    top = path[len(site) + 1 :].partition("/")[0].partition(".")[0]
    return top.startswith("_") and top in table.hooks and len(unit.tops) > 1


class NativeImports(Rule):
    """A kept extension module brings the installed modules whose names stand in it, such as `_cffi_backend`.

    Compiled code imports by a text (PyImport_ImportModule); no source says so, and Debian's metadata neither where
    the module is a package of its own.
    """

    name = "python.native_import"
    selector = Selector(FILES, endings=(".so", ".pyd"))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if layout(world).site_of(entry.path) is None:
            yield from self._of_application(entry, world)
            return
        unit = units(world).of_path.get(entry.path)
        tops = site_tops(world) - (unit.tops if unit is not None else frozenset())
        for name in _named(world.rootfs.read(entry.path, MAX_NATIVE)):
            if name.partition(".")[0] in tops:
                for file in resolve(world, entry.path, Import(0, name)):
                    yield self.want(file, entry.path, f"names {name}")

    def _of_application(self, entry: Entry, world: World) -> Iterator[Want]:
        """What was a module in source before it was compiled (Cython, Nuitka): any text that is a module's name."""
        if not is_application(world, entry.path):
            return
        data = world.rootfs.read(entry.path, MAX_NATIVE)
        if b"PyInit_" not in data:
            return
        tops = site_tops(world) - DEVELOPMENT
        for text in sorted(set(_WHOLE.findall(data))):
            name = text.decode()
            if name.partition(".")[0] in tops:
                for file in resolve(world, entry.path, Import(0, name)):
                    yield self.want(file, entry.path, f"names {name}")


@cached(list, tuple)
def _named(data: bytes) -> tuple[str, ...]:
    """The texts of compiled code that may name a module, sorted."""
    return tuple(sorted({text.decode() for text in _NAMED.findall(data)}))


_WHOLE = re.compile(rb"\0([A-Za-z_]\w{1,60}(?:\.\w{1,60}){0,4})(?=\0)")
_NAMED = re.compile(rb"\0((?:_[A-Za-z]\w{1,60}|[A-Za-z]\w{1,60}(?=\.))(?:\.\w{1,60}){0,4})(?=\0)")
"""A whole text that is a module's name: one with a dot, or with the underscore of modules for other modules."""


class Distributions(Rule):
    """A distribution with a used module stays whole, with what it imports and declares to need.

    Less its tests and bytecode caches. Its metadata, which programs that look for plug-ins read of everyone, and
    start-up shims are no sign of use.
    """

    name = "python.unit"

    def select(self, world: World) -> Selector:
        return Selector(paths=units(world).of_path)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        table = units(world)
        unit = table.of_path[entry.path]
        if entry.path != unit.anchor:
            if _sign_of_use(world, entry.path, unit):
                yield self.want(unit.anchor, entry.path, unit.name)
            return
        for path in unit.files:
            yield Want(path, self.name, entry.path, unit.name, follow=False)
            yield self.want(path, entry.path, unit.name)
        for need in unit.requires:
            other = table.by_name.get(need)
            if other is not None:
                yield self.want(other.anchor, entry.path, f"{unit.name} requires {need}")
        site = layout(world)
        for env in site.environments:
            if env.config and site.site_of(unit.anchor) == env.sites[0]:
                yield self.want(env.config, entry.path, "its environment")
        for edge in neighbours(world, unit):
            yield Want(edge.target, "python.import", edge.source, edge.detail)
            for part in stdlib.optional_parts(world, edge.target, library=True):
                yield Want(part, "python.import", edge.source, edge.detail)


def _sign_of_use(world: World, path: str, unit: Unit) -> bool:
    site = layout(world).site_of(path)
    if site is None:
        return False
    top = path[len(site) + 1 :].partition("/")[0]
    return not top.endswith((".pth", ".dist-info", ".egg-info")) and not _shim(world, path)


class EntryPoints(Rule):
    """Code that names an entry-point group brings the plug-ins which installed distributions declare for it."""

    name = "python.entry_points"

    def select(self, world: World) -> Selector:
        return replace(SOURCES, kinds=FILES_AND_LINKS, paths=units(world).by_anchor)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        table = units(world)
        unit = table.by_anchor.get(entry.path)
        if unit is not None:
            used: Iterable[tuple[str, str]] = groups_used(world, unit)
        elif entry.path not in table.of_path and table.groups and is_source(entry, world):
            used = ((g, entry.path) for g in sorted(facts_of(world, entry.path).literals & table.groups.keys()))
        else:
            return
        for group, source in used:
            for module, anchor in table.groups[group]:
                yield self.want(anchor, source, group)
                for file in resolve(world, anchor, Import(0, module)):
                    yield self.want(file, source, group)


class ConsoleScripts(Rule):
    """A program made by an installer brings the distribution whose entry point it loads by name and version."""

    name = "python.script"
    selector = SOURCES

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.executable or not is_source(entry, world) or layout(world).site_of(entry.path):
            return
        for name in sorted(facts_of(world, entry.path).distributions):
            unit = units(world).by_name.get(normalised(name))
            if unit is not None:
                yield self.want(unit.anchor, entry.path, name)


class Literals(Rule):
    """A dotted name in an application's strings that an installed module answers to: settings, back ends, plug-ins.

    A name without a dot counts where Django's list of applications stands.
    """

    name = "python.literal"
    selector = SOURCES

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        table = layout(world)
        if not is_source(entry, world) or table.site_of(entry.path) or table.stdlib_of(entry.path):
            return
        literals = facts_of(world, entry.path).literals
        lists_apps = b"INSTALLED_APPS" in world.rootfs.read(entry.path)
        for name in sorted(literals):
            if "." in name or "_" in name or lists_apps:
                for file in _installed(world, entry.path, name):
                    yield self.want(file, entry.path, f"literal {name}")


def _installed(world: World, path: str, name: str) -> tuple[str, ...]:
    """The files of a dotted name that leads into a site directory, to the module or to an attribute of it."""
    table = layout(world)
    parent = name.rpartition(".")[0]
    files = resolve(world, path, Import(0, name))
    if not files or table.site_of(files[0]) is None:
        return ()
    whole = not parent or len(files) >= parent.count(".") + 1 or files == resolve(world, path, Import(0, parent))
    return files if whole else ()


class Requirements(Rule):
    """Distributions that an application declares to need, in requirements.txt or pyproject.toml, where installed."""

    name = "python.requirements"
    selector = Selector(FILES, names=("requirements.txt", "pyproject.toml"))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if layout(world).site_of(entry.path) is not None:
            return
        text = world.rootfs.read(entry.path, 1 << 20).decode("utf-8", "replace")
        lines = text.splitlines() if entry.name == "requirements.txt" else project_dependencies(text)
        for name in sorted(set(requirements(lines))):
            unit = units(world).by_name.get(name)
            if unit is not None:
                yield self.want(unit.anchor, entry.path, name)


def project_dependencies(text: str) -> list[str]:
    """`project.dependencies` of a pyproject.toml (PEP 621), and Poetry's; [] for any other text."""
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return []
    requirements: list[object] = []
    project, tool = data.get("project"), data.get("tool")
    if isinstance(project, dict) and isinstance(project.get("dependencies"), list):
        requirements += project["dependencies"]
    poetry = tool.get("poetry") if isinstance(tool, dict) else None
    if isinstance(poetry, dict) and isinstance(poetry.get("dependencies"), dict):
        requirements += poetry["dependencies"]
    return [line for line in requirements if isinstance(line, str)]


RULES: tuple[Rule, ...] = (
    StandardLibrary(),
    Imports(),
    NativeImports(),
    Distributions(),
    EntryPoints(),
    ConsoleScripts(),
    Literals(),
    Requirements(),
)
