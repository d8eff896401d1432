"""Recording: exercising every scenario of a recipe on the original image, and the trace of what it touched.

Recording may disturb a program. So a probe that fails while it is recorded is tried without recording; if it passes
then, the recording is repeated with the other mechanism, and a note says so.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import EngineUnavailable, OriginalFails, SensorUnavailable, UsageError
from debloat.core.machine import runs
from debloat.core.model import Access, Image, Trace
from debloat.core.probes import ProbeResult
from debloat.core.recipe import Recipe, Scenario
from debloat.core.shells import is_bare_shell
from debloat.engine.base import Engine
from debloat.engine.traits import EngineTraits
from debloat.engine.workspace import Workspace
from debloat.record.concrete import Limits, ListensElsewhere, NothingToProbe
from debloat.record.exercise import Exercise, exercise
from debloat.record.session import Recorded, Recorder
from debloat.record.sidebyside import run_scenarios

MAX_FAILED_READS = 0.001
"""Share of recorded calls whose path could not be read, above which a recording cannot be trusted."""

_NAME_COMMANDS = "name what the image is for with --args or --exec"

NO_COMMAND = 127
"""A shell's exit code for a command that it cannot find (POSIX, Shell Command Language, 2.8.2)."""


class Recording(Struct, frozen=True):
    """A finished recording: an exercise for each scenario, the trace of all, and notes for the report."""

    exercises: tuple[Exercise, ...]
    trace: Trace
    notes: tuple[str, ...] = ()


def record(
    workspace: Workspace, image: Image, recipe: Recipe, recorder: Recorder, say: Callable[[str], None]
) -> Recording:
    """Exercise the original, recorded. `say` gets lines of progress.

    OriginalFails when it does not pass its own probes even unrecorded; SensorUnavailable when only recording fails.
    """
    must_be_runnable(workspace.engine, image, recipe)
    for limitation in rootless_lacks(workspace.engine.info().traits, recipe):
        say(limitation)
    limits = Limits(recipe.ready, recipe.timeout)

    def record_scenario(number: int) -> tuple[Exercise, list[str]]:
        scenario = recipe.scenarios[number]
        say(f"recording {scenario.name}")
        return _recorded(workspace, image, scenario, limits, recorder)

    # Who uses a container by hand has one at a time, in the thread that gets Ctrl-C.
    at_once = 1 if recorder.by_hand is not None else None
    exercised = run_scenarios(workspace, recipe.scenarios, record_scenario, at_once)
    exercises = [exercise for exercise, _ in exercised]
    notes = tuple(
        note
        for exercise, recording_notes in exercised
        for note in (*recording_notes, *_coverage_notes(image, exercise))
    )
    return Recording(tuple(exercises), trace_of(image, exercises), notes)


def trace_of(image: Image, exercises: list[Exercise]) -> Trace:
    """The united trace of exercises. Where there is more than one, probe names begin with `SCENARIO: `."""
    accesses: set[Access] = set()
    for one in exercises:
        prefix = f"{one.scenario.name}: " if len(exercises) > 1 else ""
        accesses |= {replace(a, probe=prefix + a.probe) if prefix else a for a in one.recorded.accesses}
    mechanisms = frozenset(c.mechanism for exercise in exercises for c in exercise.recorded.counters)
    return Trace(frozenset(accesses), frozenset({image.identity}), mechanisms)


def must_be_runnable(engine: Engine, image: Image, recipe: Recipe) -> None:
    """UsageError for an image of another platform than the engine's, or without a program to run."""
    info = engine.info()
    if image.architecture and not runs(info.architecture, image.architecture):
        own = f"{info.os}/{info.architecture}"
        raise UsageError(
            f"{image.reference} is for {image.os}/{image.architecture}, and this engine runs {own}",
            f"build it for {own} (`{info.traits.command} build --platform`), or go where such images run",
        )
    config = image.config
    if any(not (config.entrypoint or (config.cmd if s.args is None else s.args)) for s in recipe.scenarios):
        raise UsageError(
            f"{image.reference} has neither ENTRYPOINT nor CMD: there is nothing to run", 'pass --args "COMMAND"'
        )


def rootless_lacks(traits: EngineTraits, recipe: Recipe) -> Iterator[str]:
    """What an engine cannot do because its root is an ordinary user (user_namespaces(7)), where that may matter."""
    if not traits.rootless:
        return
    nor = "for its program" if traits.own else "neither for its program nor in the result"
    yield f"the engine is rootless: device nodes of the image are not there, {nor}"
    for scenario in recipe.scenarios:
        if scenario.options.shares_network:
            yield f"{scenario.name}: the engine is rootless: ports below 1024 of this machine's network are refused"


def _coverage_notes(image: Image, exercise: Exercise) -> list[str]:
    """Notes on what a scenario leaves unproven: ports not probed or only connected to, no page seen, a bare shell."""
    if exercise.scenario.probes:
        return [*_advice_notes(exercise), *_no_page_notes(exercise)]
    if any(probe.kind == "exit" for probe in exercise.probes):
        args = image.config.cmd if exercise.scenario.args is None else exercise.scenario.args
        if is_bare_shell((*image.config.entrypoint, *args)):
            return [f"the command is a bare shell, which ended: nothing else was exercised, {_NAME_COMMANDS}"]
        return []
    probed = {probe.port for probe in exercise.probes}
    exposed = sorted(int(p.partition("/")[0]) for p in image.config.ports if p.endswith("/tcp"))
    unopened = [
        f"nothing listens on the exposed port {port}: it was not asked" for port in exposed if port not in probed
    ]
    advised = {result.name for result in exercise.results if result.detail}
    connected = [p for p in exercise.probes if p.kind == "connect" and p.name not in advised]
    connected_only = ", ".join(str(probe.port) for probe in connected)
    bound_only = ", ".join(f"{probe.port}/udp" for probe in exercise.probes if probe.kind == "bound")
    hint = "to exercise the service, give its client as --exec or --run"
    return [
        *unopened,
        *([f"port {bound_only} was only seen to be bound: {hint}"] if bound_only else []),
        *([f"port {connected_only} speaks no HTTP and was only connected to: {hint}"] if connected_only else []),
        *_advice_notes(exercise),
        *_no_page_notes(exercise),
    ]


def _advice_notes(exercise: Exercise) -> list[str]:
    """What would exercise a server more than it could be, or was left out."""
    return [f"{result.name}: {result.detail}" for result in exercise.results if result.ok and result.detail]


def _no_page_notes(exercise: Exercise) -> list[str]:
    """A note where no page was seen: every HTTP status is a redirect or an error."""
    pages = [result for result in exercise.results if result.name.startswith("http ") and result.status]
    if not pages or any(result.status < 300 for result in pages):
        return []
    statuses = ", ".join(sorted({str(result.status) for result in pages}))
    return [f"every answer over HTTP has status {statuses}: no page was exercised, name one with --http PATH"]


def _recorded(
    workspace: Workspace, image: Image, scenario: Scenario, limits: Limits, recorder: Recorder
) -> tuple[Exercise, list[str]]:
    def attempt(recorder: Recorder) -> Exercise:
        return exercise(workspace, image, image.id, scenario, limits, recorder)

    done, notes = with_fallbacks(attempt, recorder, scenario.name)
    return done, [*_soundness_notes(done.recorded), *notes]


def notes_on(image: Image, exercised: Exercise) -> tuple[str, ...]:
    """What was imperfect about a recording, and what it leaves unproven; SensorUnavailable where it is no use."""
    return (*_soundness_notes(exercised.recorded), *_coverage_notes(image, exercised))


class Attempt(Protocol):
    """Something that was exercised, with the probes that failed."""

    @property
    def failures(self) -> tuple[ProbeResult, ...]: ...


A = TypeVar("A", bound=Attempt)


def with_fallbacks(attempt: Callable[[Recorder], A], recorder: Recorder, name: str) -> tuple[A, tuple[str, ...]]:
    """An attempt without failures, with a note where it took the other mechanism. `name` is what was exercised.

    OriginalFails where it fails unrecorded too, SensorUnavailable where it fails only while it is recorded.
    """
    try:
        first: A | None = attempt(recorder)
        error_of_first = None
    except (NothingToProbe, ListensElsewhere):
        raise
    except OriginalFails as error:
        first, error_of_first = None, error
    if first is not None and not first.failures:
        return first, ()
    plain = _unrecorded(attempt, recorder)
    if plain is None or plain.failures:
        raise error_of_first or _failure(first, plain)
    other_mechanism = "ptrace" if recorder.mechanism != "ptrace" else "notify"
    again = attempt(replace(recorder, mechanism=other_mechanism))
    if again.failures:
        names = ", ".join(r.name for r in again.failures)
        raise SensorUnavailable(
            f"{name}: {names} works unrecorded, and fails while it is recorded by either mechanism",
            "record where it works and pass --trace FILE, or report it with the output of `debloat doctor`",
        )
    return again, (f"{name}: failed under the first mechanism, recorded by {other_mechanism}",)


def _unrecorded(attempt: Callable[[Recorder], A], recorder: Recorder) -> A | None:
    try:
        return attempt(replace(recorder, mechanism=""))
    except (OriginalFails, EngineUnavailable, UsageError):
        return None


def _failure(first: Attempt | None, plain: Attempt | None) -> OriginalFails:
    failures = (plain or first).failures if (plain or first) else ()  # type: ignore[union-attr]
    lines = "\n".join(f"  {r.name}: {r.detail or r.outcome()}" for r in failures)
    hint = (
        "a probe must succeed on the image as it is: status below 500, exit code 0; "
        "give it what it lacks (-e, -v, --network, --args), or mend the probe or the image"
    )
    if any(r.name.startswith("run ") and r.status == NO_COMMAND for r in failures):
        hint = "`run` calls a program of this machine; `exec` runs one in the container, `args` start the image"
    return OriginalFails(f"the original image does not pass its own probes:\n{lines}", hint)


def _soundness_notes(recorded: Recorded) -> list[str]:
    """Notes on what was imperfect about a recording; SensorUnavailable when it cannot be trusted."""
    notes = []
    stops = sum(c.stops for c in recorded.counters)
    failed = sum(c.failed_reads for c in recorded.counters)
    unwritten = sum(c.failed_writes for c in recorded.counters)
    if not recorded.counters or not stops or not recorded.accesses:
        raise SensorUnavailable(
            f"the sensor saw no file access at all{_because(c.install_error for c in recorded.counters)}",
            "run `debloat doctor`: recording is blind here",
        )
    if unwritten:
        raise SensorUnavailable(
            f"{unwritten} accesses could not be written down{_because(c.write_error for c in recorded.counters)}",
            "free space where the engine keeps its volumes",
        )
    if failed > max(3, stops * MAX_FAILED_READS):
        raise SensorUnavailable(
            f"{failed} of {stops} paths could not be read from the program's memory",
            "run `debloat doctor`; rootless engines may need a newer kernel",
        )
    if recorded.unresolved:
        shown = ", ".join(repr(u) for u in recorded.unresolved[:3])
        notes.append(f"{len(recorded.unresolved)} names whose directory is not known: {shown}")
    if any(c.forced_no_new_privs for c in recorded.counters):
        notes.append("recorded without SYS_ADMIN, so under no_new_privs: setuid programs had no effect")
    return notes


def _because(errors: Iterable[int]) -> str:
    """The first error as a cause to append to a sentence; empty where there is none."""
    return next((f": {os.strerror(error)}" for error in errors if error), "")
