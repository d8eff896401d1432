"""What a run would do, as a value, before anything is done: what is started, asked and kept, and what is written.

The plan of a run needs the engine's answer about the image, and starts nothing. That of an applied lock has to read the
image, as `inspect` does: in a container of the sensor's, in which nothing of the image runs; the cut is made in a
scratch directory and thrown away. Neither pulls, loads or tags an image, or writes a file that stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from debloat import __version__
from debloat.core.model import Image, Level, Policy, Trace
from debloat.core.platform import Wanted
from debloat.core.progress import Progress
from debloat.core.recipe import Recipe, Scenario
from debloat.core.reference import result_name
from debloat.engine.base import ContainerSpec, Engine
from debloat.engine.workspace import Scratch, Workspace
from debloat.footprint import Footprint, of_image
from debloat.image.reader import reading_spec
from debloat.lock.apply import Cut, cut_by, notes_on
from debloat.lock.compare import Diff
from debloat.lock.format import Lock
from debloat.lock.manifest import platform
from debloat.lock.seeds import Gone, Move
from debloat.record.asks import first_asks, is_service, ports_of, published_ports, run_to_the_end
from debloat.record.record import must_be_runnable, rootless_lacks
from debloat.record.session import Recorder, container_spec
from debloat.rules.application.dockerfile import destinations, instructions
from debloat.store.location import Location, image_location
from debloat.store.source import opened


@dataclass(frozen=True, slots=True)
class PlannedContainer:
    """A container that would be started.

    `stage` is that of the run (`read`, `record`, `verify`), `scenario` is empty where the image is read; `minimal`
    says whether it is one of the minimal image. `program` and `user` are what runs in it and as whom, `spec` is what
    the engine would be asked for, the sensor in front; its image and run are left open.
    """

    stage: str
    scenario: str
    minimal: bool
    program: tuple[str, ...]
    user: str
    spec: ContainerSpec


@dataclass(frozen=True, slots=True)
class PlannedProbe:
    """Something that would be asked, in each container of its scenario.

    `kind` is `http`, `exec`, `run`, `exit` (the program runs to its end), `stop` or `port`: HTTP where it speaks it,
    with or without TLS, else a connect. `name` is what reports call it, for `port` the port.
    """

    scenario: str
    kind: str
    name: str
    ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept whatever is recorded: where that is said (`ENTRYPOINT`, `COPY`, `--trace`), and what it is."""

    source: str
    text: str


@dataclass(frozen=True, slots=True)
class PlannedCut:
    """What applying a lock would come to: the figures of both images, the layer, how it differs from the lock."""

    before: Footprint
    after: Footprint
    layer: str
    identical: bool
    diff: Diff
    moves: tuple[Move, ...]
    gone: tuple[Gone, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """Something that would be written if all goes well: `what` it is (`image`, `lock`, `report`, ...), and where."""

    what: str
    where: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call of a verb would do. `commands` are run on this machine first; `cut` is None unless a lock is applied.

    `size` is the image's as the engine has it, in bytes; `ready` and `timeout` are limits in seconds.
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
    known: tuple[Known, ...] = ()
    cut: PlannedCut | None = None
    outputs: tuple[Output, ...] = ()
    notes: tuple[str, ...] = ()


def plan_run(
    engine: Engine,
    reference: str,
    recipe: Recipe,
    *,
    target: str = "",
    traces: Sequence[Trace] = (),
    mechanism: str = "auto",
    verify: bool = True,
    platform: Wanted | None = None,
) -> Plan:
    """The plan of making a minimal image, under the errors that the run itself would begin with."""
    location = image_location(reference, platform)
    with Workspace(engine) as workspace, opened(workspace, location, pull=False) as source:
        image = replace(source.image, config=source.whole_config())
    target = result_name(image, target, engine.info().traits.registry)
    must_be_runnable(engine, image, recipe)
    recorder = Recorder(b"", mechanism)
    stages = [("record", False), *([("verify", True)] if verify else [])]
    return replace(
        _of(image, target, recipe.policy),
        containers=(*_reading(engine, location), *_containers(image, recipe, recorder, stages)),
        probes=tuple(_probes(image, recipe)),
        ready=recipe.ready,
        timeout=recipe.timeout,
        known=tuple(_known(image, recipe.policy, traces)),
        notes=(*rootless_lacks(engine.info().traits, recipe), *_notes(image, recipe, verify)),
    )


def plan_apply(
    engine: Engine | None,
    reference: str,
    lock: Lock,
    progress: Progress,
    *,
    target: str = "",
    recipe: Recipe | None = None,
    platform: Wanted | None = None,
) -> Plan:
    """The plan of applying a lock: what would stay, by making the cut and throwing it away.

    Without an engine there is no recipe, and the image is one of a store.
    """
    location = image_location(reference, platform)
    with (
        Workspace(engine) if engine is not None else Scratch() as run,
        opened(run, location, pull=False) as source,
    ):
        image = replace(source.image, config=source.whole_config())
        target = result_name(image, target, engine.info().traits.registry if engine is not None else "")
        if engine is not None and recipe is not None:
            must_be_runnable(engine, image, recipe)
        done = cut_by(source, image, lock, progress)
        containers = tuple(_reading(engine, location))
        plan = replace(_of(image, target, lock.policy), cut=_cut(done), containers=containers)
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


def _of(image: Image, target: str, policy: Policy) -> Plan:
    return Plan("", f"debloat {__version__}", image.reference, image.id, platform(image), image.size, target, policy)


def _reading(engine: Engine | None, location: Location) -> Iterator[PlannedContainer]:
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


def _numbers(scenario: Scenario, image: Image) -> tuple[int, ...]:
    return tuple(sorted(int(port.partition("/")[0]) for port in published_ports(scenario, image.config)))


def _probes(image: Image, recipe: Recipe) -> Iterator[PlannedProbe]:
    for scenario in recipe.scenarios:
        numbers = _numbers(scenario, image)
        if not is_service(scenario, image.config, numbers):
            yield PlannedProbe(scenario.name, "exit", run_to_the_end(scenario).name)
            continue
        for ask in first_asks(scenario, image.config, numbers):
            kind = "port" if ask.kind == "default" else ask.kind
            ports = (ask.port,) if kind == "port" else ports_of(ask, numbers) if kind == "http" else ()
            yield PlannedProbe(scenario.name, kind, ask.name, tuple(ports))
        yield PlannedProbe(scenario.name, "stop", "stop")


def _known(image: Image, policy: Policy, traces: Sequence[Trace]) -> Iterator[Known]:
    """What is kept before anything is recorded, as far as the image's configuration and history tell."""
    config = image.config
    for source, words in (("ENTRYPOINT", config.entrypoint), ("CMD", config.cmd), ("HEALTHCHECK", config.healthcheck)):
        if words:
            yield Known(source, " ".join(words))
    if config.user:
        yield Known("USER", config.user)
    if config.workdir != "/":
        yield Known("WORKDIR", config.workdir)
    yield from (Known("VOLUME", path) for path in config.volumes)
    if policy.level > Level.EXACT:
        steps = instructions(image.history, config)
        places = dict.fromkeys((place.instruction, place.path) for place in destinations(steps))
        yield from (Known(instruction, path) for instruction, path in places if instruction != "WORKDIR")
    for trace in traces:
        yield Known("--trace", f"{len({access.path for access in trace.accesses}):,} paths")


def _notes(image: Image, recipe: Recipe, verify: bool) -> Iterator[str]:
    for scenario in recipe.scenarios:
        numbers = _numbers(scenario, image)
        if is_service(scenario, image.config, numbers) is None:
            ports = ", ".join(map(str, numbers))
            yield f"{scenario.name}: if it listens on port {ports}, it is asked there instead of being run to its end"
    if not verify:
        yield "the minimal image is not asked anything: nothing is proven"


def _cut(done: Cut) -> PlannedCut:
    minimal = done.minimal
    return PlannedCut(
        before=of_image(done.world.rootfs, len(minimal.shares)),
        after=minimal.footprint,
        layer=minimal.layer.diff_id,
        identical=done.identical,
        diff=done.diff,
        moves=done.moves,
        gone=done.gone,
    )
