"""Families: knowledge of Debian about files that belong together, as data in `families.toml`.

A family says: when one of these files is kept, and these conditions hold, keep those as well, because. The schema is at
the head of the data. No package is known by name here.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from debloat.closure import Rule, World, derived
from debloat.core.globs import glob_text, matcher
from debloat.core.model import Entry, Level, Want
from debloat.core.platform import Platform
from debloat.elf.facts import MAGIC
from debloat.image.rootfs import Rootfs
from debloat.rules.knowledge.wording import environment, says
from debloat.rules.platforms import multiarchs_of, platforms_of
from debloat.selector import NO_DIRECTORIES, Selector

CALLS, CONTAINS = 4 << 20, 64 << 20
"""Bytes of a program that `calls` and `contains` look at: an ELF file's dynamic strings lie near its start."""

MERGED = ("/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/")
"""Directories that are links into /usr where it is merged, and hold the same files where it is not."""

_LISTS = ("when", "except", "env", "exists", "unless", "calls", "contains", "says", "where", "keep", "less")
_TEXTS = ("name", "why", "source", "level", "note")
_GLOBS = ("when", "except", "exists", "unless", "where", "keep", "less")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_VARIABLES = frozenset({"multiarch", "dir", "locale", "tz", "term", *"123456789"})
_NAME = re.compile(r"[a-z0-9]+([.-][a-z0-9]+)*")


class FamilyError(ValueError):
    """The data breaks the schema; the text says where."""


class Family(Struct, frozen=True):
    """One table of `families.toml`; the fields are those of the schema at its head."""

    name: str
    why: str
    source: str
    keep: tuple[str, ...]
    when: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    exists: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    calls: tuple[bytes, ...] = ()
    contains: tuple[bytes, ...] = ()
    says: tuple[re.Pattern[str], ...] = ()
    where: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    level: Level = Level.SAFE
    note: str = ""


def parse(text: str) -> tuple[Family, ...]:
    """The families that a text describes, in its order; FamilyError where it breaks the schema."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FamilyError(str(error)) from None
    tables = data.pop("family", [])
    if data or not isinstance(tables, list):
        raise FamilyError(f"unknown keys: {', '.join(sorted(data)) or 'family'}")
    families = tuple(_family(table) for table in tables)
    names = [family.name for family in families]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise FamilyError(f"more than one family is called {', '.join(twice)}")
    return families


def _family(table: Mapping[str, Any]) -> Family:
    name = str(table.get("name"))
    for key, value in table.items():
        texts = key in _TEXTS and isinstance(value, str) and value
        lists = key in _LISTS and isinstance(value, list) and value and all(v and isinstance(v, str) for v in value)
        if not texts and not lists:
            raise FamilyError(f"{name}: {key} is unknown, empty or of the wrong type")
    if missing := [key for key in ("name", "why", "source", "keep") if key not in table]:
        raise FamilyError(f"{name}: without {', '.join(missing)}")
    if not _NAME.fullmatch(name) or not {"when", "env"} & table.keys():
        raise FamilyError(f"{name}: needs a lower-case name, and `when` or `env`")
    if {"calls", "contains", "except"} & table.keys() and "when" not in table:
        raise FamilyError(f"{name}: `calls`, `contains` and `except` need `when`")
    for pattern in (p for key in _GLOBS for p in table.get(key, ())):
        if not pattern.startswith(("/", "**", "${dir}/")) or set(_VARIABLE.findall(pattern)) - _VARIABLES:
            raise FamilyError(f"{name}: {pattern} is not absolute or uses an unknown variable")
    lists_ = {key: tuple(table.get(key, ())) for key in _LISTS}
    try:
        level = Level[str(table.get("level", "safe")).upper()]
    except KeyError:
        raise FamilyError(f"{name}: there is no level {table['level']}") from None
    try:
        says = tuple(map(re.compile, lists_.pop("says")))
    except re.error as error:
        raise FamilyError(f"{name}: {error.pattern!r} is no regular expression: {error}") from None
    calls, contains = (tuple(text.encode() for text in lists_.pop(key)) for key in ("calls", "contains"))
    lists_["excluded"] = lists_.pop("except")
    why, source, note = (str(table.get(key, "")) for key in ("why", "source", "note"))
    return Family(name, why, source, calls=calls, contains=contains, says=says, level=level, note=note, **lists_)


@cache
def all_families() -> tuple[Family, ...]:
    """The families that come with debloat."""
    return parse(resources.files(__package__).joinpath("families.toml").read_text("utf-8"))


def canonical(path: str) -> str:
    """The path as it would be with a merged /usr."""
    return f"/usr{path}" if path.startswith(MERGED) else path


class Trigger:
    """A `when` of a family, compiled when a path first comes near it; `match` gives what its wildcards stood for.

    `start` is what stands before its first wildcard; `programs` says that only programs and libraries can be meant.
    """

    __slots__ = ("_fullmatch", "_glob", "family", "programs", "start")

    def __init__(self, family: Family, glob: str) -> None:
        self.family = family
        self.start = re.split(r"[*?\[]", glob, maxsplit=1)[0]
        self.programs = bool(family.calls or family.contains)
        self._glob = glob
        self._fullmatch: Callable[[str], re.Match[str] | None] | None = None

    def match(self, path: str) -> tuple[str, ...] | None:
        """What the wildcards stand for in a path; None where it does not match."""
        if self._fullmatch is None:
            capturing = glob_text(self._glob).replace("[^/]*", "([^/]*)")
            self._fullmatch = re.compile(capturing, re.DOTALL).fullmatch
        match = self._fullmatch(path)
        return None if match is None else match.groups()


class Index:
    """All triggers, looked up by their literal part: the whole path, the directory, the name, the start of the name."""

    def __init__(self, families: Iterable[Family], multiarchs: Iterable[str]) -> None:
        self._by_path: dict[str, list[Trigger]] = defaultdict(list)
        self._by_directory: dict[str, list[Trigger]] = defaultdict(list)
        self._by_name: dict[str, list[Trigger]] = defaultdict(list)
        self._by_start: dict[str, list[Trigger]] = defaultdict(list)
        self._others: list[Trigger] = []
        for family in families:
            for pattern in _on_each(family.when, multiarchs):
                self._add(family, pattern)

    def _add(self, family: Family, pattern: str) -> None:
        trigger = Trigger(family, pattern)
        directory, _, name = pattern.rpartition("/")
        if not _wild(pattern):
            self._by_path[pattern].append(trigger)
        elif not _wild(directory) and "**" not in name:
            self._by_directory[directory].append(trigger)
        elif not _wild(name):
            self._by_name[name].append(trigger)
        elif not _wild(name[:4]):
            self._by_start[name[:4]].append(trigger)
        else:
            self._others.append(trigger)

    def candidates(self, path: str, program: bool = True) -> list[Trigger]:
        """The triggers that may match a path, of a program or library or of another file."""
        directory, _, name = path.rpartition("/")
        found = [
            *self._by_path.get(path, ()),
            *self._by_directory.get(directory, ()),
            *self._by_name.get(name, ()),
            *self._by_start.get(name[:4], ()),
            *(trigger for trigger in self._others if path.startswith(trigger.start)),
        ]
        return found if program else [trigger for trigger in found if not trigger.programs]

    def match(self, path: str, program: bool = True) -> Iterator[tuple[Family, tuple[str, ...]]]:
        """Families that a path triggers, each once, with what the wildcards of the trigger stood for."""
        seen = set()
        for trigger in self.candidates(path, program):
            if trigger.family.name not in seen and (groups := trigger.match(path)) is not None:
                seen.add(trigger.family.name)
                yield trigger.family, groups


def _wild(text: str) -> bool:
    return any(char in text for char in "*?[")


def literal(text: str) -> str:
    """A text as a glob that matches nothing else."""
    return re.sub(r"[*?\[]", r"[\g<0>]", text)


class Members:
    """The members that families have in one image; remembers expanded globs, nothing else."""

    def __init__(self, world: World) -> None:
        self._rootfs: Rootfs = world.rootfs
        self._variables = environment(world)
        self._expanded: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
        self._first: dict[tuple[str, tuple[str, ...]], str] = {}
        self._conditions: dict[tuple[str, tuple[str, ...]], bool] = {}
        self.multiarchs = multiarchs_of(world)
        self.index = _index(self.multiarchs)

    def conditions(self, family: Family, world: World, multiarchs: tuple[str, ...]) -> bool:
        """Whether the conditions hold that depend on the image, and of the kept file on its platforms only."""
        key = (family.name, multiarchs)
        holds = self._conditions.get(key)
        if holds is None:
            holds = self._conditions[key] = self._hold(family, world, multiarchs)
        return holds

    def _hold(self, family: Family, world: World, multiarchs: tuple[str, ...]) -> bool:
        env, bound = world.config.env, {"multiarch": multiarchs}
        return (
            (not family.env or any(env.get(name) for name in family.env))
            and all(any(map(self._matching, self._patterns(p, bound))) for p in family.exists)
            and not any(any(map(self._matching, self._patterns(p, bound))) for p in family.unless)
            and (not family.says or self._says(family, world, bound))
        )

    def _says(self, family: Family, world: World, bound: Mapping[str, tuple[str, ...]]) -> bool:
        patterns = (pattern for glob in family.where for pattern in self._patterns(glob, bound))
        return says(world, family.says, (path for pattern in patterns for path in self._matching(pattern)))

    def of(
        self, family: Family, multiarchs: tuple[str, ...], directory: str = "", groups: tuple[str, ...] = ()
    ) -> tuple[str, ...]:
        """The members of a family that the image has in these multi-arch directories and elsewhere, sorted."""
        bound = {"dir": (literal(directory),), "multiarch": multiarchs}
        bound |= {str(i): (literal(text),) for i, text in enumerate(groups, 1)}
        patterns = tuple(p for glob in family.keep for p in self._patterns(glob, bound))
        key = (family.name, patterns)
        if key not in self._expanded:
            paths = {path for pattern in patterns for path in self._matching(pattern)}
            dropped = matcher(p for glob in family.less for p in self._patterns(glob, bound))
            self._expanded[key] = tuple(sorted(path for path in paths if not dropped(path)))
        return self._expanded[key]

    def first(self, family: Family, members: tuple[str, ...]) -> str:
        """The first of a family's members that is a trigger of it, "" where none is."""
        key = (family.name, members)
        if key not in self._first:
            paths = (p for p in members if any(f.name == family.name for f, _ in self.index.match(canonical(p))))
            get = self._rootfs.get
            ahead = (p for p in paths if (e := get(p)) and not e.is_dir and not _excluded(family, p))
            self._first[key] = next(ahead, "")
        return self._first[key]

    def _matching(self, pattern: str) -> tuple[str, ...]:
        """Paths that match; a link that is named stays a link."""
        if _wild(pattern):
            return self._rootfs.glob(pattern)
        path = self._rootfs.resolve(pattern, follow=False).path
        return () if path is None else (path,)

    def _patterns(self, glob: str, bound: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> Iterator[str]:
        """A glob with its variables filled in, and its twin outside a /usr that is not merged."""
        name = _VARIABLE.search(glob)
        if name is not None:
            for value in {**self._variables, **bound}.get(name[1], ()):
                yield from self._patterns(glob[: name.start()] + value + glob[name.end() :], bound)
            return
        yield glob
        plain = glob.removeprefix("/usr")
        if plain != glob and plain.startswith(MERGED):
            top = self._rootfs.get("/" + plain.split("/", 2)[1])
            if top is not None and top.is_dir:
                yield plain


_members = derived(Members)


def members_of(world: World, family: Family, kept: Iterable[str]) -> tuple[bool, tuple[str, ...]]:
    """Whether one of the kept files is a trigger of a family, its conditions aside; the members that it would have."""
    members = _members(world)
    for path in kept:
        for triggered, groups in members.index.match(canonical(path)):
            if triggered is family and not _excluded(family, path):
                return True, members.of(family, members.multiarchs, path.rpartition("/")[0], groups)
    return False, ()


def left_out(world: World) -> Callable[[str], bool]:
    """A predicate: does a family leave this path out on purpose, wherever its members are?"""
    return _left_out(multiarchs_of(world))


def chosen(world: World) -> Callable[[str], bool]:
    """A predicate: may this path be a member of a family, wherever its trigger is?"""
    return _chosen(multiarchs_of(world))


@cache
def _left_out(multiarchs: tuple[str, ...]) -> Callable[[str], bool]:
    return _anywhere(multiarchs, (glob for family in all_families() for glob in family.less))


@cache
def _chosen(multiarchs: tuple[str, ...]) -> Callable[[str], bool]:
    return _anywhere(multiarchs, (glob for family in all_families() for glob in family.keep))


def _anywhere(multiarchs: tuple[str, ...], globs: Iterable[str]) -> Callable[[str], bool]:
    match = matcher(_VARIABLE.sub("*", glob.replace("${dir}", "/**")) for glob in _on_each(globs, multiarchs))
    return lambda path: match(canonical(path))


def _on_each(globs: Iterable[str], multiarchs: Iterable[str]) -> Iterator[str]:
    """The globs, those with `${multiarch}` once for each platform."""
    multiarchs = tuple(multiarchs)
    for glob in globs:
        yield from dict.fromkeys(glob.replace("${multiarch}", multiarch) for multiarch in multiarchs)


@cache
def _index(multiarchs: tuple[str, ...]) -> Index:
    return Index(all_families(), multiarchs)


def prepare(platform: Platform) -> None:
    """Read the families and index them for images of one platform, once for the process."""
    alone = (platform.multiarch,)
    _index(alone)
    _chosen(alone)
    _left_out(alone)


class Families(Rule):
    """Members of the families that a kept file, or the image's environment, calls for."""

    name = "family"
    level = Level.SAFE
    selector = Selector(NO_DIRECTORIES)

    def initial_wants(self, world: World) -> Iterable[Want]:
        members = _members(world)
        for family in all_families():
            if family.when or family.level > world.policy.level:
                continue
            if members.conditions(family, world, members.multiarchs):
                for path in members.of(family, members.multiarchs):
                    yield _want(path, family, "config:Env", world.rootfs)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        members = _members(world)
        for family, groups in members.index.match(canonical(entry.path), _may_name(entry)):
            if _excluded(family, entry.path) or family.level > world.policy.level_of(entry.path):
                continue
            multiarchs = tuple(platform.multiarch for platform in platforms_of(entry, world))
            if not members.conditions(family, world, multiarchs):
                continue
            if not _names(entry, world.rootfs, family.calls, CALLS):
                continue
            if not _names(entry, world.rootfs, family.contains, CONTAINS):
                continue
            paths = members.of(family, multiarchs, entry.path.rpartition("/")[0], groups)
            for path in _from(entry.path, paths, family, world):
                yield _want(path, family, entry.path, world.rootfs)


def _want(path: str, family: Family, source: str, rootfs: Rootfs) -> Want:
    """The claim on a member; a link that leads nowhere is kept for itself."""
    return Want(path, f"family.{family.name}", source, family.why, follow=rootfs.resolve(path).path is not None)


def _from(path: str, members: tuple[str, ...], family: Family, world: World) -> tuple[str, ...]:
    """What one trigger asks for.

    A member that is a trigger too asks for the first such member only, and that one for all: a thousand time
    zones would otherwise each ask for a thousand.
    """
    if path not in members:
        return members
    first = _members(world).first(family, members) or path
    return members if path == first else (first,)


def _excluded(family: Family, path: str) -> bool:
    return bool(family.excluded) and _matcher(family.excluded)(canonical(path))


_matcher = cache(matcher)


def _may_name(entry: Entry) -> bool:
    """Whether a file may be an ELF program or library, by its mode and name."""
    return entry.is_file and (entry.executable or ".so" in entry.name or entry.name.endswith(".node"))


def _names(entry: Entry, rootfs: Rootfs, texts: tuple[bytes, ...], limit: int) -> bool:
    """Whether an ELF program or library has one of the texts near its start; true where none is asked for."""
    if not texts:
        return True
    if rootfs.read(entry.path, 4) != MAGIC:
        return False
    head = rootfs.read(entry.path, limit)
    return any(text in head for text in texts)


def render(families: Iterable[Family]) -> str:
    """The families as the Markdown of `docs/families.md`."""
    lines = [
        "# Families\n",
        "When one of these is kept, these belong to it. Made from `debloat/rules/knowledge/families.toml` by",
        "`python -m debloat.rules.knowledge.families > docs/families.md`.\n",
        "| family | when | keeps | why |",
        "|---|---|---|---|",
    ]
    for family in sorted(families, key=lambda f: f.name):
        when = ", ".join([*(f"`{p}`" for p in family.when), *(f"`${name}` set" for name in family.env)])
        if texts := (*family.calls, *family.contains):
            when += " that names " + " or ".join(f"`{text.decode()}`" for text in texts)
        if family.says:
            when += ", where the image's configuration or " + ", ".join(f"`{p}`" for p in family.where)
            when += " says " + " or ".join(f"`{p.pattern}`".replace("|", "\\|") for p in family.says)
        keeps = ", ".join(f"`{p}`" for p in family.keep)
        if family.less:
            keeps += "; less " + ", ".join(f"`{p}`" for p in family.less)
        lines.append(f"| `{family.name}` | {when} | {keeps} | {family.why} |")
    return "\n".join(lines) + "\n"


RULES: tuple[Rule, ...] = (Families(),)

if __name__ == "__main__":
    print(render(all_families()), end="")
