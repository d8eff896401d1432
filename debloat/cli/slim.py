"""`debloat IMAGE`: the main job."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from debloat import pipeline
from debloat.cli import lockfile, runs, scan
from debloat.cli.engines import Engines
from debloat.cli.options import Lock, Result, Run, Slim
from debloat.cli.outputs import Destination, destination, inputs_of_run, must_be_apart, outputs_of_run
from debloat.cli.plan import outputs_of, show
from debloat.cli.settings import recipe_of, target_of
from debloat.core import parsed
from debloat.core.errors import MinimalFails, UsageError
from debloat.core.model import Trace
from debloat.core.recipe import Recipe
from debloat.engine.base import Engine
from debloat.engine.workspace import written_whole
from debloat.image.oci import Referrer
from debloat.pipeline import Outcome, Sink
from debloat.plan import Plan, plan_run
from debloat.record import trace
from debloat.record.session import ByHand
from debloat.report.terminal import TerminalProgress, differences, summary, verdict_hint
from debloat.result import Report
from debloat.store.location import Location, image_location
from debloat.store.write import write


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
    recipe, goes, traces = _checked(options, directory)
    planned = plan_run(
        engines.connect(),
        options.image,
        recipe,
        target=goes.name,
        traces=traces,
        mechanism=options.probes.mechanism,
        verify=not options.result.no_verify,
        platform=engines.wanted,
        canary=options.result.canary or "",
    )
    outputs = tuple(outputs_of(planned.target, goes, options.result))
    more = ("the minimal image is asked twice more: for its system calls, and under the profile made of them",)
    notes = (*planned.notes, *(more if options.result.seccomp else ()))
    return replace(planned, verb="lock" if isinstance(options, Lock) else "slim", outputs=outputs, notes=notes)


@parsed.open_cache()
def _make(options: Slim, engines: Engines, directory: Path | None, by_hand: ByHand | None) -> None:
    recipe, goes, traces = _checked(options, directory)
    result, quiet = options.result, options.verbosity.quiet
    engine = engines.connect()
    counting = scan.counting(result.scan)
    without_canary: MinimalFails | None = None
    try:
        report = pipeline.slim(
            engine,
            options.image,
            recipe,
            TerminalProgress(quiet, options.verbosity.verbose),
            target=goes.name,
            traces=traces,
            mechanism=options.probes.mechanism,
            verify=not result.no_verify,
            force=result.force,
            sinks=[*sinks_of(options.image, result, goes, engine), *counting],
            platform=engines.wanted,
            goes_to=goes.elsewhere,
            measure_surface=bool(result.json or result.html or result.scan),
            by_hand=by_hand,
            canary=result.canary or "",
            profile_file=result.seccomp or "",
        )
    except pipeline.CanaryFails as error:
        without_canary, report = error, error.report
    report = counting[0].told(report) if counting else report
    write_report(report, result)
    traits = engine.info().traits
    summary(report, quiet, "" if traits.own else traits.command)
    if without_canary is not None:
        raise without_canary
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
    if result.json != "-":
        click.echo(report.result)


def _checked(options: Slim, directory: Path | None) -> tuple[Recipe, Destination, list[Trace]]:
    """The recipe, where the result goes, and the traces; UsageError for what is wrong before anything is started.

    Whatever is given in files has been read then.
    """
    must_be_apart(outputs_of_run(options.result), inputs_of_run(options.probes, options.result))
    tests = (shlex.join(options.command),) if isinstance(options, Run) and options.command else ()
    recipe = recipe_of(options.probes, options.policy, directory, tests)
    result = options.result
    goes = destination(options.image, target_of(result.tag), result.output)
    target_of(result.canary, "--canary")
    if result.seccomp and result.no_verify:
        raise UsageError("cannot prove a seccomp profile without a replay", "leave out --no-verify or --seccomp")
    for name in result.earlier:
        lockfile.read(Path(name))
    scan.counting(result.scan)
    return recipe, goes, [read_trace(name) for name in result.traces]


def must_be_possible(options: Slim, directory: Path | None = None) -> None:
    """UsageError for what the main job would end by before it starts anything."""
    _checked(options, directory)


def read_trace(name: str) -> Trace:
    """The trace in a file."""
    try:
        data = Path(name).read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the trace {name}: {error.strerror}", "`debloat record IMAGE --save-trace FILE` makes one"
        ) from error
    try:
        return trace.parse(data, name)
    except UsageError:
        from debloat.record.imports.read import is_foreign

        if tool := is_foreign(data):
            raise UsageError(
                f"cannot use the trace {name}: {tool} wrote it", f"debloat import IMAGE {name} -o FILE makes one of it"
            ) from None
        raise


def sinks_of(image: str, result: Result, goes: Destination, engine: Engine) -> Iterator[Sink]:
    """What writes the outputs of a run on an image, and remembers it."""
    yield functools.partial(runs.remember, where=image_location(image).lasting)
    if name := result.save_trace:
        yield lambda outcome: _save(Path(name), trace.dump(outcome.world.trace))
    if result.lock:
        yield lockfile.sink(Path(result.lock))
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
            from debloat.attest.statements import made_by
            from debloat.cli.attest import referrers

            beside = referrers(made_by(outcome), to)
        write(outcome.minimal.written, outcome.name, to, beside)


def write_report(report: Report, result: Result) -> None:
    """The report as JSON, where it was asked for."""
    from debloat.report import jsonreport

    if result.json == "-":
        click.echo(jsonreport.render(report))
    elif result.json:
        _save(Path(result.json), jsonreport.render(report).encode())
