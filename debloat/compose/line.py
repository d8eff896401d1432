"""The straight line of a stack: file -> services -> recordings in one start -> minimal images -> proof in one start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from debloat import sensor
from debloat.closure import World
from debloat.compose.command import Compose
from debloat.compose.document import Document
from debloat.compose.judge import Shared, StackJudge
from debloat.compose.service import Service, config_of, environment_of, options_of, recipe_of
from debloat.compose.stack import Exercised, Stack, exercise
from debloat.compose.standin import built, original_name, to_build
from debloat.core.errors import UsageError
from debloat.core.model import Image, ImageConfig, Policy
from debloat.core.progress import Progress, Stopwatch
from debloat.core.recipe import Recipe, Settings
from debloat.core.reference import result_name
from debloat.core.surfaces import NO_SURFACES, Surfaces
from debloat.debian import dpkg
from debloat.engine.base import Engine
from debloat.engine.workspace import Workspace
from debloat.image.rootfs import Rootfs
from debloat.pipeline import AS_USUAL, Watching, told, unrecorded_world
from debloat.prove import Proven, Subject, prove
from debloat.record.concrete import must_be_usable
from debloat.record.record import Recording, must_be_runnable, notes_on, trace_of, with_fallbacks
from debloat.record.session import Recorder
from debloat.result import Outcome, Report, Sink
from debloat.rules import prepare, prepare_image
from debloat.store.location import image_location
from debloat.store.source import opened
from debloat.summary import report
from debloat.surface import surface


class Made(Struct, frozen=True):
    """A finished minimal image of a stack, with the services that run it."""

    services: tuple[str, ...]
    report: Report


class _Read(Struct, frozen=True):
    """An image, the chosen services that run it, what they ask for together, and the world of it, without a trace."""

    image: Image
    services: tuple[Service, ...]
    recipe: Recipe
    world: World

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(service.name for service in self.services)


class _Recorded(Struct, frozen=True):
    """An image, the services that run it, what they ask for together, and the world of what was recorded in them."""

    image: Image
    services: tuple[str, ...]
    recipe: Recipe
    recording: Recording
    world: World


def slim_stack(
    engine: Engine,
    compose: Compose,
    document: Document,
    chosen: Iterable[str],
    project: str,
    given: Settings,
    progress: Progress,
    *,
    watching: Watching = AS_USUAL,
    force: bool = False,
    sinks: Callable[[tuple[str, ...]], Iterable[Sink]] = lambda services: (),
    measure_surface: bool = False,
) -> tuple[Made, ...]:
    """Make the minimal images of the chosen services of `document`, prove them in the stack, and tag them.

    Each is called as `result_name` has it. Services of one image have one minimal image, of what all of them touched.
    All are tagged or none, unless `force` is set. `given` are settings over those of each service, `project` is what
    Compose calls the user's own stack. `sinks` are those of the image of some services.
    """
    chosen = tuple(chosen)
    for name in chosen:
        if name in document.services:
            must_be_usable(recipe_of(name, document.services[name], given)[0])
    watch = Stopwatch(progress)
    with Workspace(engine) as workspace:
        if services := built(document):
            with watch.stage("build"):
                file = workspace.fresh("build.json")
                file.write_text(to_build(document), "utf-8")
                compose.build(str(file), project, services)
        images, stack, notes = _chosen(engine, compose, document, chosen, given)
        recorder = Recorder(sensor.binary(engine.info().architecture), watching.mechanism)
        originals = {service.name: service.image for service in stack.chosen}
        read, recorded, more = _read_and_record(workspace, stack, images, originals, recorder, watch)
        recordings = [_recorded(one, recorded, (*notes, *more)) for one in read]
        judge = _judge(workspace, stack, recordings, recorded, originals, recorder) if watching.replay else None
        subjects = [Subject(one.image, one.world) for one in recordings]
        proofs = prove(workspace, subjects, judge.verdicts if judge is not None else None, watch)
        tagged = force or all(proven.verdict.passed for proven in proofs)
        outcomes = []
        for one, proven in zip(recordings, proofs, strict=True):
            name = result_name(one.image, "", engine.info().traits.registry)
            surfaces = _surfaces(one.world.rootfs, proven) if measure_surface else NO_SURFACES
            result, known = name if tagged else "", (one.image, one.world, one.recording, proven, one.recipe)
            said = report(*known, result, watching.replay, watch.stages, surfaces)
            tags = ((proven.pending, name),) if tagged else ()
            outcomes.append(Outcome(one.image, one.recipe, one.world, proven, said, name, tags))
        for one, outcome in zip(recordings, outcomes, strict=True):
            for sink in sinks(one.services):
                sink(outcome)
        for pending, tag in (tagging for outcome in outcomes for tagging in outcome.tags):
            workspace.publish(pending, tag)
        made = zip(recordings, outcomes, strict=True)
        return tuple(Made(one.services, outcome.report) for one, outcome in made)


def _judge(
    workspace: Workspace,
    stack: Stack,
    recordings: Iterable[_Recorded],
    recorded: Exercised,
    originals: Mapping[str, str],
    recorder: Recorder,
) -> StackJudge:
    """Who knows what the stack answered: replays make the same probes, recorded by the mechanism that worked."""
    probes = {name: one.probes for name, one in recorded.by_service.items()}
    mechanism = next(iter(recorded.by_service.values())).mechanism

    def ask(images: Mapping[str, str]) -> Exercised:
        return exercise(workspace, stack, images, replace(recorder, mechanism=mechanism), probes)

    return StackJudge(ask, recorded, originals, tuple(Shared(one.image, one.services) for one in recordings))


def _chosen(
    engine: Engine, compose: Compose, document: Document, chosen: tuple[str, ...], given: Settings
) -> tuple[Mapping[str, Image], Stack, tuple[str, ...]]:
    """The images of the chosen services by name, the stack that is started, and notes."""
    images: dict[str, Image] = {}
    services, notes = [], list[str]()
    for name, raw in document.services.items():
        if name not in chosen:
            continue
        recipe, said = recipe_of(name, raw, given)
        reference = original_name(raw)
        if not reference:
            raise UsageError(
                f"service {name} has neither image nor build", "say in the compose file what it is made of"
            )
        images[name] = image = engine.image(reference)
        result_name(image, "", engine.info().traits.registry)  # UsageError for what could not be named at the end
        service = Service(name, raw, reference, config_of(raw, image.config), options_of(raw), recipe)
        must_be_runnable(engine, replace(image, config=service.config), recipe)
        services.append(service)
        notes += said
    return images, Stack(compose, document, tuple(services)), tuple(notes)


def _read_and_record(
    workspace: Workspace,
    stack: Stack,
    images: Mapping[str, Image],
    originals: Mapping[str, str],
    recorder: Recorder,
    progress: Progress,
) -> tuple[tuple[_Read, ...], Exercised, tuple[str, ...]]:
    """Read the images, one after the other, and prepare what their closing needs, while the stack is recorded."""
    by_image: dict[str, list[Service]] = {}
    for service in stack.chosen:
        by_image.setdefault(images[service.name].id, []).append(service)

    def read(services: list[Service]) -> _Read:
        image = images[services[0].name]
        with opened(workspace, image_location(services[0].image)) as source:
            rootfs = source.rootfs()
            whole = replace(image, config=source.whole_config())
            prepare(image.platform)
            recipe = _recipe(services)
            started = replace(whole, config=_with_environment(whole.config, services))
            world = unrecorded_world(started, rootfs, dpkg.read(rootfs), recipe)
            prepare_image(world)
            return _Read(whole, tuple(services), recipe, world)

    with ThreadPoolExecutor(1) as pool:
        reading = [pool.submit(read, services) for services in by_image.values()]
        with progress.stage("record"):
            names = ", ".join(service.name for service in stack.chosen)
            progress.say(f"recording {names} in the stack")
            recorded, notes = with_fallbacks(
                lambda recorder: exercise(workspace, stack, originals, recorder), recorder, "the stack"
            )
        with progress.stage("read"):
            return tuple(one.result() for one in reading), recorded, notes


def _recorded(one: _Read, recorded: Exercised, notes: tuple[str, ...]) -> _Recorded:
    exercises = tuple(recorded.by_service[name] for name in one.names)
    started = replace(one.image, config=one.services[0].config)
    for exercised in exercises:
        notes += notes_on(started, exercised)
    recording = Recording(exercises, trace_of(one.image, list(exercises)), notes)
    return _Recorded(one.image, one.names, one.recipe, recording, told(one.world, recording.trace))


def _surfaces(rootfs: Rootfs, proven: Proven) -> Surfaces:
    return Surfaces(surface(rootfs.entries(), rootfs), surface((k.entry for k in proven.minimal.kept), rootfs))


def _recipe(services: Sequence[Service]) -> Recipe:
    """What all services of an image ask for: the highest level, and whatever any of them keeps, or drops."""
    recipes = [service.recipe for service in services]
    policies = [recipe.policy for recipe in recipes]

    def united(field: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(item for policy in policies for item in getattr(policy, field)))

    lists = ("levels", "keep", "drop", "keep_packages", "packages")
    policy = Policy(level=max(policy.level for policy in policies), **{name: united(name) for name in lists})
    scenarios = tuple(service.scenario for service in services)
    return replace(recipes[0], scenarios=scenarios, policy=policy)


def _with_environment(config: ImageConfig, services: Iterable[Service]) -> ImageConfig:
    """The image's own configuration, whose program stays, with the variables that the stack sets."""
    env = dict(config.env)
    for service in services:
        env |= environment_of(service.raw)
    return ImageConfig(MappingProxyType({**config.raw, "Env": [f"{k}={v}" for k, v in env.items()]}))
