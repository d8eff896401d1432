"""Applying a lock: the minimal image of another build of the same service, made without running it.

The seeds come from the lock and the closure is computed anew, so upgraded packages bring what they need now; for the
very image that the lock was made of, its manifest is the closure. With a recipe the result is proven: the probes are
asked of the new build, then of what was cut out of it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from debloat import __version__, sensor
from debloat.closure import World
from debloat.core.errors import MinimalFails, UsageError
from debloat.core.model import Closure, Image, Want
from debloat.core.platform import Wanted
from debloat.core.progress import Progress
from debloat.core.recipe import Recipe
from debloat.core.reference import result_name
from debloat.cut import Minimal, carved, cut
from debloat.debian import dpkg
from debloat.debian.packages import Packages
from debloat.engine.base import Engine
from debloat.engine.workspace import Scratch, Workspace
from debloat.image.archive import archive as archived
from debloat.image.rootfs import Rootfs
from debloat.lock.compare import Diff, Side, compare
from debloat.lock.format import Lock
from debloat.lock.manifest import lock_of, platform, recipe_digest
from debloat.lock.seeds import Gone, Move, Seeds, carried
from debloat.record.asks import Limits
from debloat.record.record import record
from debloat.record.session import Recorder
from debloat.rules import prepare
from debloat.store.location import Location, image_location
from debloat.store.source import Source, opened
from debloat.store.write import write
from debloat.verify import Comparison, Judge, Verdict, missed_paths


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of applying a lock: the lock that describes the result, how it differs, what moved, what is gone.

    `result` is the new reference, empty where none was made; `answers` are those of the replay, empty without one;
    `missed` are the paths that the replay looked up in vain.
    """

    lock: Lock
    diff: Diff
    moves: tuple[Move, ...]
    gone: tuple[Gone, ...]
    result: str
    answers: tuple[Comparison, ...] = ()
    missed: tuple[Want, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether nothing is different from the lock."""
        return not (self.diff or self.moves or self.gone)

    @property
    def passed(self) -> bool:
        return not any(a.difference for a in self.answers)


@dataclass(frozen=True, slots=True)
class Cut:
    """A lock applied to an image, nothing loaded yet."""

    image: Image
    world: World
    seeds: Seeds
    minimal: Minimal
    lock: Lock
    diff: Diff

    @property
    def moves(self) -> tuple[Move, ...]:
        """What the image has under another version than the lock."""
        return self.seeds.moves

    @property
    def gone(self) -> tuple[Gone, ...]:
        """What the lock has and the image has under no version."""
        return self.seeds.gone

    @property
    def identical(self) -> bool:
        """Whether nothing is different from the lock."""
        return not (self.diff or self.moves or self.gone)


def cut_by(source: Source, image: Image, lock: Lock, progress: Progress) -> Cut:
    """Carry the lock's seeds over to an image, close over them and carve. UsageError for another platform.

    `image` is the source's, its configuration whole where the result is to be used.
    """
    if platform(image) != lock.platform:
        raise UsageError(
            f"{image.reference} is for {platform(image)}, the lock for {lock.platform}",
            "keep one lock for each platform: `debloat lock IMAGE --lock debloat-ARCH.lock`",
        )
    known = lock.image == image.identity and lock.tool == __version__
    with progress.stage("read"), ThreadPoolExecutor(1) as pool:
        if not known:
            pool.submit(prepare, image.platform)  # while the engine starts the container
        rootfs = source.rootfs()
        rootfs.fetch(item.path for item in lock.manifest)  # in one request, what would be asked for in thirty
        packages = dpkg.read(rootfs)
    with progress.stage("close and carve"):
        return (known and _as_locked(image, lock, rootfs, packages, source.directory)) or _closed_anew(
            image, lock, rootfs, packages, source.directory
        )


def _as_locked(image: Image, lock: Lock, rootfs: Rootfs, packages: Packages, directory: Path) -> Cut | None:
    """A lock's own image carved by its manifest; None unless that gives the very layer that the lock describes."""
    closure = Closure({item.path: (item.evidence(),) for item in lock.manifest})
    minimal = carved(rootfs, packages, image, closure, directory)
    if minimal.layer.diff_id != lock.layer:
        return None
    seeds, same = Seeds(lock.trace, lock.healed, (), ()), replace(lock, reference=image.reference)
    return Cut(image, _world(image, lock, rootfs, packages, seeds), seeds, minimal, same, Diff())


def _closed_anew(image: Image, lock: Lock, rootfs: Rootfs, packages: Packages, directory: Path) -> Cut:
    """What the lock's seeds close to in another build, or by another release of the rules."""
    seeds = carried(lock, rootfs, packages)
    world = _world(image, lock, rootfs, packages, seeds)
    minimal = cut(world, image, seeds.healed, directory)
    new = lock_of(image, lock.recipe, world, minimal, seeds.healed)
    return Cut(image, world, seeds, minimal, new, compare(side(lock, "lock"), side(new, image.reference)))


def _world(image: Image, lock: Lock, rootfs: Rootfs, packages: Packages, seeds: Seeds) -> World:
    return World(rootfs, packages, image.config, seeds.trace, lock.policy, image.history, platform=image.platform)


def side(lock: Lock, name: str) -> Side:
    """A lock as one side of a comparison."""
    return Side(name, lock.manifest, lock.packages)


def apply(
    engine: Engine | None,
    reference: str,
    lock: Lock,
    progress: Progress,
    *,
    target: str = "",
    recipe: Recipe | None = None,
    force: bool = False,
    output: Location | None = None,
    platform: Wanted | None = None,
    tag: bool = True,
) -> Applied:
    """Make the minimal image of `reference` by a lock and tag it; with a recipe, only once it is proven.

    It goes to `output` as well, or, with `tag` false, there alone. Without an engine there is no recipe and no tag.
    """
    with (
        Workspace(engine) if engine is not None else Scratch() as run,
        opened(run, image_location(reference, platform)) as source,
    ):
        target = result_name(source.image, target, engine.info().traits.registry if engine is not None else "")
        done = cut_by(source, replace(source.image, config=source.whole_config()), lock, progress)
        minimal = done.minimal
        verdict, missed, notes = Verdict(), tuple[Want, ...](), notes_on(lock, recipe)
        if isinstance(run, Workspace) and (tag or recipe is not None):
            with progress.stage("load"):
                run.load(archived(minimal.written, [run.pending]))
            if recipe is not None:
                binary = sensor.binary(run.engine.info().architecture)
                verdict, missed = replay(
                    run, replace(done, image=replace(done.image, id=source.runnable().id)), recipe, binary, progress
                )
        result = ""
        if verdict.passed or force:
            if tag and isinstance(run, Workspace):
                run.publish(target)
            if output is not None:
                with progress.stage("write"):
                    write(minimal.written, target, output)
            result = target if tag else str(output)
        return Applied(done.lock, done.diff, done.moves, done.gone, result, verdict.answers, missed, notes)


def replay(
    workspace: Workspace, done: Cut, recipe: Recipe, binary: bytes, progress: Progress
) -> tuple[Verdict, tuple[Want, ...]]:
    """Ask the new build, unrecorded, then the pending image, recorded: answers, and what was looked up in vain."""
    recorder = Recorder(binary)
    with progress.stage("ask the build"):
        recording = record(workspace, done.image, recipe, recorder, progress.say)
    judge = Judge(workspace, done.image, recording.exercises, Limits(recipe.ready, recipe.timeout), recorder)
    with progress.stage("verify"):
        verdict = judge.verify(workspace.pending)
    return verdict, missed_paths(done.world, verdict.trace, done.minimal.closure)


def notes_on(lock: Lock, recipe: Recipe | None) -> tuple[str, ...]:
    """What to know about a lock that was made with another recipe."""
    if recipe is None or recipe_digest(recipe) == lock.recipe:
        return ()
    return ("the recipe has changed since the lock was made: make it again with `debloat lock`",)


def failed(applied: Applied) -> MinimalFails:
    """The error of a replay that differs, naming what was missed."""
    lines = [f"  {a.before.name}: {a.difference}" for a in applied.answers if a.difference]
    lines += [f"  looked up in vain: {w.path}" for w in applied.missed[:20]]
    return MinimalFails(
        "\n".join(["the minimal image does not answer as the new build does:", *lines]),
        "the service needs more than when the lock was made: make it again with `debloat lock`; it was not tagged",
    )
