"""`debloat fleet`: many images with one command."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import asdict

from debloat import __version__
from debloat.cli.apart import must_differ, named, tell
from debloat.cli.engines import Engines
from debloat.cli.fleetoptions import FleetCheck, FleetPlan, FleetRun, FleetStatus, FleetWork, Said
from debloat.core import parsed
from debloat.core.errors import Interrupted, UsageError
from debloat.core.progress import Progress, Silent
from debloat.core.signals import end_with_parent
from debloat.core.written import written_whole
from debloat.fleet import config
from debloat.fleet import run as running
from debloat.fleet.executor import Executor
from debloat.fleet.ledger import DIRECTORY, Ledger
from debloat.fleet.model import FleetReport, Verb
from debloat.fleet.plan import plan as planned
from debloat.report import fleetjson

if TYPE_CHECKING:
    from debloat.fleet.config import FleetFile
    from debloat.fleet.work import Means
    from debloat.gate.findings import GateReport
    from debloat.lock.apply import Applied
    from debloat.result import Report

TOOL = f"debloat {__version__}"


def do(options: FleetCheck, engines: Engines, verb: Verb) -> None:
    """Do it with all images; print the names of the results. The exit code is the report's."""
    from debloat.report import fleetterminal

    _must_take(options.said, options.file)
    fleet = config.read(Path(options.file))
    ledger = _ledger(fleet, options.which.state)
    executor = executor_of(options, engines)
    quiet = options.verbosity.quiet
    try:
        items = planned(fleet, verb, __version__, executor.names, options.which.only)
        progress = fleetterminal.FleetProgress(quiet)
        if isinstance(options, FleetRun) and options.share:
            from debloat.fleet.sharing import run_shared

            report = run_shared(fleet.path, items, verb, executor, ledger, progress, TOOL, most=options.layers)
        else:
            report = running.run(fleet.path, items, verb, executor, ledger, progress, TOOL)
    finally:
        executor.close()
    fleetterminal.summary(report, quiet, str(ledger.directory))
    _write(report, options.said)
    if "-" not in _places(options.said):
        for outcome in report.outcomes:
            if outcome.status.well and outcome.target:
                click.echo(outcome.target)
    raise click.exceptions.Exit(report.exit_code)


def executor_of(options: FleetCheck, engines: Engines) -> Executor:
    """Who carries out the items; nothing is connected to yet."""
    platform = str(engines.wanted) if engines.wanted else ""
    if options.scheduler:
        if options.where.on.engine or options.jobs:
            raise UsageError(
                "cannot choose an engine or a number of jobs for a cluster: each worker has its own",
                "set DEBLOAT_ENGINE where workers are started; `dask worker --nthreads N` has N at a time",
            )
        from debloat.fleet.cluster import DaskExecutor

        return DaskExecutor(options.scheduler, __version__, platform)
    from debloat.fleet import work
    from debloat.fleet.child import Children
    from debloat.fleet.local import LocalExecutor

    means = means_of(engines, Silent())
    children = Children(engine=engines.choice)
    return LocalExecutor(
        options.jobs,
        lambda request: work.answer(request, means),
        lambda task: children.perform(task, platform),
        children.end,
    )


def means_of(engines: Engines, progress: Progress) -> Means:
    """What a worker has, of one call of the command line."""
    from debloat.cli import runs
    from debloat.fleet.work import Means

    return Means(engines.connect, progress, render, runs.remember, engines.wanted)


def render(report: Report | Applied | GateReport) -> str:
    """What is kept of an item: the JSON of the verb that does the same for one image."""
    from debloat.cli import apply
    from debloat.lock.apply import Applied
    from debloat.report import gatejson, jsonreport
    from debloat.result import Report

    if isinstance(report, Report):
        return jsonreport.render(report)
    return json.dumps(apply.document(report), indent=2) if isinstance(report, Applied) else gatejson.render(report)


def status(options: FleetStatus) -> None:
    """What was done, by the ledger alone: no engine is asked."""
    from debloat.report import fleetterminal

    _must_take(options.said, options.file)
    fleet, verb = config.read(Path(options.file)), Verb(options.verb)
    ledger = _ledger(fleet, options.which.state)
    rows = [row for _, row in ledger.rows()]
    items = planned(fleet, verb, __version__, ledger.names, options.which.only, as_known=True)
    outcomes = tuple(running.standing(items, rows))
    report = FleetReport(TOOL, verb, str(fleet.path), "", (), outcomes)
    if "-" not in _places(options.said):
        fleetterminal.summary(report, state=str(ledger.directory))
    _write(report, options.said)


def plan(options: FleetPlan, engines: Engines) -> None:
    """Print what would be done, or what has others do it; nothing is started."""
    from debloat.report import fleetmatrix, fleetterminal

    must_differ(named(("--output", options.output), streams=True), named(("the fleet", options.file)))
    fleet = config.read(Path(options.file))
    items = planned(fleet, Verb(options.verb), __version__, lambda: engines.connect().image_names(), options.only)
    if options.format == "github":
        text = fleetmatrix.github(items, options.file)
    elif options.format == "gitlab":
        text = fleetmatrix.gitlab(items, options.file, options.image or "")
    elif options.format == "kubernetes":
        from debloat.report import fleetjobs

        if not options.image:
            raise UsageError("cannot plan Jobs without an image that has debloat in it", "name one with --image IMAGE")
        fleetjobs.must_outlive_pods(items)
        text = fleetjobs.kubernetes((running.task_of(item, {}) for item in items), options.image, __version__)
    else:
        text = "\n".join(fleetterminal.listing(items))
    tell(f"{text}\n", options.output)


@parsed.open_cache()
def work(options: FleetWork, engines: Engines) -> None:
    """Carry out a task: the answer goes to whoever sent it on standard input; of one in a file, the row is printed."""
    from debloat.fleet import work as working
    from debloat.report.terminal import TerminalProgress

    request = _request(options.task)
    if "parent" in request and not end_with_parent(int(request["parent"])):
        raise Interrupted("whoever asked has ended")
    engines.platform = request.get("platform") or ""
    answer = working.answer(request, means_of(engines, TerminalProgress(verbose=True)))
    if options.task is None:
        click.echo(working.as_text(answer))
        return
    outcome = working.unpacked(answer).outcome
    click.echo(json.dumps(asdict(outcome), indent=2))
    if outcome.error:
        click.echo(f"debloat: {outcome.error}", err=True)
    raise click.exceptions.Exit(outcome.exit_code)


def _request(path: str | None) -> dict[str, Any]:
    where = path or "standard input"
    try:
        text = Path(path).read_text("utf-8") if path else sys.stdin.read()
        request = json.loads(text)
        if not isinstance(request, dict) or not isinstance(request.get("ask"), str):
            raise ValueError("it holds no request")
        return request
    except OSError as error:
        raise UsageError(f"cannot read {where}: {error.strerror}", "`debloat fleet plan` makes tasks") from error
    except ValueError as error:
        raise UsageError(f"cannot use {where}: {error}", "`debloat fleet plan` makes tasks") from error


def _ledger(fleet: FleetFile, state: str | None) -> Ledger:
    return Ledger(Path(os.path.relpath(state or fleet.directory / DIRECTORY)))


def _must_take(said: Said, file: str) -> None:
    """UsageError, before any work, where a report could not be written."""
    places = (("--json", said.json), ("--html", said.html), ("--metrics", said.metrics))
    must_differ(named(*places, streams=True), named(("the fleet", file)))


def _places(said: Said) -> list[str]:
    return [where for where in (said.json, said.html, said.metrics) if where]


def _write(report: FleetReport, said: Said) -> None:
    from debloat.report import fleethtml, openmetrics

    forms = ((said.json, fleetjson.render), (said.html, fleethtml.render), (said.metrics, openmetrics.render))
    for where, render in forms:
        text = render(report) if where else ""
        if where == "-":
            click.echo(text.rstrip("\n"))
        elif where:
            with written_whole(Path(where)) as draft:
                draft.write_text(text.rstrip("\n") + "\n", "utf-8")
