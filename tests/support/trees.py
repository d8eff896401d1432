"""Root file systems written as tables, and closures read back as tables.

    tree({"/usr/bin/tool": "#!/bin/sh", "/bin": "-> usr/bin", "/var/empty/": "", "/x": ("0755 1:2", b"..")})

A path that ends in `/` is a directory, a text `-> target` a symlink, a pair (`MODE [UID:GID]`, content) sets
metadata. Parent directories come by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from debloat.closure import UNRECORDED, Rule, World, close, recorded
from debloat.core.model import Closure, Entry, ImageConfig, Kind, Level, Policy, Trace, Want
from debloat.core.platform import AMD64, Platform
from debloat.debian.packages import NoPackages, Package, Packages
from debloat.image.rootfs import MemoryContents, Rootfs
from debloat.rules import prepare_image
from tests.support.selectors import hidden

NOTHING_TRACED = Trace()

Table = Mapping[str, Sequence[Any]]
"""A text, bytes, or a pair of metadata and one of them; a type checker joins these to a sequence in a literal."""


def tree(table: Table) -> Rootfs:
    """The root file system that a table describes."""
    entries: dict[str, Entry] = {"/": Entry("/", Kind.DIR, 0o755)}
    files: dict[str, bytes] = {}
    for key, value in table.items():
        path = key.rstrip("/") or "/"
        spec, content = value if isinstance(value, tuple) else ("", value)
        words = spec.split()
        mode = int(words[0], 8) if words else (0o755 if key.endswith("/") else 0o644)
        uid, gid = (int(n) for n in words[1].split(":")) if len(words) > 1 else (0, 0)
        parent = path.rpartition("/")[0]
        while parent and parent not in entries:
            entries[parent] = Entry(parent, Kind.DIR, 0o755)
            parent = parent.rpartition("/")[0]
        if key.endswith("/"):
            entries[path] = Entry(path, Kind.DIR, mode, uid, gid)
        elif isinstance(content, str) and content.startswith("-> "):
            entries[path] = Entry(path, Kind.SYMLINK, 0o777, uid, gid, target=content[3:])
        else:
            data = content.encode() if isinstance(content, str) else content
            files[path] = data
            entries[path] = Entry(path, Kind.FILE, mode, uid, gid, len(data))
    return Rootfs(entries.values(), MemoryContents(files))


class FakePackages(NoPackages):
    """A package database given as {package: [paths]}; a path ending in `/` claims all below it is not supported.

    `a=b` names the package `a` of the source `b`.
    """

    def __init__(self, owned: Mapping[str, Sequence[str]], essential: Sequence[str] = ()) -> None:
        self._essential = frozenset(essential)
        self._owned = {name.partition("=")[0]: tuple(sorted(paths)) for name, paths in owned.items()}
        self._sources = {name.partition("=")[0]: name.partition("=")[2] for name in owned}

    def owners(self, path: str) -> tuple[str, ...]:
        return tuple(sorted(n for n, paths in self._owned.items() if path in paths))

    def files(self, name: str) -> tuple[str, ...]:
        return self._owned.get(name, ())

    def get(self, name: str) -> Package | None:
        source = self._sources.get(name) or name
        essential = name in self._essential
        return Package(name, name, "1", "all", source, essential=essential) if name in self._owned else None

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._owned))

    def providers(self, bare: str) -> tuple[str, ...]:
        return (bare,) if bare in self._owned else ()


def world(
    table: Table,
    *,
    owned: Mapping[str, Sequence[str]] | None = None,
    config: Mapping[str, object] | None = None,
    trace: Trace = NOTHING_TRACED,
    level: Level = Level.SAFE,
    history: tuple[str, ...] = (),
    essential: Sequence[str] = (),
    platform: Platform = AMD64,
) -> World:
    """A world around a table, at a level."""
    packages: Packages = FakePackages(owned or {}, essential)
    return World(tree(table), packages, ImageConfig(config or {}), trace, Policy(level), history, platform)


def closed(world: World, rules: Sequence[Rule], *seeds: str) -> Closure:
    """The closure of some paths under some rules, whose selectors hide nothing of it.

    As in a run, what follows from the image alone is derived before its trace is there.
    """
    unrecorded = replace(world, trace=UNRECORDED)
    prepare_image(unrecorded)
    world = recorded(unrecorded, world.trace)
    closure = close(world, rules, [Want(s, "seed", "probe:test") for s in seeds])
    kept = (entry for path in closure.evidence if (entry := world.rootfs.get(path)) is not None)
    assert hidden(rules, world, kept) == []
    return closure


def paths(closure: Closure, below: str = "/") -> list[str]:
    """The kept paths, parent directories and root left out unless nothing else kept them."""
    return [
        path
        for path, evidence in closure.evidence.items()
        if path.startswith(below) and any(e.rule != "parent" for e in evidence)
    ]


def rules_for(closure: Closure, path: str) -> Iterable[str]:
    """Names of the rules that wanted a path, sorted and unique."""
    return sorted({e.rule for e in closure.evidence.get(path, ())})
