"""Plans (`--dry-run`): the containers, probes, contents and outputs of a run as a value, before anything is done.

The plan of a run asks the engine about the image, and starts nothing. The plan of an applied lock has to read the
image, as `inspect` does: in a container that runs the sensor and nothing of the image; the cut is made in a temporary
directory and thrown away. Neither pulls, loads or tags an image, nor leaves a file behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from debloat import __version__
from debloat.core.model import Image, Level, Policy, Trace
from debloat.core.progress import Progress
from debloat.core.recipe import Recipe, Scenario
from debloat.core.reference import result_name, spare_names
from debloat.engine.base import ContainerSpec, Engine
from debloat.engine.workspace import Scratch, Workspace
from debloat.footprint import Footprint, image_footprint
from debloat.image.reader import reading_spec
from debloat.lock.apply import notes_on
from debloat.lock.compare import Diff
from debloat.lock.cut import LockedCut, cut_by_lock
from debloat.lock.format import Lock
from debloat.lock.manifest import platform
from debloat.lock.seeds import Gone, Move
from debloat.pipeline import AS_USUAL, Watching
from debloat.record.concrete import (
    concrete_probes,
    described_probes,
    is_service,
    ports_of,
    published_ports,
    run_to_end_probe,
    stream_ports,
)
from debloat.record.record import must_be_runnable, rootless_lacks
from debloat.record.session import Recorder, container_spec
from debloat.rules.application.dockerfile import destinations, instructions
from debloat.store.location import Location
from debloat.store.source import opened

_ASKED_ON_PORTS = ("http", "crawl", "har", "openapi", "websocket", "grpc")
"""Kinds of probes that go to ports."""


class PlannedContainer(Struct, frozen=True):
    """A container that would be started.

    `stage` is the run's (`read`, `record`, `verify`), `scenario` is empty where the image is only read, `minimal` says
    whether it is a container of the minimal image. `program` runs in it as `user`. `spec` is what the engine would be
    asked for, with the sensor in front of the program; image and run are empty.
    """

    stage: str
    scenario: str
    minimal: bool
    program: tuple[str, ...]
    user: str
    spec: ContainerSpec


class PlannedProbe(Struct, frozen=True):
    """A probe that would be made in each container of its scenario.

    `kind` is `ready`, `http`, `crawl` (pages that links lead to), `har`, `openapi` (what it leads to), `websocket`,
    `grpc`, `protocol` (a conversation), `exec`, `run`, `test`, `exit` (the program runs to its end), `stop`, `bound`
    (a port for datagrams is) or `port` (what it is found to speak, else a connect). `name` is the probe's name in
    reports, for `port` the port.
    """

    scenario: str
    kind: str
    name: str
    ports: tuple[int, ...] = ()


class AlwaysKept(Struct, frozen=True):
    """Something that is kept whatever is recorded. `source` is where it comes from: `ENTRYPOINT`, `COPY`, `--trace`."""

    source: str
    text: str


class PlannedCut(Struct, frozen=True):
    """The result of applying a lock: the footprints of both images, the layer's digest, what differs from the lock."""

    before: Footprint
    after: Footprint
    layer: str
    identical: bool
    diff: Diff
    moves: tuple[Move, ...]
    gone: tuple[Gone, ...]


class Output(Struct, frozen=True):
    """Something that a successful run would write: `what` (`image`, `lock`, `report`, ...), and its path or name."""

    what: str
    where: str


class Plan(Struct, frozen=True):
    """What a command would do. `cut` is None unless a lock is applied.

    `commands` would be run on this machine first. `size` is the image's as the engine reports it, in bytes; `ready` and
    `timeout` are limits in seconds. `known` is kept whatever is recorded.
    """

    verb: str
    tool: str
    reference: str
    image_id: str
    platform: str
    size: int
    target: str
    policy: Policy
    commands: tuple[tuple[str, ...], ...] = ()
    containers: tuple[PlannedContainer, ...] = ()
    probes: tuple[PlannedProbe, ...] = ()
    ready: float = 0.0
    timeout: float = 0.0
    known: tuple[AlwaysKept, ...] = ()
    cut: PlannedCut | None = None
    outputs: tuple[Output, ...] = ()
    notes: tuple[str, ...] = ()


def plan_run(
    engine: Engine,
    location: Location,
    recipe: Recipe,
    *,
    watching: Watching = AS_USUAL,
    target: str = "",
    canary: str = "",
) -> Plan:
    """The plan of making a minimal image. Raises what the run itself would raise before it starts anything."""
    with Workspace(engine) as workspace, opened(workspace, location, pull=False) as source:
        image = replace(source.image, config=source.whole_config())
    target = result_name(image, target, engine.info().traits.registry)
    spare_names(image, target, canary)
    must_be_runnable(engine, image, recipe)
    recorder = Recorder(b"", watching.mechanism)
    stages = [("record", False), *([("verify", True)] if watching.replay else [])]
    return replace(
        _plan_of(image, target, recipe.policy),
        containers=(*_reading_container(engine, location), *_containers(image, recipe, recorder, stages)),
        probes=tuple(_probes(image, recipe)),
        ready=recipe.ready,
        timeout=recipe.timeout,
        known=tuple(_always_kept(image, recipe.policy, watching.traces)),
        notes=(*rootless_lacks(engine.info().traits, recipe), *_notes(image, recipe, watching.replay)),
    )


def plan_apply(
    engine: Engine | None,
    location: Location,
    lock: Lock,
    progress: Progress,
    *,
    target: str = "",
    recipe: Recipe | None = None,
    canary: str = "",
) -> Plan:
    """The plan of applying a lock. The cut is made, to say what would be kept, and thrown away.

    Without an engine there is no recipe, and the image is one of a store.
    """
    with (
        Workspace(engine) if engine is not None else Scratch() as run,
        opened(run, location, pull=False) as source,
    ):
        image = replace(source.image, config=source.whole_config())
        target = result_name(image, target, engine.info().traits.registry if engine is not None else "")
        spare_names(image, target, canary)
        if engine is not None and recipe is not None:
            must_be_runnable(engine, image, recipe)
        locked_cut = cut_by_lock(source, image, lock, progress)
        containers = tuple(_reading_container(engine, location))
        plan = replace(_plan_of(image, target, lock.policy), cut=_planned_cut(locked_cut), containers=containers)
    if engine is None or recipe is None:
        return plan
    return replace(
        plan,
        containers=(
            *plan.containers,
            *_containers(image, recipe, Recorder(b""), [("record", False), ("verify", True)]),
        ),
        probes=tuple(_probes(image, recipe)),
        ready=recipe.ready,
        timeout=recipe.timeout,
        notes=(
            *notes_on(lock, recipe),
            *rootless_lacks(engine.info().traits, recipe),
            *_notes(image, recipe, verify=True),
        ),
    )


def _plan_of(image: Image, target: str, policy: Policy) -> Plan:
    return Plan("", f"debloat {__version__}", image.reference, image.id, platform(image), image.size, target, policy)


def _reading_container(engine: Engine | None, location: Location) -> Iterator[PlannedContainer]:
    """The container that an engine's image is read in; those that lie elsewhere are read without one."""
    if engine is not None and location.on_engine and not engine.info().traits.own:
        yield PlannedContainer("read", "", False, (), "0:0", reading_spec("", "", engine.info().traits))


def _containers(
    image: Image, recipe: Recipe, recorder: Recorder, stages: Iterable[tuple[str, bool]]
) -> Iterator[PlannedContainer]:
    config = image.config
    for stage, minimal in stages:
        for scenario in recipe.scenarios:
            ports = published_ports(scenario, config)
            spec = container_spec("", config, scenario.args, scenario.options, recorder, ports, "")
            program = (*config.entrypoint, *(config.cmd if scenario.args is None else scenario.args))
            user = scenario.options.user or config.user
            yield PlannedContainer(stage, scenario.name, minimal, program, user, spec)


def _port_numbers(scenario: Scenario, image: Image) -> tuple[int, ...]:
    return stream_ports(published_ports(scenario, image.config))


def _probes(image: Image, recipe: Recipe) -> Iterator[PlannedProbe]:
    for scenario in recipe.scenarios:
        numbers = _port_numbers(scenario, image)
        if not is_service(scenario, image.config, numbers):
            yield PlannedProbe(scenario.name, "exit", run_to_end_probe(scenario).name)
            continue
        for probe in concrete_probes(scenario, image.config, numbers, described_probes(scenario)):
            kind = {"default": "port", "request": "http"}.get(probe.kind, probe.kind)
            own = (probe.port,) if probe.port else ()
            ports = ports_of(probe, numbers) if kind in _ASKED_ON_PORTS else own
            yield PlannedProbe(scenario.name, kind, probe.name, tuple(ports))
        yield PlannedProbe(scenario.name, "stop", "stop")


def _always_kept(image: Image, policy: Policy, traces: Sequence[Trace]) -> Iterator[AlwaysKept]:
    """What is kept before anything is recorded, as far as the image's configuration and history tell."""
    config = image.config
    for source, words in (("ENTRYPOINT", config.entrypoint), ("CMD", config.cmd), ("HEALTHCHECK", config.healthcheck)):
        if words:
            yield AlwaysKept(source, " ".join(words))
    if config.user:
        yield AlwaysKept("USER", config.user)
    if config.workdir != "/":
        yield AlwaysKept("WORKDIR", config.workdir)
    yield from (AlwaysKept("VOLUME", path) for path in config.volumes)
    if policy.level > Level.EXACT:
        steps = instructions(image.history, config)
        copied = dict.fromkeys((place.instruction, place.path) for place in destinations(steps))
        yield from (AlwaysKept(instruction, path) for instruction, path in copied if instruction != "WORKDIR")
    for trace in traces:
        yield AlwaysKept("--trace", f"{len({access.path for access in trace.accesses}):,} paths")


def _notes(image: Image, recipe: Recipe, verify: bool) -> Iterator[str]:
    for scenario in recipe.scenarios:
        numbers = _port_numbers(scenario, image)
        if is_service(scenario, image.config, numbers) is None:
            ports = ", ".join(map(str, numbers))
            yield f"{scenario.name}: if it listens on port {ports}, it is asked there instead of being run to its end"
    if not verify:
        yield "the minimal image is not asked anything: nothing is proven"


def _planned_cut(locked_cut: LockedCut) -> PlannedCut:
    minimal = locked_cut.minimal
    return PlannedCut(
        before=image_footprint(locked_cut.world.rootfs, len(minimal.shares)),
        after=minimal.footprint,
        layer=minimal.layer.diff_id,
        identical=locked_cut.identical,
        diff=locked_cut.diff,
        moves=locked_cut.moves,
        gone=locked_cut.gone,
    )
