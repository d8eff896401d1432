"""The straight line: reference -> image -> trace -> closure -> minimal image -> verdict -> report."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from msgspec import Struct
from msgspec.structs import replace

from debloat import sensor
from debloat.closure import UNRECORDED, World, recorded
from debloat.core.errors import UsageError
from debloat.core.model import Image, ImageConfig, Trace
from debloat.core.platform import Platform
from debloat.core.progress import Progress, Stopwatch
from debloat.core.recipe import Recipe
from debloat.core.reference import result_name
from debloat.core.surfaces import NO_SURFACES, Surface, Surfaces
from debloat.debian import dpkg
from debloat.debian.packages import Packages
from debloat.engine.base import Engine
from debloat.engine.workspace import Workspace
from debloat.image.rootfs import Rootfs
from debloat.record.concrete import Limits
from debloat.record.record import Recording, record
from debloat.record.session import ByHand, Recorder
from debloat.result import Outcome, Report, Sink
from debloat.steps import Step
from debloat.store.location import ON_ENGINE, Destination, Location
from debloat.store.source import Source, opened
from debloat.verify import Judge, Verdict


class Watching(Struct, frozen=True):
    """How the original is watched, and whether the minimal image is asked the same (`replay`).

    `mechanism` is how accesses are recorded, `by_hand` lets somebody use the recorded container, `traces` are united
    with what is recorded.
    """

    mechanism: str = "auto"
    by_hand: ByHand | None = None
    traces: tuple[Trace, ...] = ()
    replay: bool = True


AS_USUAL = Watching()
"""Recorded by whatever the kernel offers, and replayed."""


def slim(
    engine: Engine,
    location: Location,
    recipe: Recipe,
    progress: Progress,
    *,
    watching: Watching = AS_USUAL,
    destination: Destination = ON_ENGINE,
    force: bool = False,
    steps: Sequence[Step] = (),
    sinks: Iterable[Sink] = (),
    measure_surface: bool = False,
) -> Report:
    """Make the minimal image of the image at `location`, prove it, and tag it.

    Without proof it is not tagged, unless `force` is set; the report says what differs. Where the engine is not to get
    it, the sinks take it to its destination. `steps` are taken once it is proven. `measure_surface` reads all programs
    of the original, for the report's attack surface. `progress` is told of stages and details.
    """
    watch = Stopwatch(progress)
    with Workspace(engine) as workspace, opened(workspace, location) as source, ThreadPoolExecutor(1) as pool:
        image = source.runnable()
        name = result_name(image, destination.name, engine.info().traits.registry)
        for step in steps:
            step.check(image, name)
        recorder = Recorder(sensor.binary(engine.info().architecture), watching.mechanism, watching.by_hand)
        unrecorded, recording = read_and_record(workspace, source, image, recipe, recorder, watch)
        from debloat.prove import Subject, prove  # loaded meanwhile, as the rules are
        from debloat.summary import report
        from debloat.surface import surface

        image, rootfs = replace(image, config=unrecorded.config), unrecorded.rootfs
        world = told(unrecorded, recording.trace, watching.traces)
        judge = Judge(workspace, image, recording.exercises, Limits(recipe.ready, recipe.timeout), recorder)

        @functools.cache
        def measuring() -> Future[Surface]:
            return pool.submit(surface, rootfs.entries(), rootfs)

        def replay(names: Sequence[str]) -> tuple[Verdict, ...]:
            """The verdicts; the original is measured meanwhile: this waits for answers, and closing never waits."""
            if measure_surface:
                measuring()
            return judge.verdicts(names)

        (proven,) = prove(workspace, (Subject(image, world),), replay if watching.replay else None, watch)
        result = (destination.elsewhere or name) if proven.verdict.passed or force else ""
        surfaces = NO_SURFACES
        if measure_surface:
            surfaces = Surfaces(measuring().result(), surface((k.entry for k in proven.minimal.kept), rootfs))
        said = report(image, world, recording, proven, recipe, result, watching.replay, watch.stages, surfaces)
        tags = ((proven.pending, name),) if result and not destination.elsewhere else ()
        outcome = Outcome(image, recipe, world, proven, said, name, tags)
        for step in steps:
            outcome = step.take(outcome, judge, watch)
        outcome = replace(outcome, report=replace(outcome.report, stages=watch.stages))
        for sink in sinks:
            sink(outcome)
        for pending, tag in outcome.tags:
            workspace.publish(pending, tag)
        return outcome.report


def read_and_record(
    workspace: Workspace, source: Source, image: Image, recipe: Recipe, recorder: Recorder, progress: Progress
) -> tuple[World, Recording]:
    """Read the image's index and packages, and prepare what its closing needs, while its scenarios are recorded.

    The world is what was read, with the whole configuration and no trace yet.
    """

    def read(config: Future[ImageConfig]) -> World:
        rootfs = source.rootfs()
        packages = dpkg.read(rootfs)
        return unrecorded_world(replace(image, config=config.result()), rootfs, packages, recipe)

    with ThreadPoolExecutor(3) as pool:
        with progress.stage("record"), workspace.recording():
            reading = pool.submit(read, pool.submit(source.whole_config))
            preparing = [pool.submit(_prepare, image.platform), pool.submit(_derive, reading)]
            try:
                recording = record(workspace, image, recipe, recorder, progress.say)
            except BaseException:
                preparing[-1].cancel()
                raise
        with progress.stage("read"):
            wait(preparing)  # what fails in it fails again, and is told, where it is needed
            return reading.result(), recording


def _prepare(platform: Platform) -> None:
    """Load what comes after the recording while that waits for the engine."""
    from debloat import prove, summary, surface  # noqa: F401
    from debloat.inventory import named  # noqa: F401
    from debloat.rules import prepare

    prepare(platform)


def _derive(reading: Future[World]) -> None:
    """Derive what needs no trace, once the image is read."""
    from debloat.rules import prepare_image

    prepare_image(reading.result())


def unrecorded_world(image: Image, rootfs: Rootfs, packages: Packages, recipe: Recipe) -> World:
    """The world that the rules work on, but for its trace."""
    return World(rootfs, packages, image.config, UNRECORDED, recipe.policy, image.history, image.platform)


def told(unrecorded: World, trace: Trace, further_traces: Iterable[Trace] = ()) -> World:
    """The world with its trace, which `further_traces` are united with. UsageError for unknown packages."""
    from debloat.rules.system.package import unknown_packages

    for other in further_traces:
        trace = trace | other
    world = recorded(unrecorded, trace)
    if unknown := unknown_packages(world):
        raise UsageError(f"no package of the image is called {', '.join(unknown)}", "see `debloat inspect IMAGE`")
    return world


def world_of(image: Image, rootfs: Rootfs, packages: Packages, recipe: Recipe, trace: Trace) -> World:
    """The world of an image that was recorded before. UsageError for unknown packages."""
    return told(unrecorded_world(image, rootfs, packages, recipe), trace)
