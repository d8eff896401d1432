"""How an image was built: what was put where, what was asked for by name, what the build itself used.

Two witnesses: the history (`dockerfile.py`), whose RUN lines are read as the shell reads them, and apt's own records
(`debian/asked.py`), which know also of what a file, a variable or a line that the builder lost named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from debloat.closure import World, derived
from debloat.debian import asked
from debloat.rules.application.dockerfile import Destination, Instruction, destinations, instructions
from debloat.rules.application.installs import Change, changes, matching
from debloat.rules.languages.shell.invocations import Vector, invocations


class Run(Struct, frozen=True):
    """What one RUN did.

    `number` is its place among the instructions. `changes` is what it asked package managers for, `commands` the
    argument vectors of all that it ran besides them, in order; nothing runs twice.
    """

    number: int
    changes: tuple[Change, ...]
    commands: tuple[Vector, ...]


class Build(Struct, frozen=True):
    """An image's history: its instructions, oldest first, the places they name, and what each RUN did."""

    instructions: tuple[Instruction, ...] = ()
    destinations: tuple[Destination, ...] = ()
    runs: tuple[Run, ...] = ()

    def asked(self, manager: str) -> Mapping[str, int]:
        """The names that a package manager was asked to install, each with the number of the last RUN that did."""
        return self._named((run.number, c.installed) for run in self.runs for c in run.changes if c.manager == manager)

    def removed(self, manager: str) -> Mapping[str, int]:
        """The names that it was asked to remove or purge, likewise."""
        return self._named((run.number, c.removed) for run in self.runs for c in run.changes if c.manager == manager)

    @staticmethod
    def _named(pairs: Iterable[tuple[int, tuple[str, ...]]]) -> Mapping[str, int]:
        return dict(sorted({name: number for number, names in pairs for name in names}.items()))


@derived
def build(world: World) -> Build:
    """How the image of a world was built."""
    steps = instructions(world.history, world.config)
    places = destinations(steps, lambda path: world.rootfs.resolve(path).path is not None)
    return Build(steps, places, runs(steps))


def runs(steps: Iterable[Instruction]) -> tuple[Run, ...]:
    """What the RUN instructions did."""
    return tuple(_run(number, step) for number, step in enumerate(steps) if step.keyword == "RUN")


def _run(number: int, step: Instruction) -> Run:
    by_vector: dict[Vector, tuple[Change, ...]] = {v: tuple(changes(v)) for v in invocations(step.text, step.variables)}
    distinct = dict.fromkeys(change for changed in by_vector.values() for change in changed)
    return Run(number, tuple(distinct), tuple(vector for vector, changed in by_vector.items() if not changed))


@derived
def asked_packages(world: World) -> Mapping[str, str]:
    """The installed packages that were asked for, by dpkg name, sorted, each with what shows it, for people."""
    packages = world.packages
    bare = {p.package for name in packages.names() if (p := packages.get(name)) is not None}
    named = {name for pattern in build(world).asked("apt") for name in matching(pattern, bare)}
    recorded = asked.asked_for(packages, *(_record(world, path) for path in (asked.MARKS, asked.LOG)))
    reasons = dict.fromkeys(recorded, "by apt's own records")
    reasons |= {p: "by name" for name in named for p in packages.providers(name)}
    return dict(sorted(reasons.items()))


def _record(world: World, path: str) -> str:
    exists = world.rootfs.is_file(path)
    return world.rootfs.read(path, asked.LIMIT).decode("utf-8", "surrogateescape") if exists else ""
