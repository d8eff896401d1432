"""A stack at work: started by Compose under a name of its own, its chosen services under the sensor, then removed."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from debloat.compose.command import LONG, Answer, Compose
from debloat.compose.document import Document
from debloat.compose.service import Service
from debloat.compose.standin import StandIn, container_name, rewritten
from debloat.core.errors import DebloatError, EngineUnavailable, OriginalFails
from debloat.core.model import ImageConfig
from debloat.core.probes import ProbeResult
from debloat.core.recipe import RunOptions
from debloat.engine.base import Engine, Leftover
from debloat.engine.run_id import new_run
from debloat.engine.workspace import Workspace, discard
from debloat.image.reader import SENSOR_HOME, sensor_tar
from debloat.record.concrete import ConcreteProbe, Limits, described_probes, published_ports
from debloat.record.exercise import Exercise, begin, beginning
from debloat.record.session import Recorder, Session

_SWEEPS = 5
"""Times that what is left of a stack is looked for: a Compose that was killed may have asked for one thing more."""

Probes = Mapping[str, tuple[ConcreteProbe, ...]]
"""The probes of each chosen service."""


class Stack(Struct, frozen=True):
    """What is started: the services of a document, in the order in which they depend, and the chosen ones of them."""

    compose: Compose
    document: Document
    chosen: tuple[Service, ...]


class Exercised(Struct, frozen=True):
    """One start of the stack: the exercise of each chosen service, by name."""

    by_service: Mapping[str, Exercise]

    @property
    def failures(self) -> tuple[ProbeResult, ...]:
        return tuple(
            ProbeResult(f"{name}: {r.name}", r.ok, r.status, r.headers, r.shape, r.text, r.detail)
            for name, exercise in self.by_service.items()
            for r in exercise.failures
        )


class Member(Session):
    """The session of a chosen service. The others' recordings are marked too: what they do is done for its probe."""

    def __init__(
        self, engine: Engine, container: str, config: ImageConfig, options: RunOptions, recorder: Recorder, name: str
    ) -> None:
        super().__init__(engine, container, config, options, recorder)
        self.name = name
        self.others: Sequence[Member] = ()

    def mark(self, name: str) -> None:
        super().mark(name)
        for other in self.others:
            if other.state().running:
                Session.mark(other, f"{self.name}: {name}")


def exercise(
    workspace: Workspace,
    stack: Stack,
    images: Mapping[str, str],
    recorder: Recorder,
    probes: Probes | None = None,
) -> Exercised:
    """Start the stack with these images for its chosen services, make their probes one after another, and stop it.

    `probes` are those of an earlier exercise; None finds them out. OriginalFails where the stack does not come up then,
    or a service cannot be exercised; in a replay its probes fail.
    """
    with started(workspace, stack, images, recorder, probes) as (members, problem):
        if problem and probes is None:
            raise OriginalFails(
                f"the stack does not start: {problem}",
                "does `docker compose up` of it work? `ready` under x-debloat sets how long it may take",
            )
        asked = [_ask(members[s.name], s, None if probes is None else probes[s.name], problem) for s in stack.chosen]
        ended = [one.ended(members[one.service.name], recorder) for one in reversed(asked)]
        return Exercised({one.scenario.name: one for one in reversed(ended)})


class _Stoppable(Protocol):
    """An exercise whose probes are made; `ready` is the seconds until it was ready."""

    @property
    def ready(self) -> float: ...

    def stop(self) -> ProbeResult: ...


class _Asked(Struct, frozen=True):
    """A chosen service whose probes were made; `run` is None where it has ended, or never ran."""

    service: Service
    probes: tuple[ConcreteProbe, ...]
    results: tuple[ProbeResult, ...]
    run: _Stoppable | None = None

    def ended(self, member: Member, recorder: Recorder) -> Exercise:
        """Stop it, and collect what was recorded."""
        stopped = () if self.run is None else (self.run.stop(),)
        ready = 0.0 if self.run is None else self.run.ready
        results, scenario = (*self.results, *stopped), self.service.scenario
        recorded = member.recorded(beginning(scenario))
        return Exercise(scenario, self.probes, results, recorded, ready, recorder.mechanism)


def _ask(member: Member, service: Service, probes: tuple[ConcreteProbe, ...] | None, problem: str) -> _Asked:
    """Make the probes of a service. Where the stack has not come up by a `problem`, they fail if it does not run."""
    if problem and not member.state().running:
        known = probes or ()
        return _Asked(service, known, tuple(ProbeResult(probe.name, False, detail=problem) for probe in known))
    limits = Limits(service.recipe.ready, service.recipe.timeout)
    ports = _ports(service, probes)
    run = begin(member, service.config, service.scenario, limits, ports, described=_described(service, probes))
    with contextlib.closing(run), _named(service):
        finite = run.finite(probes)
        results = run.to_the_end(first=probes is None) if finite else run.ask(probes)
        return _Asked(service, tuple(run.probes), tuple(results), None if finite else run)


def _described(service: Service, probes: tuple[ConcreteProbe, ...] | None) -> tuple[ConcreteProbe, ...]:
    return described_probes(service.scenario) if probes is None else ()


def _ports(service: Service, probes: tuple[ConcreteProbe, ...] | None) -> tuple[str, ...]:
    return published_ports(service.scenario, service.config, probes)


@contextlib.contextmanager
def _named(service: Service) -> Iterator[None]:
    """A block whose complaints name the service."""
    try:
        yield
    except OriginalFails as error:
        raise type(error)(
            f"service {service.name}: {error.message}",
            "say under x-debloat of the service what it is asked, and when it is ready",
        ) from error


@contextlib.contextmanager
def started(
    workspace: Workspace, stack: Stack, images: Mapping[str, str], recorder: Recorder, probes: Probes | None
) -> Iterator[tuple[Mapping[str, Member], str]]:
    """The stack started, each chosen service with the sensor in it, and why it did not come up whole, or nothing.

    Everything of it is gone when the block ends: it carries a label of its own.
    """
    run = new_run()
    project, engine = f"debloat-{run}", workspace.engine
    ports = {s.name: _ports(s, None if probes is None else probes[s.name]) for s in stack.chosen}
    standing = {s.name: StandIn(s, images[s.name], ports[s.name]) for s in stack.chosen}
    file = workspace.fresh("compose.json")
    file.write_text(rewritten(stack.document, run, project, standing, recorder), "utf-8")
    up = ["-f", str(file), "-p", project, "up", "--no-build"]
    try:
        created = stack.compose.call([*up, "--no-start"], LONG)
        if created.code != 0:
            raise EngineUnavailable(
                f"cannot create the stack: {created.cause}", "does `docker compose up --no-start` of it work?"
            )
        members = {}
        for service in stack.chosen:
            container = engine.find(container_name(project, service.name)).id
            engine.put(container, SENSOR_HOME, sensor_tar(recorder.sensor))
            members[service.name] = Member(engine, container, service.config, service.options, recorder, service.name)
        for member in members.values():
            member.others = [other for other in members.values() if other is not member]
        patience = max(s.recipe.ready for s in stack.chosen) * len(stack.document.services)
        answer = stack.compose.call([*up, "--no-recreate", "--detach"], patience)
        with contextlib.ExitStack() as open_sessions:
            for service in stack.chosen:
                member = open_sessions.enter_context(contextlib.closing(members[service.name]))
                if member.state().running:
                    member.reach(ports[service.name])
            yield members, problem(answer, patience, project, engine.leftovers(run) if answer.code else ())
    finally:
        with workspace.shielded():
            remove(engine, run)


def problem(answer: Answer, patience: float, project: str, made: Iterable[Leftover]) -> str:
    """Why a stack did not come up, in Compose's words, with services by their names; empty where it did."""
    if answer.code == 0:
        return ""
    if answer.code is None:
        return f"a service that others wait for is not ready after {patience:g} s"
    cause = answer.cause
    for thing in made:
        cause = cause.replace(thing.id[:12], thing.name)
    return re.sub(rf"{project}[-_]([\w.-]+?)(?:[-_]\d+)?(?=[^\w.-]|$)", r"\1", cause)


def remove(engine: Engine, run: str) -> None:
    """Remove what carries the label of a start, containers first; as long as something is found and goes."""
    before: tuple[object, ...] = ()
    for _ in range(_SWEEPS):
        found = engine.leftovers(run)
        if not found or found == before:
            return
        for leftover in found:
            with contextlib.suppress(DebloatError):
                discard(engine, leftover)
        before = found
