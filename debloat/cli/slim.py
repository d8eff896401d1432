"""`debloat IMAGE`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from debloat.cli import runs
from debloat.cli.settings import recipe_of, target_of
from debloat.core.errors import MinimalFails, UsageError
from debloat.core.model import Trace
from debloat.engine.docker import connect
from debloat.engine.workspace import must_be_writable, written_whole
from debloat.image import carve
from debloat.pipeline import Made, Sink, slim
from debloat.record import trace
from debloat.report.terminal import TerminalProgress, differences, summary, verdict_hint
from debloat.result import Report
from debloat.rules import parsed


@parsed.opened()
def run(image: str, directory: Path | None = None, **given: Any) -> None:
    """Make, prove and tag; print the resulting reference. MinimalFails when it answers differently."""
    recipe = recipe_of(given, directory)
    target = target_of(given["tag"])
    for name in ("save_trace", "lock", "output", "json_", "html"):
        if given[name] and (name, given[name]) != ("json_", "-"):
            must_be_writable(Path(given[name]))
    progress = TerminalProgress(given["quiet"], given["verbose"])
    report = slim(
        connect(),
        image,
        recipe,
        progress,
        target=target,
        traces=[read_trace(name) for name in given["traces"]],
        mechanism=given["mechanism"],
        verify=not given["no_verify"],
        force=given["force"],
        sinks=list(_sinks(given)),
    )
    write_reports(report, given)
    summary(report, given["quiet"])
    if not report.passed:
        raise MinimalFails(
            f"the minimal image does not answer as the original does:\n{differences(report)}", verdict_hint(report)
        )
    if given["json_"] != "-":
        click.echo(report.result)


def read_trace(name: str) -> Trace:
    """The trace in a file."""
    try:
        return trace.parse(Path(name).read_bytes(), name)
    except OSError as error:
        raise UsageError(f"cannot read the trace {name}: {error.strerror}") from error


def _sinks(given: dict[str, Any]) -> list[Sink]:
    sinks: list[Sink] = [runs.remember]
    if given["save_trace"]:
        sinks.append(lambda made: _save(given["save_trace"], trace.dump(made.world.trace)))
    if given["lock"]:
        from debloat.cli.lockfile import sink

        sinks.append(sink(Path(given["lock"])))
    if given["output"]:
        sinks.append(lambda made: _archive(made, Path(given["output"])))
    return sinks


def _save(name: str, data: bytes) -> None:
    with written_whole(Path(name)) as draft:
        draft.write_bytes(data)


def _archive(made: Made, path: Path) -> None:
    if not made.report.result:
        return
    minimal = made.minimal
    with written_whole(path) as draft, draft.open("wb") as out:
        for piece in carve.archive(minimal.config, minimal.layer, minimal.layer_file, [made.report.result]):
            out.write(piece)


def write_reports(report: Report, given: dict[str, Any]) -> None:
    """The reports that were asked for."""
    from debloat.report import jsonreport

    if given["json_"] == "-":
        click.echo(jsonreport.render(report))
    elif given["json_"]:
        _save(given["json_"], jsonreport.render(report).encode())
    if given["html"]:
        from debloat.report import html

        _save(given["html"], html.render(report).encode())
