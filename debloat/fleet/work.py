"""What a worker does: it answers a request, a plain value, with another. The engine is the worker's own.

Requests are `{"ask": "worker"}`, `{"ask": "names"}`, `{"ask": "look", "references": [...], "pull": BOOL}` and
`{"ask": "item", "task": {...}}`; each may say for which `platform` images are to be, and which `version` it is of.
"""

from __future__ import annotations

import base64
import json
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

import debloat
from debloat import pipeline
from debloat.core.errors import DebloatError, EngineUnavailable, GateFailed, MinimalFails, UsageError
from debloat.core.model import Image
from debloat.core.platform import Wanted
from debloat.core.progress import Progress
from debloat.core.recipe import recipe
from debloat.core.text import count
from debloat.core.values import as_dict
from debloat.engine.base import Engine
from debloat.engine.workspace import Scratch, Workspace
from debloat.fleet import kept
from debloat.fleet.executor import Sighting
from debloat.fleet.ledger import KEPT_FILE, LOCK, REPORT, outcome_of
from debloat.fleet.model import KEPT, Finished, Outcome, Status, Task, Verb, Worker
from debloat.fleet.plan import settled
from debloat.fleet.share import parse_parts
from debloat.gate import check as gate
from debloat.gate.check import CheckInputs
from debloat.gate.findings import GateReport
from debloat.gate.rules import rules_of
from debloat.lock import apply as applying
from debloat.lock import format as locks
from debloat.lock.apply import Applied
from debloat.lock.cut import cut_by_lock
from debloat.lock.format import Lock
from debloat.lock.manifest import lock_of_run
from debloat.result import Outcome as RunOutcome
from debloat.result import Report, Sink
from debloat.store.location import Destination, Location, image_location
from debloat.store.source import opened
from debloat.store.write import write

_SHOWN = 2
"""Differences or findings that the sentence of a row tells of."""


class Means(Struct, frozen=True):
    """What a worker has: an engine, connected to when it is needed; who is told of stages; how reports are written.

    `remember` gets what a run comes to, and the image's lasting place (`Location.lasting`). `platform` is which of an
    image's is meant; the engine prefers it already.
    """

    connect: Callable[[], Engine]
    progress: Progress
    render: Callable[[Report | Applied | GateReport], str]
    remember: Callable[[RunOutcome, str], None] = lambda outcome, where: None
    platform: Wanted | None = None


def answer(request: Mapping[str, Any], means: Means) -> dict[str, Any]:
    """The answer to a request. Errors are those of the engine; what is wrong with one item is in its row."""
    version = request.get("version") or debloat.__version__
    if version != debloat.__version__:
        raise UsageError(
            f"cannot answer debloat {version}: this worker has debloat {debloat.__version__}",
            "install the same version wherever workers are started",
        )
    match request["ask"]:
        case "worker":
            engine = means.connect()
            worker = Worker(socket.gethostname(), engine_name(engine), debloat.__version__)
            return as_dict(worker)
        case "names":
            return {"names": list(means.connect().image_names())}
        case "look":
            seen = look(request["references"], bool(request["pull"]), means)
            return {"sightings": [as_dict(each) for each in seen]}
        case "item":
            return packed(perform(task_of(request["task"]), means))
    raise UsageError(f"cannot answer {request['ask']!r}: a worker knows no such request", "use one version of debloat")


def engine_name(engine: Engine) -> str:
    """What tells an engine from those of other machines."""
    info = engine.info()
    return f"{socket.gethostname()} {info.endpoint}" if info.local else info.endpoint


# ------------------------------------------------------------------------------------------ values on the way


def task_of(raw: Mapping[str, Any]) -> Task:
    """A task of what JSON gave."""
    lists = {name: tuple(raw[name]) for name in ("recipes", "prefers")}
    return Task(**{**raw, **lists, "verb": Verb(raw["verb"])})


def packed(finished: Finished) -> dict[str, Any]:
    """What comes back of a task, as JSON has it."""
    files = {name: base64.b64encode(data).decode() for name, data in finished.files.items()}
    return {"outcome": as_dict(finished.outcome), "files": files}


def unpacked(raw: Mapping[str, Any]) -> Finished:
    """The reverse of `packed`."""
    files = {name: base64.b64decode(text) for name, text in raw["files"].items()}
    return Finished(outcome_of(raw["outcome"]), files)


# ------------------------------------------------------------------------------------------ looking


def look(references: Iterable[str], pull: bool, means: Means) -> Iterator[Sighting]:
    """What this worker's engine, or the place that they name, says of references."""
    for reference in references:
        name = ""
        try:
            location = image_location(reference, means.platform)
            if location.on_engine:
                engine = means.connect()
                name = engine_name(engine)
                image = engine.image(location.name, pull=pull)
            else:
                image = stored_image(location)
        except EngineUnavailable:
            raise
        except DebloatError as error:
            yield Sighting(reference, name, error=_sentence(error.message), hint=error.hint)
        else:
            yield Sighting(reference, name, image.identity, bytes=image.size)


def stored_image(location: Location) -> Image:
    """The image in a store."""
    with Scratch() as scratch, opened(scratch, location) as source:
        return source.image


# ------------------------------------------------------------------------------------------ carrying out


def perform(task: Task, means: Means) -> Finished:
    """Carry out a task. Whatever is wrong with it is in the row; an interrupt is not."""
    begun = time.perf_counter()
    row = Outcome(task.key, task.name, Status.FAILED, task.verb, task.target, task.identity)
    files: dict[str, bytes] = {}
    try:
        must_be_the_same(task, means)
        row = _DO[task.verb](task, means, row, files)
    except DebloatError as error:
        status = {GateFailed: Status.REFUSED, MinimalFails: Status.DIFFERS}.get(type(error), Status.FAILED)
        row = replace(
            row, status=status, exit_code=error.exit_code, error=_sentence(error.message), hint=_sentence(error.hint)
        )
    except Exception as error:
        means.progress.say("".join(traceback.format_exception(error)))
        text = f"internal error: {type(error).__name__}: {error}"
        row = replace(
            row, exit_code=DebloatError.exit_code, error=_sentence(text), hint="please report it with its log"
        )
    return Finished(replace(row, seconds=round(time.perf_counter() - begun, 3)), files)


def must_be_the_same(task: Task, means: Means) -> None:
    """UsageError where the image is another now than when the task was made."""
    if task.identity:
        (seen,) = look([task.name], True, means)
        if seen.error:
            raise UsageError(seen.error, seen.hint)
        if seen.identity != task.identity:
            raise UsageError(
                f"{task.name} is another image than when the run began, or on this worker's engine",
                "start the run again, and see that all engines have the same image of that name",
            )


def _run(task: Task, means: Means, row: Outcome, files: MutableMapping[str, bytes]) -> Outcome:
    """What `debloat IMAGE` does; the lock is kept of whatever was proven."""
    engine, target = means.connect(), image_location(task.target)

    def remembering(outcome: RunOutcome) -> None:
        means.remember(outcome, image_location(task.name).lasting)

    def locking(outcome: RunOutcome) -> None:
        if outcome.report.result:
            files[LOCK] = locks.dump(lock_of_run(outcome))

    def writing(outcome: RunOutcome) -> None:
        if outcome.report.result:
            write(outcome.minimal.written, outcome.name, target)

    def keeping(outcome: RunOutcome) -> None:
        kept_entries = outcome.minimal.kept
        files[KEPT_FILE] = kept.dump(kept.kept_set(outcome.world.rootfs, outcome.world.packages, kept_entries))

    elsewhere = not target.on_engine
    if task.share:
        further: list[Sink] = [keeping]
    else:
        further = [writing] if elsewhere else []
    report = pipeline.slim(
        engine,
        image_location(task.name, means.platform),
        recipe(settled(task.recipes)),
        means.progress,
        destination=Destination(target.name, target, tag=not (elsewhere or task.share)),
        sinks=[remembering, locking, *further],
    )
    files[REPORT] = means.render(report).encode("utf-8", "surrogateescape")
    row = replace(row, layer=report.layer, bytes_before=report.before.bytes, bytes_after=report.after.bytes)
    if not report.passed:
        bad = [f"{a.before.name}: {a.difference}" for a in report.answers if a.difference]
        return replace(
            row,
            status=Status.DIFFERS,
            exit_code=MinimalFails.exit_code,
            error=_listed("the minimal image does not answer as the original does", bad, "difference"),
            hint="try another level, or keep what it misses with keep = [...] in its recipe",
        )
    return replace(row, status=Status.DONE) if task.share else _made(row, report.result, means)


def _apply(task: Task, means: Means, row: Outcome, files: MutableMapping[str, bytes]) -> Outcome:
    """What `debloat apply` does, without a proof: nothing is started."""
    if task.share == KEPT:
        return _keep(task, means, row, files)
    target = image_location(task.target)
    tag = target.on_engine
    applied = applying.apply(
        means.connect() if tag or image_location(task.name).on_engine else None,
        image_location(task.name, means.platform),
        _lock(task),
        means.progress,
        destination=Destination(target.name, None if tag else target, tag),
        parts=parse_parts(task.share) if task.share else (),
    )
    files[LOCK] = locks.dump(applied.lock)
    files[REPORT] = means.render(applied).encode("utf-8", "surrogateescape")
    row = replace(row, layer=applied.lock.layer, bytes_before=applied.bytes_before, bytes_after=applied.lock.bytes)
    return _made(row, applied.result, means)


def _keep(task: Task, means: Means, row: Outcome, files: MutableMapping[str, bytes]) -> Outcome:
    """What the minimal image of a lock would keep, without making it."""
    location, lock = image_location(task.name, means.platform), _lock(task)
    with Workspace(means.connect()) if location.on_engine else Scratch() as run, opened(run, location) as source:
        cut = cut_by_lock(source, replace(source.image, config=source.whole_config()), lock, means.progress)
        files[KEPT_FILE] = kept.dump(kept.kept_set(cut.world.rootfs, cut.world.packages, cut.minimal.kept))
        files[LOCK] = locks.dump(cut.lock)
        return replace(row, status=Status.DONE, layer=cut.lock.layer, bytes_after=cut.lock.bytes)


def _check(task: Task, means: Means, row: Outcome, files: MutableMapping[str, bytes]) -> Outcome:
    """What `debloat check` does, without probes."""
    settings = settled(task.recipes)
    inputs = CheckInputs(
        rules_of(settings),
        _lock(task) if task.lock else None,
        task.lock_name,
        recipe(settings) if task.recipes else None,
    )
    engine = means.connect() if image_location(task.name).on_engine else None
    report = gate.check(engine, task.name, inputs, means.progress, means.platform)
    files[REPORT] = means.render(report).encode("utf-8", "surrogateescape")
    row = replace(
        row,
        status=Status.DONE,
        bytes_before=report.original.bytes if report.original else -1,
        bytes_after=report.after.bytes,
    )
    if report.passed:
        return row
    return replace(
        row,
        status=Status.REFUSED,
        exit_code=GateFailed.exit_code,
        error=_listed(f"{task.name} does not pass", [f"{f.rule}: {f.message}" for f in report.failing], "finding"),
        hint="look with `debloat check`; if it is meant, write its lock again",
    )


_DO: Mapping[Verb, Callable[[Task, Means, Outcome, MutableMapping[str, bytes]], Outcome]] = {
    Verb.RUN: _run,
    Verb.APPLY: _apply,
    Verb.CHECK: _check,
}


def _lock(task: Task) -> Lock:
    return locks.parse(task.lock.encode("utf-8", "surrogateescape"), task.lock_name)


def _made(row: Outcome, result: str, means: Means) -> Outcome:
    """A row with what was made, as it is found under its name."""
    location = image_location(result)
    if not location.on_engine:
        return replace(
            row,
            status=Status.DONE,
            target=result,
            digest=stored_image(replace(location, platform=means.platform)).identity,
        )
    engine = means.connect()
    identity = engine.image(result, pull=False).identity
    return replace(row, status=Status.DONE, target=result, digest=identity, engine=engine_name(engine))


def _sentence(text: str) -> str:
    """A message on one line."""
    return " ".join(text.split())


def _listed(what: str, details: list[str], word: str) -> str:
    rest = len(details) - _SHOWN
    more = [f"and {count(rest, f'more {word}')}"] if rest > 0 else []
    return _sentence(f"{what}: {'; '.join([*details[:_SHOWN], *more])}")


def request_of(task: Task) -> dict[str, Any]:
    """The request that carries a task."""
    return {"ask": "item", "task": as_dict(task)}


def looking(references: Iterable[str], pull: bool) -> dict[str, Any]:
    """The request that looks at references."""
    return {"ask": "look", "references": list(references), "pull": pull}


def sightings(answered: Mapping[str, Any]) -> Iterator[Sighting]:
    """The answer to that."""
    return (Sighting(**each) for each in answered["sightings"])


def as_text(value: Mapping[str, Any]) -> str:
    """A request or an answer as JSON, on one line."""
    return json.dumps(value, separators=(",", ":"))
