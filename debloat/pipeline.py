"""The straight line: reference -> image -> trace -> closure -> minimal image -> verdict -> report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from debloat import canary as canaries
from debloat import sensor
from debloat.closure import World
from debloat.core.errors import MinimalFails, UsageError
from debloat.core.model import Image, Trace, Want
from debloat.core.platform import Wanted
from debloat.core.progress import Progress, Stopwatch
from debloat.core.recipe import Recipe
from debloat.core.reference import result_name, spare_names
from debloat.core.text import count
from debloat.cut import Minimal, cut
from debloat.debian import dpkg
from debloat.debian.packages import Packages
from debloat.elf.audit import audit
from debloat.engine.base import Engine
from debloat.engine.workspace import Workspace
from debloat.image.archive import archive
from debloat.image.rootfs import Rootfs
from debloat.profile.prove import Profiled, profile
from debloat.record.concrete import Limits
from debloat.record.record import Recording, record
from debloat.record.session import ByHand, Recorder
from debloat.result import Report, report
from debloat.rules import prepare
from debloat.rules.system.package import unknown_packages
from debloat.store.location import image_location
from debloat.store.source import Source, opened
from debloat.surface import NO_SURFACES, Surfaces, surface
from debloat.verify import Judge, Proven, Verdict, paths_to_heal, verify_with_retry

MAX_ROUNDS = 5
"""Minimal images made at most: the first, and one after each healing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run with its values, passed to the sinks while contents of the image can still be read.

    `name` is what the minimal image is called.
    """

    image: Image
    recipe: Recipe
    world: World
    minimal: Minimal
    verdict: Verdict
    healed: tuple[Want, ...]
    report: Report
    name: str


Sink = Callable[[Outcome], None]
"""Writes something of the outcome before the run ends: an archive, a lock, a trace."""


class CanaryFails(MinimalFails):
    """The canary does not answer as the original did; `report` is of the run, whose minimal image stands."""

    def __init__(self, error: MinimalFails, report: Report) -> None:
        super().__init__(error.message, error.hint)
        self.report = report


def slim(
    engine: Engine,
    reference: str,
    recipe: Recipe,
    progress: Progress,
    *,
    target: str = "",
    traces: Iterable[Trace] = (),
    mechanism: str = "auto",
    verify: bool = True,
    force: bool = False,
    sinks: Iterable[Sink] = (),
    platform: Wanted | None = None,
    goes_to: str = "",
    measure_surface: bool = False,
    by_hand: ByHand | None = None,
    canary: str = "",
    profile_file: str = "",
) -> Report:
    """Make the minimal image of `reference`, prove it, and tag it `target` (default: `result_name`).

    Without proof it is not tagged, unless `force` is set; the report says what differs. `traces` are united with what
    is recorded. `reference` may say where else the image lies (`debloat.store.location`), `platform` which of several
    is meant there. Where the sinks take the result elsewhere, `goes_to` says where, and it is not tagged. With `verify`
    false nothing is replayed. `measure_surface` reads all programs of the original, for the report's attack surface.
    `by_hand` lets somebody use the recorded container. `canary` is what a canary of the result is to be called; it is
    proven as well, CanaryFails where it fails. With `profile_file`, where it is to go, a proven image gets a seccomp
    profile, under which it is asked once more. `progress` is told of stages and details.
    """
    watch = Stopwatch(progress)
    with (
        Workspace(engine) as workspace,
        opened(workspace, image_location(reference, platform)) as source,
        ThreadPoolExecutor(1) as pool,
    ):
        image = source.runnable()
        wrapper = sensor.binary(image.architecture) if canary else b""
        target = result_name(image, target, engine.info().traits.registry)
        spare_names(image, target, canary)
        recorder = Recorder(sensor.binary(engine.info().architecture), mechanism, by_hand)
        whole = pool.submit(source.whole_config)
        rootfs, packages, recording = read_and_record(workspace, source, image, recipe, recorder, watch)
        image = replace(image, config=whole.result())
        measuring = pool.submit(surface, rootfs.entries(), rootfs) if measure_surface else None
        world = world_of(image, rootfs, packages, recipe, recording.trace, traces)
        judge = Judge(workspace, image, recording.exercises, Limits(recipe.ready, recipe.timeout), recorder)
        proven = prove(workspace, world, image, judge if verify else None, watch)
        result = (goes_to or target) if proven.verdict.passed or force else ""
        surfaces = NO_SURFACES
        if measuring is not None:
            surfaces = Surfaces(measuring.result(), surface((k.entry for k in proven.minimal.kept), rootfs))
        seccomp: Profiled | None = None
        if profile_file and verify and proven.verdict.passed:
            with watch.stage("profile"):
                architecture = engine.info().architecture
                seccomp = profile(judge, workspace.pending, recorder, recipe, architecture, profile_file, watch.say)
        finished = report(image, world, recording, proven, recipe, result, verify, watch.stages, surfaces, seccomp)
        for sink in sinks:
            sink(Outcome(image, recipe, world, proven.minimal, proven.verdict, proven.healed, finished, target))
        if result and not goes_to:
            workspace.publish(result)
        if result and canary:
            bird = canaries.make(image, world, proven.minimal, wrapper, workspace.directory)
            try:
                canaries.publish(workspace, bird, canary, judge if verify else None, watch)
            except MinimalFails as error:
                raise CanaryFails(error, finished) from error
        return finished


def read_and_record(
    workspace: Workspace, source: Source, image: Image, recipe: Recipe, recorder: Recorder, progress: Progress
) -> tuple[Rootfs, Packages, Recording]:
    """Read the image's index and packages, and prepare the rules, while its scenarios are recorded."""
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(_read, source)
        pool.submit(prepare, image.platform)
        with progress.stage("record"):
            recording = record(workspace, image, recipe, recorder, progress.say)
        with progress.stage("read"):
            return *reading.result(), recording


def _read(source: Source) -> tuple[Rootfs, Packages]:
    rootfs = source.rootfs()
    return rootfs, dpkg.read(rootfs)


def world_of(
    image: Image, rootfs: Rootfs, packages: Packages, recipe: Recipe, trace: Trace, further_traces: Iterable[Trace] = ()
) -> World:
    """The world that the rules work on; `further_traces` are united with `trace`. UsageError for unknown packages."""
    for other in further_traces:
        trace = trace | other
    world = World(rootfs, packages, image.config, trace, recipe.policy, image.history, image.platform)
    if unknown := unknown_packages(world):
        raise UsageError(f"no package of the image is called {', '.join(unknown)}", "see `debloat inspect IMAGE`")
    return world


def prove(workspace: Workspace, world: World, image: Image, judge: Judge | None, progress: Progress) -> Proven:
    """Cut, replay, heal, until the minimal image answers as the original did or nothing is left to heal.

    Without a judge nothing is replayed. The ELF audit runs in its own thread, which shares only the root file system.
    """
    healed: tuple[Want, ...] = ()
    with ThreadPoolExecutor(1) as pool:
        for _ in range(MAX_ROUNDS):
            with progress.stage("close and carve"):
                minimal = cut(world, image, healed, workspace.directory)
            auditing = pool.submit(audit, world.rootfs, minimal.closure, world.config)
            with progress.stage("load"):
                workspace.load(archive(minimal.written, [workspace.pending]))
            verdict = Verdict()
            if judge is not None:
                with progress.stage("verify"):
                    verdict = verify_with_retry(judge, world, minimal.closure, workspace.pending)
            with progress.stage("audit"):
                findings = tuple(auditing.result())
            missing = paths_to_heal(world, verdict, minimal.closure)
            if not missing:
                break
            how = "missed" if missing[0].rule == "healed" else "listed"
            progress.say(f"healing {count(len(missing), 'path')} that the replay {how}")
            healed += missing
    return Proven(minimal, verdict, healed, findings)
