"""Applying a lock: making the minimal image of another build of the same service, without running the build.

With a recipe the result is proven (`replay.py`): the probes are run on the new build, then on the minimal image cut
from it, and the answers compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from debloat import sensor
from debloat.core.errors import MinimalFails
from debloat.core.model import Want
from debloat.core.progress import Progress
from debloat.core.recipe import Recipe
from debloat.core.reference import result_name, spare_names
from debloat.cut import Part, divided
from debloat.engine.base import Engine
from debloat.engine.workspace import Scratch, Workspace
from debloat.image.archive import archive as archived
from debloat.image.carve import content_size
from debloat.image.oci import Referrer, Written
from debloat.image.rootfs import Rootfs
from debloat.lock.compare import Diff
from debloat.lock.cut import LockedCut, cut_by_lock
from debloat.lock.format import Lock
from debloat.lock.manifest import recipe_digest
from debloat.lock.seeds import Gone, Move
from debloat.store.location import ON_ENGINE, Destination, Location
from debloat.store.source import opened
from debloat.store.write import write

if TYPE_CHECKING:
    from debloat.canary import Hatched
    from debloat.verify import Comparison

Healing = Callable[[Lock, Rootfs], Lock]
"""A lock with more seeds, for the image with that root file system."""


Answers: TypeAlias = "tuple[Comparison, ...] | None"
"""What a replay compared; None without one."""
Attesting = Callable[[LockedCut, str, Answers], Iterable[Referrer]]
"""Writes statements about a cut that is to be called so, and gives those that are to stand beside it where it goes."""


def nothing(cut: LockedCut, name: str, answers: Answers) -> Iterable[Referrer]:
    """No statements."""
    return ()


class Applied(Struct, frozen=True):
    """The result of applying a lock.

    `lock` describes the new minimal image, `diff` is how it differs from the old lock, `moves` are paths that have
    another version now, `gone` those that no longer exist. `result` is the new reference, empty where none was made.
    `bytes_before` are those of the build's files, a hard-linked file once.
    `answers` compares the answers of a replay, `missed` are paths of the build that it failed to find; both are empty
    without a replay. `canary` is the canary that was made, None where none was.
    """

    lock: Lock
    diff: Diff
    moves: tuple[Move, ...]
    gone: tuple[Gone, ...]
    result: str
    bytes_before: int
    answers: tuple[Comparison, ...] = ()
    missed: tuple[Want, ...] = ()
    notes: tuple[str, ...] = ()
    canary: Hatched | None = None

    @property
    def identical(self) -> bool:
        """Whether nothing is different from the lock."""
        return not (self.diff or self.moves or self.gone)

    @property
    def passed(self) -> bool:
        return not any(a.difference for a in self.answers)


def apply(
    engine: Engine | None,
    location: Location,
    lock: Lock,
    progress: Progress,
    *,
    destination: Destination = ON_ENGINE,
    recipe: Recipe | None = None,
    force: bool = False,
    parts: Sequence[Part] = (),
    canary: str = "",
    healing: Healing | None = None,
    take: Callable[[Written], object] | None = None,
    attesting: Attesting = nothing,
) -> Applied:
    """Make the minimal image of the image at `location` by a lock; with a recipe, it goes out only once it is proven.

    Without an engine there is no recipe, and no name on an engine. `parts` are layers that it has in common with other
    images; the lock speaks of the same image in one layer. `canary` is what a canary of it is to be called. `healing`
    adds to the lock before it is applied. `take` gets the image in place of where it goes but the engine, as long as
    its files are there. `attesting` is asked once it is certain that there is a result.
    """
    with Workspace(engine) if engine is not None else Scratch() as run, opened(run, location) as source:
        name = result_name(source.image, destination.name, engine.info().traits.registry if engine is not None else "")
        if canary:
            spare_names(source.image, name, canary)
            sensor.binary(source.image.architecture)
        if healing is not None:
            lock = healing(lock, source.rootfs())
        locked_cut = cut_by_lock(source, replace(source.image, config=source.whole_config()), lock, progress)
        image, world, minimal = locked_cut.image, locked_cut.world, locked_cut.minimal
        if parts:
            minimal = divided(minimal, world.rootfs, image, parts, source.directory)
        written, pending = minimal.written, ""
        if isinstance(run, Workspace) and (destination.tag or recipe is not None):
            with progress.stage("load"):
                pending = run.load(lambda name: archived(written, [name]))
        judge, verdict, missed = None, None, tuple[Want, ...]()
        if isinstance(run, Workspace) and recipe is not None:
            from debloat.lock.replay import judge_of, judged  # the probes and all that: not loaded where none is run

            judge = judge_of(run, replace(image, id=source.runnable().id), recipe, progress)
            verdict, missed = judged(judge, locked_cut, pending, progress)
        made, hatched = force or verdict is None or verdict.passed, None
        if made and canary and isinstance(run, Workspace):
            from debloat import canary as canaries

            bird = canaries.make(image, world, minimal, sensor.binary(image.architecture), run.directory)
            hatched = canaries.hatch(run, bird, canary, judge, progress)
        result = (destination.elsewhere or name) if made else ""
        answers = verdict.answers if verdict is not None else None
        beside = attesting(locked_cut, result, answers) if made else ()
        if made and take is not None:
            take(written)
        elif made and destination.output is not None:
            with progress.stage("write"):
                write(written, name, destination.output, beside)
        if made and destination.tag and isinstance(run, Workspace):
            run.publish(pending, name)
        if hatched is not None and hatched.passed and isinstance(run, Workspace):
            run.publish(hatched.pending, hatched.tag)
        return Applied(
            locked_cut.lock,
            locked_cut.diff,
            locked_cut.moves,
            locked_cut.gone,
            result,
            content_size(world.rootfs.entries()),
            answers or (),
            missed,
            notes_on(lock, recipe),
            hatched,
        )


def notes_on(lock: Lock, recipe: Recipe | None) -> tuple[str, ...]:
    """A note where the lock was made with another recipe."""
    if recipe is None or recipe_digest(recipe) == lock.recipe:
        return ()
    return ("the recipe has changed since the lock was made: make it again with `debloat lock`",)


def replay_failure(applied: Applied) -> MinimalFails:
    """The error for answers that differ, with the differences and at most 20 missed paths."""
    lines = [f"  {a.before.name}: {a.difference}" for a in applied.answers if a.difference]
    lines += [f"  looked up and not in it: {w.path}" for w in applied.missed[:20]]
    return MinimalFails(
        "\n".join(["the minimal image does not answer as the new build does:", *lines]),
        "the service needs more than when the lock was made: make it again with `debloat lock`; it was not tagged",
    )
