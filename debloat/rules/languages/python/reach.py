"""From a Python file, or a whole distribution, to the files that it reaches in the image."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

from msgspec import Struct

from debloat.closure import World, derived, derived_by
from debloat.core.model import Entry
from debloat.rules.interpreters import is_script_of, script_head, sources_of
from debloat.rules.languages.python import stdlib
from debloat.rules.languages.python.language import LANGUAGE
from debloat.rules.languages.python.layout import Environment, Layout, find, layout
from debloat.rules.languages.python.packages import Unit, units
from debloat.rules.languages.python.source import Facts, Import, Outline, facts, literals, outline, quoted

CONFIRMATIONS = 4
"""Files parsed to see whether one distribution imports another when only quoted text says so."""

SEEN_BY_UNIT = frozenset({"entry_points", "sys.path"})
"""Words that promise nothing of a distribution's module beyond what reading its unit finds."""

DEVELOPMENT = frozenset({"Cython", "_pytest", "hypothesis", "nose", "pip", "pytest", "setuptools", "tox", "wheel"})
"""Modules of installers and test runners: other distributions import them for their own building and testing. An
application's import, a declared requirement, or use while recording keeps them."""

_NOTHING = Facts()

SOURCES = sources_of(LANGUAGE)
"""What may be a Python program or module."""


def is_source(entry: Entry, world: World) -> bool:
    """Whether an entry is a Python program or module: by its suffix, or by the interpreter on its first line."""
    if not entry.is_file:
        return False
    if entry.name.endswith(LANGUAGE.suffixes):
        return True
    return is_script_of(LANGUAGE, script_head(entry, world))


@derived
def site_tops(world: World) -> frozenset[str]:
    """The names of all modules in the directories of installed packages."""
    sites = layout(world).sites
    return frozenset(name.partition(".")[0] for site in sites for name in world.rootfs.names(site))


@derived_by
def outline_of(world: World, path: str) -> Outline:
    """The outline of a source file."""
    return outline(world.rootfs.read(path))


def facts_of(world: World, path: str) -> Facts:
    """The facts of a kept source file; none for the standard library, which is kept whole.

    A file of a distribution is parsed only where its words promise something that the unit's own reading
    (`neighbours`) does not see.
    """
    return _parsed(world, path) if _worth_parsing(world, path) else _NOTHING


@derived_by
def _worth_parsing(world: World, path: str) -> bool:
    table = layout(world)
    if table.stdlib_of(path) is not None:
        return False
    outline = outline_of(world, path)
    unit = units(world).of_path.get(path)
    if unit is not None and path in unit.members and path.endswith(".py"):
        return bool(outline.words - SEEN_BY_UNIT)
    if outline.words or not path.endswith(".py"):
        return True
    named = literals(world.rootfs.read(path))
    tops = {i.module.partition(".")[0] for i in outline.imports} | {s.partition(".")[0] for s in named}
    notable = _notable_tops(world)
    return bool(tops & notable) or any(i.level for i in outline.imports) or not tops.isdisjoint(_siblings(world, path))


def _siblings(world: World, path: str) -> frozenset[str]:
    directory = path.rpartition("/")[0] or "/"
    return frozenset(name.partition(".")[0] for name in world.rootfs.names(directory))


@derived
def _notable_tops(world: World) -> frozenset[str]:
    """Top-level names outside the standard library's whole part: importing these keeps something."""
    table = layout(world)
    places = [*table.sites, *(d for env in table.environments for d in env.extra)]
    names = {name.partition(".")[0] for place in places for name in world.rootfs.names(place)}
    idle = {n.partition("*")[0] for n in (*stdlib.OPTIONAL, *stdlib.NEEDED_WITH)}
    return frozenset(names | idle)


def search_path(world: World, env: Environment, path: str, extra: Iterable[str] = ()) -> tuple[str, ...]:
    """sys.path as the module at `path` may see it: for programs their own directory, WORKDIR, and package roots."""
    table = layout(world)
    if table.site_of(path) is not None:
        return (*env.path, *sorted(extra))
    directory = path.rpartition("/")[0] or "/"
    roots = [directory]
    while world.rootfs.is_file(f"{roots[-1]}/__init__.py") and roots[-1] != "/":
        roots.append(roots[-1].rpartition("/")[0] or "/")
    return tuple(dict.fromkeys((*roots[:1], *roots[-1:], world.config.workdir, *env.path, *sorted(extra))))


def resolve(world: World, path: str, imported: Import, extra: Iterable[str] = ()) -> tuple[str, ...]:
    """The files that an import in the file at `path` runs, in every environment that it may run in."""
    if imported.level:
        base = path.rpartition("/")[0]
        for _ in range(imported.level - 1):
            base = base.rpartition("/")[0]
        return find(world, (base or "/",), imported.module, imported.names)
    paths: dict[str, None] = {}
    directory = path.rpartition("/")[0] or "/"
    member = world.rootfs.is_file(f"{directory}/__init__.py")
    for env in layout(world).of(path):
        places = search_path(world, env, path, extra)
        paths |= dict.fromkeys(find(world, places, imported.module, imported.names))
        if member and directory in places:
            # A package's module, imported and not run: a module of the same name beside it is another one.
            elsewhere = tuple(place for place in places if place != directory)
            paths |= dict.fromkeys(find(world, elsewhere, imported.module, imported.names))
    return tuple(paths)


class Edge(Struct, frozen=True):
    """A distribution reaches `target`, by the import in its file `source`."""

    target: str
    source: str
    detail: str


def neighbours(world: World, unit: Unit) -> tuple[Edge, ...]:
    """What the modules of a distribution import from outside of it, and what of its own tests they need.

    Each file is scanned, few are parsed: as many as confirm that the import is more than a line in a docstring.
    """
    candidates: dict[str, list[tuple[str, Import]]] = {}
    sources = [path for path in unit.files if path.endswith(".py")]
    world.rootfs.fetch(sources)
    reached = functools.cache(functools.partial(_outside, world, unit))
    for path in sources:
        for imported in sorted(outline_of(world, path).imports):
            for target in reached(path if imported.level else unit.anchor, imported):
                candidates.setdefault(target, []).append((path, imported))
    edges = []
    for target, places in sorted(candidates.items()):
        path, confirmed = _confirmed(world, places)
        if confirmed is not None:
            edges.append(Edge(target, path, f"import {confirmed}"))
    return tuple(edges)


def foreign_tool(unit: Unit, imported: Import) -> bool:
    """Whether a distribution's import is of another's installer or test runner."""
    top = imported.module.partition(".")[0]
    return not imported.level and top in DEVELOPMENT and top not in unit.tops


def _outside(world: World, unit: Unit, path: str, imported: Import) -> tuple[str, ...]:
    """The anchors of other units, and single files, that an import leads to."""
    top = imported.module.partition(".")[0]
    own = imported.level or top in unit.tops
    if own and "test" not in imported.module and not any("test" in name for name in imported.names):
        return ()
    table: Layout = layout(world)
    if not own and (foreign_tool(unit, imported) or top not in _notable_tops(world)):
        return ()
    unit_of = units(world).of_path
    targets: dict[str, None] = {}
    for file in resolve(world, path, imported):
        other = unit_of.get(file)
        if other is not None and other.anchor != unit.anchor:
            targets[other.anchor if file in other.members else file] = None
        elif file not in unit.members and (
            other is not None or stdlib.optional_part(table, file) or _needs(table, file)
        ):
            targets[file] = None
    return tuple(targets)


def _needs(table: Layout, file: str) -> bool:
    lib = table.stdlib_of(file)
    return lib is not None and file[len(lib) + 1 :].partition("/")[0].partition(".")[0] in stdlib.NEEDED_WITH


def _confirmed(world: World, places: list[tuple[str, Import]]) -> tuple[str, Import | None]:
    """The first import that is one: outside of quotation, or by the file's own grammar."""
    for path, imported in places:
        if imported not in _quoted(world, path):
            return path, imported
    for path, imported in places[:CONFIRMATIONS]:
        if (imported.level, imported.module) in {(i.level, i.module) for i in _parsed(world, path).imports}:
            return path, imported
    return "", None


@derived_by
def _quoted(world: World, path: str) -> frozenset[Import]:
    return quoted(world.rootfs.read(path))


@derived_by
def _parsed(world: World, path: str) -> Facts:
    return facts(world.rootfs.read(path))


def groups_used(world: World, unit: Unit) -> Iterator[tuple[str, str]]:
    """(entry-point group, file that names it) of a distribution that looks for plug-ins."""
    groups = units(world).groups
    sources = [path for path in unit.files if path.endswith(".py")]
    if not groups or not any("entry_points" in outline_of(world, path).words for path in sources):
        return
    for path in sources:
        for group in sorted(literals(world.rootfs.read(path)) & groups.keys()):
            yield group, path
