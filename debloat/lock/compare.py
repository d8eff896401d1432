"""Comparing what is in two images, locks or traces: by package and by file. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from debloat.core.model import Kind, Trace
from debloat.debian.dpkg import ADMIN
from debloat.lock.format import Item, LockedPackage
from debloat.lock.seeds import stem


@dataclass(frozen=True, slots=True)
class Change:
    """A path on both sides that is not the same; `what` names the attributes: `content`, `mode`, `owner`, `type`."""

    before: Item
    after: Item
    what: tuple[str, ...]

    @property
    def path(self) -> str:
        return self.after.path


@dataclass(frozen=True, slots=True)
class PackageDiff:
    """What changed in one package; `name` is empty for the application's files and for directories.

    `before` and `after` are versions, empty where the package is absent; `old_name` is the name it had, if another.
    """

    name: str
    before: str
    after: str
    added: tuple[Item, ...] = ()
    removed: tuple[Item, ...] = ()
    changed: tuple[Change, ...] = ()
    old_name: str = ""

    @property
    def quiet(self) -> bool:
        """Whether nothing about it changed."""
        return self.before == self.after and not (self.added or self.removed or self.changed or self.old_name)

    @property
    def growth(self) -> int:
        """Bytes of files that it has more than before."""
        grown = sum(c.after.size - c.before.size for c in self.changed)
        return sum(i.size for i in self.added) - sum(i.size for i in self.removed) + grown


@dataclass(frozen=True, slots=True)
class Diff:
    """The packages in which two manifests differ, sorted by name, the application first."""

    packages: tuple[PackageDiff, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.packages)

    @property
    def added(self) -> tuple[Item, ...]:
        return tuple(itertools.chain.from_iterable(p.added for p in self.packages))

    @property
    def removed(self) -> tuple[Item, ...]:
        return tuple(itertools.chain.from_iterable(p.removed for p in self.packages))

    @property
    def changed(self) -> tuple[Change, ...]:
        return tuple(itertools.chain.from_iterable(p.changed for p in self.packages))


EMPTY_DIFF = Diff()
"""No difference."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: a name for people, the manifest, the packages."""

    name: str
    items: Sequence[Item]
    packages: Sequence[LockedPackage]


def compare(before: Side, after: Side) -> Diff:
    """How `after` differs from `before`, file by file, grouped by package.

    A file that went to another package is a change of the package that has it now. A directory that came or went with
    what is in it is not told.
    """
    old, new = ({item.path: item for item in side.items} for side in (before, after))
    inner = {path.rpartition("/")[0] or "/" for path in (*old, *new)}
    was, now = ({p.name: p for p in side.packages} for side in (before, after))
    renamed = _renamed(was, now)
    added: dict[str, list[Item]] = {}
    removed: dict[str, list[Item]] = {}
    changed: dict[str, list[Change]] = {}
    for path, item in new.items():
        if path not in old:
            if path in inner:
                continue
            added.setdefault(item.package, []).append(item)
        elif what := difference(old[path], item):
            changed.setdefault(item.package, []).append(Change(old[path], item, what))
    successor = {o: n for n, o in renamed.items()}
    for path, item in old.items():
        if path not in new and path not in inner:
            removed.setdefault(successor.get(item.package, item.package), []).append(item)
    names = {"", *now, *(name for name in was if name not in successor)}

    def one(name: str) -> PackageDiff:
        former = was.get(renamed.get(name, name))
        latter = now.get(name)
        return PackageDiff(
            name,
            former.version if former else "",
            latter.version if latter else "",
            tuple(sorted(added.get(name, ()), key=lambda i: i.path)),
            tuple(sorted(removed.get(name, ()), key=lambda i: i.path)),
            tuple(sorted(changed.get(name, ()), key=lambda c: c.path)),
            renamed.get(name, ""),
        )

    found = tuple(p for p in map(one, sorted(names)) if not p.quiet)
    if any(p.name for p in found):
        found = tuple(p for p in map(_without_database, found) if not p.quiet)
    return Diff(found)


def _without_database(diff: PackageDiff) -> PackageDiff:
    """Without the package database's files, which follow from what changed in the packages."""
    if diff.name:
        return diff

    def own(paths: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(p for p in paths if not p.path.startswith(f"{ADMIN}/"))

    return replace(diff, added=own(diff.added), removed=own(diff.removed), changed=own(diff.changed))


def difference(old: Item, new: Item) -> tuple[str, ...]:
    """In which attributes two entries of one path differ."""
    if old.kind is not new.kind:
        return ("type",)
    found = []
    if old.content != new.content or (old.kind is Kind.FILE and old.size != new.size):
        found.append("target" if old.kind is Kind.SYMLINK else "content")
    if old.mode != new.mode and old.kind is not Kind.SYMLINK:
        found.append("mode")
    if (old.uid, old.gid) != (new.uid, new.gid):
        found.append("owner")
    return tuple(found)


def _renamed(was: Mapping[str, LockedPackage], now: Mapping[str, LockedPackage]) -> dict[str, str]:
    """New name -> old name of packages whose name carries their version: libfoo1 -> libfoo2."""
    gone = [name for name in was if name not in now]
    come = [name for name in now if name not in was]
    found: dict[str, str] = {}
    for name in come:
        kin = [g for g in gone if stem(g) == stem(name) and g not in found.values()]
        if len(kin) == 1:
            found[name] = kin[0]
    return found


@dataclass(frozen=True, slots=True, order=True)
class TraceLine:
    """A use of a path that only one of two traces has: `sign` is `+` or `-`."""

    probe: str
    path: str
    sign: str
    op: str
    program: str


def compare_traces(before: Trace, after: Trace) -> tuple[TraceLine, ...]:
    """Uses by probe and path that one trace has and the other has not; flags do not matter."""

    def uses(trace: Trace) -> set[tuple[str, str, str, str]]:
        return {(a.probe, a.path, str(a.op), a.program) for a in trace.accesses}

    old, new = uses(before), uses(after)
    lines = [TraceLine(probe, path, "-", op, program) for probe, path, op, program in old - new]
    lines += [TraceLine(probe, path, "+", op, program) for probe, path, op, program in new - old]
    return tuple(sorted(lines))


def document(diff: Diff) -> list[dict[str, object]]:
    """A difference as plain values, for JSON."""
    return [
        {
            "package": p.name,
            "before": p.before,
            "after": p.after,
            "renamed_from": p.old_name,
            "growth": p.growth,
            "added": [i.path for i in p.added],
            "removed": [i.path for i in p.removed],
            "changed": [{"path": c.path, "what": list(c.what)} for c in p.changed],
        }
        for p in diff.packages
    ]


def format_diff(diff: Diff, shown: int = 0) -> Iterable[str]:
    """A difference for people: a line a package, then its files; `shown` limits the files of each package."""
    from debloat.core.text import count, name, size

    for package in diff.packages:
        title = package.name or "application"
        if package.old_name:
            title = f"{package.old_name} -> {package.name}"
        parts = [
            f"{sign}{count(len(group), 'file')}"
            for sign, group in (("+", package.added), ("-", package.removed), ("~", package.changed))
            if group
        ]
        if package.growth:
            parts.append(f"{'+' if package.growth > 0 else '-'}{size(abs(package.growth))}")
        version = ""
        if package.before != package.after:
            version = f" {package.before or '(absent)'} -> {package.after or '(absent)'}"
        yield f"{name(title)}{name(version)}" + (f": {', '.join(parts)}" if parts else "")
        files = [f"+ {name(i.path)}" for i in package.added] + [f"- {name(i.path)}" for i in package.removed]
        files += [f"~ {name(c.path)} ({', '.join(c.what)})" for c in package.changed]
        limit = shown or len(files)
        yield from (f"  {line}" for line in files[:limit])
        if len(files) > limit:
            yield f"  ... and {len(files) - limit} more"
