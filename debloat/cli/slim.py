"""`debloat IMAGE`: the main job."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct
from msgspec.structs import replace

from debloat import pipeline, steps
from debloat.cli import scan, tracefile
from debloat.cli.apart import inputs_of_run, must_differ, outputs_of_run
from debloat.cli.engines import Engines
from debloat.cli.following import progress
from debloat.cli.options import Lock, Result, Run, Slim
from debloat.cli.outputs import sinks_of, write_report
from debloat.cli.settings import recipe_of, target_of
from debloat.core import parsed
from debloat.core.errors import MinimalFails, UsageError
from debloat.core.recipe import Recipe
from debloat.pipeline import Watching
from debloat.record.session import ByHand
from debloat.result import Report, Sink
from debloat.steps import Step
from debloat.store.location import Destination, destination, image_location

if TYPE_CHECKING:
    from debloat.plan import Plan


def slim(options: Slim, engines: Engines, directory: Path | None = None, by_hand: ByHand | None = None) -> None:
    """Make, prove and tag; print the resulting reference. MinimalFails when it answers differently.

    The configuration is looked for in `directory`, by default the working directory. With `dry_run`, print the plan.
    `by_hand` lets somebody use the recorded container.
    """
    if options.result.dry_run:
        from debloat.cli.plan import show

        show(plan(options, engines, directory), options.result.json)
    else:
        report = make(options, engines, directory, by_hand)
        if options.result.json != "-":
            click.echo(report.result)


def plan(options: Slim, engines: Engines, directory: Path | None = None) -> Plan:
    """What would be done. The errors are those that doing it would begin with."""
    from debloat.cli.plan import outputs_of
    from debloat.plan import plan_run

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
def make(
    options: Slim,
    engines: Engines,
    directory: Path | None = None,
    by_hand: ByHand | None = None,
    take: Sink | None = None,
) -> Report:
    """Make and prove one image, write what was asked for and show the report. MinimalFails when it answers differently.

    Where the result goes elsewhere, `take` gets it in place of that.
    """
    asked = must_be_possible(options, directory) if take is None else _checked(options, directory)
    written = asked.goes if take is None else replace(asked.goes, output=None)
    result, quiet = options.result, options.verbosity.quiet
    engine = engines.connect()
    counting = scan.counting(result.scan)
    report = pipeline.slim(
        engine,
        image_location(options.image, engines.wanted),
        asked.recipe,
        progress(quiet, options.verbosity.verbose),
        watching=replace(asked.watching, by_hand=by_hand),
        destination=asked.goes,
        force=result.force,
        steps=tuple(steps_of(result)),
        sinks=[*sinks_of(options.image, result, written, engine), *([take] if take else ()), *counting],
        measure_surface=bool(result.json or result.html or result.scan),
    )
    report = counting[0].told(report) if counting else report
    write_report(report, result)
    if not quiet:
        from debloat.report.terminal import summary

        traits = engine.info().traits
        elsewhere = asked.goes.elsewhere
        command, choice = "" if traits.own or elsewhere else traits.command, "" if elsewhere else engines.choice
        summary(report, command=command, choice=choice)
    _complain(report)
    return report


def _complain(report: Report) -> None:
    """MinimalFails where something that was made answers differently."""
    if report.canary is not None and not report.canary.passed:
        from debloat.canary import failure

        raise failure(report.canary)
    if report.passed and (report.seccomp is None or report.seccomp.passed):
        return
    from debloat.report.terminal import differences, verdict_hint

    if not report.passed or report.seccomp is None:
        raise MinimalFails(
            f"the minimal image does not answer as the original does:\n{differences(report.answers)}",
            verdict_hint(report),
        )
    raise MinimalFails(
        "under its seccomp profile the minimal image does not answer as the original does:\n"
        f"{differences(report.seccomp.answers)}",
        "the profile was not written, the image is proven without it; run it again with more probes, or report it",
    )


class _Asked(Struct, frozen=True):
    """What the options and the configuration say."""

    recipe: Recipe
    goes: Destination
    watching: Watching


def _checked(options: Slim, directory: Path | None) -> _Asked:
    """What is asked for; UsageError for what is wrong before anything is started.

    Whatever is given in files has been read then.
    """
    must_differ(outputs_of_run(options.result), inputs_of_run(options.probes, options.result))
    tests = (shlex.join(options.command),) if isinstance(options, Run) and options.command else ()
    recipe = recipe_of(options.probes, options.policy, directory, tests)
    result = options.result
    goes = destination(options.image, target_of(result.tag), result.output)
    target_of(goes.name, "--output")
    target_of(result.canary, "--canary")
    if goes.output is not None:
        from debloat.store.write import must_take

        must_take(goes.output)
    if result.seccomp and result.no_verify:
        raise UsageError("cannot prove a seccomp profile without a replay", "leave out --no-verify or --seccomp")
    if result.earlier:
        from debloat.cli import lockfile

        for name in result.earlier:
            lockfile.read(Path(name))
    scan.counting(result.scan)
    traces = tuple(map(tracefile.read, result.traces))
    return _Asked(recipe, goes, Watching(options.probes.mechanism, traces=traces, replay=not result.no_verify))


def must_be_possible(options: Slim, directory: Path | None = None) -> _Asked:
    """As `_checked`; StoreError too where a registry that the result goes to does not take it."""
    asked = _checked(options, directory)
    if asked.goes.output is not None:
        from debloat.store.write import must_accept

        must_accept(asked.goes.output)
    return asked


def steps_of(result: Result) -> Iterator[Step]:
    """What more is made of a proven image."""
    if result.seccomp:
        yield steps.Profile(result.seccomp)
    if result.canary:
        yield steps.Canary(result.canary)
