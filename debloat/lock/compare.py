"""Comparing what is in two images, locks or traces: by package and by file. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.model import Kind, Trace
from debloat.debian.dpkg import ADMIN
from debloat.lock.format import Item, LockedPackage
from debloat.lock.seeds import stem


class Change(Struct, frozen=True):
    """A path on both sides that differs, in the attributes `what`: `content`, `target`, `mode`, `owner`, `type`."""

    before: Item
    after: Item
    what: tuple[str, ...]

    @property
    def path(self) -> str:
        return self.after.path


class PackageDiff(Struct, frozen=True):
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
        """How many bytes of files it gained; negative where it shrank."""
        grown = sum(c.after.size - c.before.size for c in self.changed)
        return sum(i.size for i in self.added) - sum(i.size for i in self.removed) + grown


class Diff(Struct, frozen=True):
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


class Side(Struct, frozen=True):
    """One side of a comparison: a name for people, the manifest, the packages."""

    name: str
    items: Sequence[Item]
    packages: Sequence[LockedPackage]


def compare(before: Side, after: Side) -> Diff:
    """How `after` differs from `before`, file by file, grouped by package.

    A file that moved to another package counts as a change of the package that has it now. A directory that was added
    or removed together with its contents is not reported.
    """
    old, new = ({item.path: item for item in side.items} for side in (before, after))
    parents = {path.rpartition("/")[0] or "/" for path in (*old, *new)}
    old_packages, new_packages = ({p.name: p for p in side.packages} for side in (before, after))
    renamed = _renamed(old_packages, new_packages)
    added: dict[str, list[Item]] = {}
    removed: dict[str, list[Item]] = {}
    changed: dict[str, list[Change]] = {}
    for path, item in new.items():
        if path not in old:
            if path in parents:
                continue
            added.setdefault(item.package, []).append(item)
        elif what := difference(old[path], item):
            changed.setdefault(item.package, []).append(Change(old[path], item, what))
    successor = {o: n for n, o in renamed.items()}
    for path, item in old.items():
        if path not in new and path not in parents:
            removed.setdefault(successor.get(item.package, item.package), []).append(item)
    names = {"", *new_packages, *(name for name in old_packages if name not in successor)}

    def package_diff(name: str) -> PackageDiff:
        old_package = old_packages.get(renamed.get(name, name))
        new_package = new_packages.get(name)
        return PackageDiff(
            name,
            old_package.version if old_package else "",
            new_package.version if new_package else "",
            tuple(sorted(added.get(name, ()), key=lambda i: i.path)),
            tuple(sorted(removed.get(name, ()), key=lambda i: i.path)),
            tuple(sorted(changed.get(name, ()), key=lambda c: c.path)),
            renamed.get(name, ""),
        )

    differing = tuple(p for p in map(package_diff, sorted(names)) if not p.quiet)
    if any(p.name for p in differing):
        differing = tuple(p for p in map(_without_database, differing) if not p.quiet)
    return Diff(differing)


def _without_database(diff: PackageDiff) -> PackageDiff:
    """The differences without the package database's files, which change whenever a package does."""
    if diff.name:
        return diff

    def without_admin_files(paths: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(p for p in paths if not p.path.startswith(f"{ADMIN}/"))

    return replace(
        diff,
        added=without_admin_files(diff.added),
        removed=without_admin_files(diff.removed),
        changed=without_admin_files(diff.changed),
    )


def difference(old: Item, new: Item) -> tuple[str, ...]:
    """The attributes in which two entries of one path differ, named as in `Change.what`."""
    if old.kind is not new.kind:
        return ("type",)
    attributes = []
    if old.content != new.content or (old.kind is Kind.FILE and old.size != new.size):
        attributes.append("target" if old.kind is Kind.SYMLINK else "content")
    if old.mode != new.mode and old.kind is not Kind.SYMLINK:
        attributes.append("mode")
    if (old.uid, old.gid) != (new.uid, new.gid):
        attributes.append("owner")
    return tuple(attributes)


def _renamed(old: Mapping[str, LockedPackage], new: Mapping[str, LockedPackage]) -> dict[str, str]:
    """New name -> old name of packages whose name carries their version: libfoo1 -> libfoo2."""
    removed = [name for name in old if name not in new]
    added = [name for name in new if name not in old]
    renamed: dict[str, str] = {}
    for name in added:
        candidates = [g for g in removed if stem(g) == stem(name) and g not in renamed.values()]
        if len(candidates) == 1:
            renamed[name] = candidates[0]
    return renamed


class TraceLine(Struct, frozen=True, order=True):
    """An access that only one of two traces has: `sign` is `-` for the first, `+` for the second."""

    probe: str
    path: str
    sign: str
    op: str
    program: str


def compare_traces(before: Trace, after: Trace) -> tuple[TraceLine, ...]:
    """The accesses that only one of two traces has, sorted by probe and path. Flags are not compared."""

    def uses(trace: Trace) -> set[tuple[str, str, str, str]]:
        return {(a.probe, a.path, str(a.op), a.program) for a in trace.accesses}

    old, new = uses(before), uses(after)
    lines = [TraceLine(probe, path, "-", op, program) for probe, path, op, program in old - new]
    lines += [TraceLine(probe, path, "+", op, program) for probe, path, op, program in new - old]
    return tuple(sorted(lines))


def document(diff: Diff) -> list[dict[str, object]]:
    """A difference as lists and dictionaries, for JSON."""
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
    """A difference as lines of text: one for each package, then its files, at most `shown` of each package (0: all)."""
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
