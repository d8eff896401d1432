"""`debloat IMAGE`: the main job."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from debloat import canary, pipeline, steps
from debloat.cli import runs, scan
from debloat.cli.engines import Engines
from debloat.cli.options import Lock, Result, Run, Slim
from debloat.cli.plan import outputs_of, show
from debloat.cli.settings import recipe_of, target_of
from debloat.core import parsed
from debloat.core.errors import MinimalFails, UsageError
from debloat.core.model import Trace
from debloat.core.recipe import Recipe
from debloat.core.written import must_be_writable, written_whole
from debloat.engine.base import Engine
from debloat.image.oci import Referrer
from debloat.pipeline import Watching
from debloat.plan import Plan, plan_run
from debloat.record import trace
from debloat.record.session import ByHand
from debloat.report.terminal import TerminalProgress, differences, summary, verdict_hint
from debloat.result import Outcome, Report, Sink
from debloat.steps import Step
from debloat.store.location import Destination, Location, destination, image_location
from debloat.store.write import must_take, write


def slim(options: Slim, engines: Engines, directory: Path | None = None, by_hand: ByHand | None = None) -> None:
    """Make, prove and tag; print the resulting reference. MinimalFails when it answers differently.

    The configuration is looked for in `directory`, by default the working directory. With `dry_run`, print the plan.
    `by_hand` lets somebody use the recorded container.
    """
    if options.result.dry_run:
        show(plan(options, engines, directory), options.result.json)
    else:
        _make(options, engines, directory, by_hand)


def plan(options: Slim, engines: Engines, directory: Path | None = None) -> Plan:
    """What would be done. The errors are those that doing it would begin with."""
    asked = _checked(options, directory)
    planned = plan_run(
        engines.connect(),
        image_location(options.image, engines.wanted),
        asked.recipe,
        watching=asked.watching,
        target=asked.goes.name,
        canary=options.result.canary or "",
    )
    outputs = tuple(outputs_of(planned.target, asked.goes, options.result))
    more = ("the minimal image is asked twice more: for its system calls, and under the profile made of them",)
    notes = (*planned.notes, *(more if options.result.seccomp else ()))
    return replace(planned, verb="lock" if isinstance(options, Lock) else "slim", outputs=outputs, notes=notes)


@parsed.open_cache()
def _make(options: Slim, engines: Engines, directory: Path | None, by_hand: ByHand | None) -> None:
    asked = _checked(options, directory)
    result, quiet = options.result, options.verbosity.quiet
    engine = engines.connect()
    counting = scan.counting(result.scan)
    report = pipeline.slim(
        engine,
        image_location(options.image, engines.wanted),
        asked.recipe,
        TerminalProgress(quiet, options.verbosity.verbose),
        watching=replace(asked.watching, by_hand=by_hand),
        destination=asked.goes,
        force=result.force,
        steps=tuple(steps_of(result)),
        sinks=[*sinks_of(options.image, result, asked.goes, engine), *counting],
        measure_surface=bool(result.json or result.html or result.scan),
    )
    report = counting[0].told(report) if counting else report
    write_report(report, result)
    traits = engine.info().traits
    summary(report, quiet, "" if traits.own else traits.command)
    _complain(report)
    if result.json != "-":
        click.echo(report.result)


def _complain(report: Report) -> None:
    """MinimalFails where something that was made answers differently."""
    if report.canary is not None and not report.canary.passed:
        raise canary.failure(report.canary)
    if not report.passed:
        raise MinimalFails(
            f"the minimal image does not answer as the original does:\n{differences(report.answers)}",
            verdict_hint(report),
        )
    if report.seccomp is not None and not report.seccomp.passed:
        raise MinimalFails(
            "under its seccomp profile the minimal image does not answer as the original does:\n"
            f"{differences(report.seccomp.answers)}",
            "the profile was not written, the image is proven without it; run it again with more probes, or report it",
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the options and the configuration say."""

    recipe: Recipe
    goes: Destination
    watching: Watching


def _checked(options: Slim, directory: Path | None) -> _Asked:
    """What is asked for; UsageError for what is wrong before anything is started."""
    tests = (shlex.join(options.command),) if isinstance(options, Run) and options.command else ()
    recipe = recipe_of(options.probes, options.policy, directory, tests)
    result = options.result
    goes = destination(options.image, target_of(result.tag), result.output)
    target_of(result.canary, "--canary")
    if goes.output is not None:
        must_take(goes.output)
    if result.seccomp and result.no_verify:
        raise UsageError("cannot prove a seccomp profile without a replay", "leave out --no-verify or --seccomp")
    for name in (result.save_trace, result.lock, result.json, result.html, result.seccomp):
        if name and not (name == "-" and name == result.json):
            must_be_writable(Path(name))
    traces = tuple(map(read_trace, result.traces))
    return _Asked(recipe, goes, Watching(options.probes.mechanism, traces=traces, replay=not result.no_verify))


def read_trace(name: str) -> Trace:
    """The trace in a file."""
    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the trace {name}: {error.strerror}") from error
    try:
        return trace.parse(data, name)
    except UsageError:
        from debloat.record.imports.read import is_foreign

        if tool := is_foreign(data):
            raise UsageError(
                f"cannot use the trace {name}: {tool} wrote it", f"debloat import IMAGE {name} -o FILE makes one of it"
            ) from None
        raise


def steps_of(result: Result) -> Iterator[Step]:
    """What more is made of a proven image."""
    if result.seccomp:
        yield steps.Profile(result.seccomp)
    if result.canary:
        yield steps.Canary(result.canary)


def sinks_of(image: str, result: Result, goes: Destination, engine: Engine) -> Iterator[Sink]:
    """What writes the outputs of a run on an image, and remembers it."""
    yield functools.partial(runs.remember, where=image_location(image).lasting)
    if name := result.save_trace:
        yield lambda outcome: _save(Path(name), trace.dump(outcome.world.trace))
    if result.lock:
        from debloat.cli.lockfile import sink

        yield sink(Path(result.lock))
    if result.attest:
        from debloat.cli.attest import sink as attesting

        yield attesting(Path(result.attest))
    if result.seccomp:
        yield _save_profile
    if (to := goes.output) is not None:
        yield lambda outcome: _write(outcome, to, bool(result.attest))
    if result.html:
        from debloat.cli import page

        yield page.sink(Path(result.html), engine, result.earlier)


def _save(path: Path, data: bytes) -> None:
    with written_whole(path) as draft:
        draft.write_bytes(data)


def _save_profile(outcome: Outcome) -> None:
    """The profile, where the image has answered under it."""
    made = outcome.report.seccomp
    if made is not None and made.passed:
        _save(Path(made.file), made.profile.document.encode())


def _write(outcome: Outcome, to: Location, attested: bool) -> None:
    if outcome.report.result:
        beside: tuple[Referrer, ...] = ()
        if attested:
            from debloat.cli.attest import referrers

            beside = referrers(outcome, to)
        write(outcome.minimal.written, outcome.name, to, beside)


def write_report(report: Report, result: Result) -> None:
    """The report as JSON, where it was asked for."""
    from debloat.report import jsonreport

    if result.json == "-":
        click.echo(jsonreport.render(report))
    elif result.json:
        _save(Path(result.json), jsonreport.render(report).encode())
