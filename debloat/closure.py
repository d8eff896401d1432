"""Closing: from what was touched to all that must stay, each path with its evidence.

A rule is a pure function from a kept entry and the world (root file system, packages, configuration, trace) to
claims on further paths. A worklist runs all rules over every kept entry until nothing new is claimed; the
result does not depend on the order of rules, entries or claims.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.globs import matcher
from debloat.core.model import MOUNT_POINTS, Closure, Entry, Evidence, ImageConfig, Level, Policy, Trace, Want
from debloat.core.platform import AMD64, Platform
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs
from debloat.selector import EVERYTHING, Index, Selector

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Memo:
    """What has been computed of one world. Only functions made by `derived` and `derived_by` read and fill it."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: dict[Callable[..., Any], Any] = {}
        """For each function its value, or for a function of a key the values by key."""


class World(Struct, frozen=True, dict=True):
    """All that a rule may look at: a value, so that a rule can be pure.

    `memo` belongs to this very world and holds nothing that the other fields do not say; a changed world
    (`msgspec.structs.replace`) begins with an empty one. One thread at a time may close a world.
    """

    rootfs: Rootfs
    packages: Packages
    config: ImageConfig
    trace: Trace = Trace()
    policy: Policy = Policy()
    history: tuple[str, ...] = ()
    platform: Platform = AMD64

    @functools.cached_property
    def memo(self) -> Memo:
        """No field: a changed world gets its own, and worlds are equal without it."""
        return Memo()


def derived(compute: Callable[[World], T]) -> Callable[[World], T]:
    """A function of the whole world that is computed once for each: for tables that rules look things up in."""

    @functools.wraps(compute)
    def remembered(world: World) -> T:
        values = world.memo.values
        if compute not in values:
            values[compute] = compute(world)
        result: T = values[compute]
        return result

    return remembered


def derived_by(compute: Callable[[World, K], T]) -> Callable[[World, K], T]:
    """The same for a function of the world and of a key, such as a path or a package: computed once for each key."""

    @functools.wraps(compute)
    def remembered(world: World, key: K) -> T:
        values: dict[K, T] | None = world.memo.values.get(compute)
        if values is None:
            values = world.memo.values[compute] = {}
        if key not in values:
            values[key] = compute(world, key)
        return values[key]

    return remembered


_OF_IMAGE = set[Callable[..., Any]]()


def derived_of_image(compute: Callable[[World], T]) -> Callable[[World], T]:
    """A `derived` function that looks at all of a world but its trace: `recorded` passes on what it gave."""
    _OF_IMAGE.add(compute)
    return derived(compute)


class _Unrecorded:
    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"the world is not recorded yet: {name}")


UNRECORDED = cast(Trace, _Unrecorded())
"""The trace of a world that is still being recorded: whoever looks at it fails, so nothing wrong is derived of it."""


def recorded(world: World, trace: Trace) -> World:
    """The world once its trace is there, with what was derived of the image alone before."""
    told = replace(world, trace=trace)
    values = world.memo.values
    told.memo.values.update({compute: values[compute] for compute in _OF_IMAGE if compute in values})
    return told


class Rule:
    """One piece of knowledge. Subclasses override `initial_wants`, `wants`, or both, and keep no state.

    `name` stands in every piece of evidence (`elf.needed`); `level` is the lowest at which the rule runs; `selector`
    says which entries it can say something of.
    """

    name: ClassVar[str]
    level: ClassVar[Level] = Level.SAFE
    selector: ClassVar[Selector] = EVERYTHING

    def select(self, world: World) -> Selector:
        """The same for one world, where that tells more: computed once for each closing."""
        return self.selector

    def initial_wants(self, world: World) -> Iterable[Want]:
        """Claims that follow from the world as a whole, before anything is kept."""
        return ()

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        """Claims that follow from `entry`, a kept entry (never a symlink's target: the entry itself) that is selected.

        The contents of kept regular files have been fetched when this is called. Called once per entry.
        """
        return ()

    def want(self, path: str, source: str, detail: str = "") -> Want:
        """A claim of this rule on `path`, which follows from `source`: a path that stays, or the name of a root."""
        return Want(path, self.name, source, detail)


def close(world: World, rules: Sequence[Rule], wants: Iterable[Want] = ()) -> Closure:
    """The smallest set of paths that holds what is wanted beforehand and satisfies every rule, with the evidence.

    Links on the way to a wanted path, and the parent directories of all that is kept, are part of it; what is hidden
    below a mount point is not, whoever wants it. Rules up to
    `safe` close first. Those of level `package` then add whole packages to it, and what these add is closed by the
    `exact` rules only: an idle script of a package that is whole must not pull in what it could reach.
    """
    policy = world.policy
    highest = policy.highest
    worklist = _Worklist(world)
    for want in wants:
        worklist.claim(want)
    for glob in policy.keep:
        for path in _keep(world.rootfs, glob):
            worklist.claim(Want(path, "keep", f"keep:{glob}"))
    _run(worklist, world, [r for r in rules if r.level < Level.PACKAGE and r.level <= highest], (), Level.SAFE)
    if highest >= Level.PACKAGE:
        whole = [r for r in rules if r.level >= Level.PACKAGE]
        narrow = [r for r in rules if r.level <= Level.EXACT]
        _run(worklist, world, whole, worklist.entries(), Level.PACKAGE, narrow)
    return worklist.closure()


def _run(
    worklist: _Worklist,
    world: World,
    rules: Sequence[Rule],
    kept: Iterable[Entry],
    ceiling: Level,
    on_new: Sequence[Rule] = (),
) -> None:
    """Run rules to a fixpoint: `rules` on what is `kept` already and on all that is new, `on_new` on the new alone."""
    policy, claim = world.policy, worklist.claim
    looking = functools.cache(lambda level: _index(rules, level, world))
    looking_on_new = functools.cache(lambda level: _index((*rules, *on_new), level, world))

    def look(entry: Entry, among: Callable[[Level], Index[Rule]]) -> None:
        level = policy.level_of(entry.path) if policy.levels else policy.level
        for rule in among(min(level, ceiling)).of(entry):
            for want in rule.wants(entry, world):
                claim(want)

    for rule in rules:
        for want in rule.initial_wants(world):
            claim(want)
    for entry in kept:
        look(entry, looking)
    while new := worklist.take():
        world.rootfs.fetch(entry.path for entry in new)
        for entry in new:
            look(entry, looking_on_new)


def _index(rules: Sequence[Rule], level: Level, world: World) -> Index[Rule]:
    """The rules that run at a level, by the entries that each looks at; many rules look at the world alone."""
    looking = (rule for rule in rules if level >= rule.level and type(rule).wants is not Rule.wants)
    return Index(((rule.select(world), rule) for rule in looking), world.rootfs)


def _keep(rootfs: Rootfs, glob: str) -> Iterable[str]:
    """What `--keep GLOB` names: the paths that match, a link to a directory too, and all that is below directories."""
    if rootfs.resolve(glob, follow=False).path is not None:
        yield glob
    for path in rootfs.glob(glob):
        yield path
        if rootfs.is_dir(path):
            yield from (entry.path for entry in rootfs.walk(path))


_HIDDEN = tuple(f"{point}/" for point in MOUNT_POINTS)


class _Worklist:
    """Kept paths with their evidence, and those that no rule has looked at yet."""

    def __init__(self, world: World) -> None:
        self._rootfs = world.rootfs
        self._dropped = matcher(world.policy.drop) if world.policy.drop else None
        self._evidence: dict[str, set[Evidence]] = {}
        self._new: list[Entry] = []

    def claim(self, want: Want) -> None:
        """Keep what a path leads to, with the links and directories on the way; nothing where it leads nowhere."""
        evidence = Evidence(want.rule, want.source, want.detail)
        entry = self._rootfs.get(want.path)
        if entry is not None and not (want.follow and entry.is_symlink):
            self._keep(want.path, evidence)  # it leads to itself, as most do
            return
        resolution = self._rootfs.resolve(want.path, follow=want.follow)
        if resolution.path is None:
            return
        if resolution.path.startswith(_HIDDEN):
            for link in resolution.links:
                self._keep(link, evidence)
        elif self._keep(resolution.path, evidence):
            for link in resolution.links:
                self._keep(link, Evidence("link", resolution.path, f"link to it in {want.path}"))
            for directory in resolution.through:
                self._keep(directory, Evidence("parent", resolution.path))

    def _keep(self, path: str, evidence: Evidence) -> bool:
        if path.startswith(_HIDDEN) or (self._dropped is not None and self._dropped(path)):
            return False
        evidences = self._evidence.get(path)
        if evidences is None:
            entry = self._rootfs.get(path)
            if entry is None:
                return False
            self._evidence[path] = {evidence}
            self._new.append(entry)
            if path != "/":
                self._keep(path.rpartition("/")[0] or "/", Evidence("parent", path))
        elif evidence.source != path:
            evidences.add(evidence)
        return True

    def take(self) -> list[Entry]:
        """The entries that were kept since the last call, sorted."""
        new, self._new = sorted(self._new, key=lambda e: e.path), []
        return new

    def entries(self) -> list[Entry]:
        """All that is kept so far, sorted."""
        return [e for p in sorted(self._evidence) if (e := self._rootfs.get(p)) is not None]

    def closure(self) -> Closure:
        """All that is kept so far with its evidence, both sorted."""
        found = sorted(self._evidence.items())
        return Closure(MappingProxyType({path: tuple(sorted(ev) if len(ev) > 1 else ev) for path, ev in found}))


def distances(closure: Closure) -> dict[str, int]:
    """How many steps each kept path is from a root: 0 where one of its evidences names a root itself."""
    dependents: dict[str, list[str]] = {}
    distance: dict[str, int] = {}
    for path, evidences in closure.evidence.items():
        for ev in evidences:
            if ev.source in closure.evidence:
                dependents.setdefault(ev.source, []).append(path)
            else:
                distance[path] = 0
    queue = deque(sorted(distance))
    while queue:
        source = queue.popleft()
        for path in dependents.get(source, ()):
            if path not in distance:
                distance[path] = distance[source] + 1
                queue.append(path)
    return distance


def steps(closure: Closure) -> dict[str, Evidence]:
    """For each kept path the first step of a shortest chain back to a root; following them always gets there.

    Of several as short, one that is no `parent` (a directory that stays for what is in it), then the first.
    """
    distance, roots = distances(closure), len(closure.evidence)

    def rank(ev: Evidence) -> tuple[int, bool, Evidence]:
        return distance.get(ev.source, roots) if ev.source in closure.evidence else -1, ev.rule == "parent", ev

    return {path: min(evidences, key=rank) for path, evidences in closure.evidence.items()}
