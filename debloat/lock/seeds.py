"""The seeds of a lock: a trace without what changes from run to run, and how it is carried over to another build.

A lock is reviewed as a diff, so it must not have the names of one run (temporary files, process numbers); without them
the trace closes to the same files. In another build a path that no longer exists is looked for in its new version: in
the same package, or in one renamed with its version (libfoo1 -> libfoo2, python3.11 -> python3.12, the t64 transition).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.model import Access, Kind, Op, Trace, Want
from debloat.debian.packages import Packages
from debloat.image.rootfs import MAX_LINKS, MemoryContents, Resolution, Rootfs
from debloat.lock.format import Item, Lock
from debloat.rules.recorded.sweeps import is_outside_image
from debloat.rules.recorded.trace import CREATING_OPS

NEW = "(new)"
"""Replaces, in a normalised trace, any name that the run created."""

_NUMBER = re.compile(r"\d+(?:\.\d+)*", re.ASCII)
_T64 = re.compile(r"t64(?=$|:)")
"""Suffix of packages renamed for 64-bit time_t (Debian trixie); the files in them keep their names."""


def normalised_trace(trace: Trace, rootfs: Rootfs) -> Trace:
    """The trace without paths outside the image, and with `(new)` for names that the run created.

    Its closure over `rootfs` is the same. Every program of every probe still occurs.
    """
    created = set()
    for access in trace.accesses:
        if _creates(access):
            resolution = rootfs.resolve(access.path, follow=access.follows)
            if resolution.path is None and resolution.broken not in rootfs:
                created.add(resolution.broken)
    kept: set[Access] = set()
    for access in trace.accesses:
        if not is_outside_image(access.path):
            kept.update(_normalised(access, rootfs, created))
    groups = {(a.probe, a.program) for a in trace.accesses}
    without_access = groups - {(a.probe, a.program) for a in kept}
    kept.update(
        Access(program, Op.EXEC, "", probe, program) for probe, program in without_access if program.startswith("/")
    )
    return replace(trace, accesses=frozenset(kept))


def _creates(access: Access) -> bool:
    return access.op in CREATING_OPS or "c" in access.flags


def _normalised(access: Access, rootfs: Rootfs, created: set[str]) -> Iterable[Access]:
    resolution = rootfs.resolve(access.path, follow=access.follows)
    if resolution.path is not None or resolution.broken not in created or "/.." in access.path:
        return (access,)
    directory = _directory(access.path, resolution, rootfs)
    if directory is None:
        return (access,)
    if _creates(access) or resolution.links:
        return (replace(access, path=f"{directory.rstrip('/')}/{NEW}"),)
    return ()


def _directory(path: str, resolution: Resolution, rootfs: Rootfs) -> str | None:
    """The part of `path` that leads, over the same links, to the directory in which it breaks off."""
    parent = resolution.broken.rpartition("/")[0] or "/"
    while path != "/":
        path = path.rstrip("/").rpartition("/")[0] or "/"
        parent_resolution = rootfs.resolve(path)
        if parent_resolution.path == parent:
            return path if parent_resolution.links == resolution.links else None
    return None


# ---------------------------------------------------------------------------------------- another build


class Move(Struct, frozen=True, order=True):
    """A path of the lock that another build has under the name `new`, in another version."""

    old: str
    new: str
    package: str


class Gone(Struct, frozen=True, order=True):
    """A path that was used when the lock was made, and that another build has in no version.

    `reason` is why the lock kept it; for a link, why it kept the target.
    """

    path: str
    package: str
    reason: str


class Seeds(Struct, frozen=True):
    """The seeds of a lock, carried over to another build: the trace and the healed paths under their new names."""

    trace: Trace
    healed: tuple[Want, ...]
    moves: tuple[Move, ...]
    gone: tuple[Gone, ...]


def tree_of(manifest: Iterable[Item]) -> Rootfs:
    """The entries of a manifest as a root file system without contents."""
    return Rootfs((item.entry() for item in manifest), MemoryContents({}))


def carry_over(lock: Lock, rootfs: Rootfs, packages: Packages) -> Seeds:
    """The lock's seeds as they apply to another build of its image."""
    locked = tree_of(lock.manifest)
    paths = {(a.path, a.follows) for a in lock.trace.accesses} | {(w.path, w.follow) for w in lock.healed}
    paths |= {(a.program, True) for a in lock.trace.accesses if a.program.startswith("/")}
    successors = _Successors(lock, locked, rootfs, packages)
    renamed: dict[str, str] = {}
    moves, gone = set[Move](), set[Gone]()
    for path, follow in sorted(paths):
        locked_path = locked.resolve(path, follow=follow).path
        if locked_path is None or is_outside_image(path) or rootfs.resolve(path, follow=follow).path is not None:
            continue
        named_path = locked.resolve(path, follow=False).path or locked_path
        new = successors.find(named_path) or successors.find(locked_path)
        if new is None:
            gone.update(successors.lost(p) for p in (named_path, locked_path) if p not in rootfs)
        else:
            renamed[path] = new
            moves.update(Move(old, new, successors.item(old).package) for old in (named_path,) if old != new)
    accesses = frozenset(
        replace(a, path=renamed.get(a.path, a.path), program=renamed.get(a.program, a.program))
        for a in lock.trace.accesses
    )
    healed = tuple(replace(w, path=renamed.get(w.path, w.path)) for w in lock.healed)
    return Seeds(replace(lock.trace, accesses=accesses), healed, tuple(sorted(moves)), tuple(sorted(gone)))


class _Successors:
    """Finds the path that a path of the lock has in another build."""

    def __init__(self, lock: Lock, locked: Rootfs, rootfs: Rootfs, packages: Packages) -> None:
        self._items: Mapping[str, Item] = {item.path: item for item in lock.manifest}
        self._sources = {p.name: p.source for p in lock.packages}
        self._locked = locked
        self._rootfs = rootfs
        self._packages = packages

    def item(self, path: str) -> Item:
        return self._items[path]

    def lost(self, path: str) -> Gone:
        item, reason = self._items[path], self._items[path].reason
        for _ in range(MAX_LINKS):
            target = self._items.get(reason.removeprefix("link ")) if reason.startswith("link ") else None
            if target is None:
                break
            reason = target.reason
        return Gone(path, item.package, reason)

    def find(self, path: str) -> str | None:
        """The path in the other build: `path` itself, or one of the same package that differs in version numbers only.

        None where there is neither.
        """
        if path in self._rootfs:
            return path
        candidates = [p for p in self._shaped.get(shape(path), ()) if p not in self._locked]
        item = self._items[path]
        fitting = [p for p in candidates if self._fits(item, p)]
        return min(fitting, key=lambda p: _closeness(path, p)) if fitting else None

    def _fits(self, item: Item, path: str) -> bool:
        entry, owners = self._rootfs.get(path), self._packages.owners(path)
        if entry is None or entry.kind is not item.kind:
            return False
        if not item.package:
            return item.kind is Kind.DIR or not owners
        return any(self._kin(item.package, owner) for owner in owners)

    def _kin(self, old: str, new: str) -> bool:
        package = self._packages.get(new)
        source = package.source if package else ""
        return stem(old) == stem(new) or (bool(source) and stem(source) == stem(self._sources.get(old, "")))

    @functools.cached_property
    def _shaped(self) -> Mapping[str, list[str]]:
        by_shape: dict[str, list[str]] = {}
        for path in self._rootfs:
            if any(c.isdigit() for c in path):
                by_shape.setdefault(shape(path), []).append(path)
        return by_shape


def shape(path: str) -> str:
    """A path with its version numbers masked: the same for every version of a file."""
    return _NUMBER.sub("#", path)


@functools.lru_cache(maxsize=4096)
def stem(package: str) -> str:
    """A package's name without version and transition: `libssl1.1` and `libssl3t64:amd64` are one."""
    return _NUMBER.sub("#", _T64.sub("", package.partition(":")[0]))


def _closeness(old: str, new: str) -> tuple[int, int, list[tuple[int, ...]], str]:
    """Order of candidates: fewest numbers changed, numbers as long as before, then the highest version."""
    old_numbers, new_numbers = _NUMBER.findall(old), _NUMBER.findall(new)
    changes = sum(a != b for a, b in zip(old_numbers, new_numbers, strict=False))
    depth_changes = sum(a.count(".") != b.count(".") for a, b in zip(old_numbers, new_numbers, strict=False))
    version = [tuple(-int(part) for part in number.split(".")) for number in new_numbers]
    return changes, depth_changes, version, new
