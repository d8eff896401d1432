"""`debloat check`: the gate."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from debloat.cli.lockfile import read
from debloat.cli.settings import configuration
from debloat.core import recipe as recipes
from debloat.core.errors import GateFailed, UsageError
from debloat.core.text import printable
from debloat.engine.docker import connect
from debloat.engine.workspace import written_whole
from debloat.gate.check import Request, check, read_baseline
from debloat.gate.findings import GateReport
from debloat.gate.location import Dockerfile
from debloat.gate.rules import Severity, rules_of
from debloat.lock import format as locks
from debloat.lock.format import Lock
from debloat.report.formats import renderer
from debloat.report.terminal import TerminalProgress
from debloat.rules import parsed

_TOLD = 10


@parsed.opened()
def run(image: str | None, **given: Any) -> None:
    """Check, write the reports, and raise GateFailed where it does not pass."""
    report = report_of(image, **given)
    if not report.passed and not given["no_fail"]:
        raise refusal(report)


def report_of(image: str | None, **given: Any) -> GateReport:
    """Check and write the reports that were asked for."""
    outputs = list(_outputs(given["formats"], given["output"]))
    raw = configuration(given["config"])
    lock, lock_name = _lock(given["lock"])
    reference = image or (lock.reference if lock else "")
    if not reference:
        raise UsageError("there is no image to check", "name it: `debloat check IMAGE`")
    request = Request(
        rules_of(raw),
        lock,
        lock_name,
        recipes.recipe(raw) if raw else None,
        given["probe"],
        given["as_is"],
        read_baseline(Path(given["baseline"])) if given["baseline"] else frozenset(),
        Severity[given["fail_on"].upper()],
        _dockerfile(given["dockerfile"]),
    )
    if request.probe and request.recipe is None:
        request = _with_default_recipe(request)
    quiet = given["quiet"]
    report = check(connect(), reference, request, TerminalProgress(True if quiet else not given["verbose"]))
    _write(report, outputs, quiet)
    return report


def _with_default_recipe(request: Request) -> Request:
    from dataclasses import replace

    return replace(request, recipe=recipes.Recipe())


def refusal(report: GateReport) -> GateFailed:
    """The error that says why the gate is closed."""
    lines = [f"  {f.rule}: {printable(f.message)}" for f in report.failing[:_TOLD]]
    if len(report.failing) > _TOLD:
        lines.append(f"  and {len(report.failing) - _TOLD} more")
    hint = "look with `debloat diff`; if it is meant, write the lock again with `debloat lock` and commit it"
    return GateFailed("\n".join([f"{report.reference} does not pass:", *lines]), hint)


def _lock(named: str | None) -> tuple[Lock | None, str]:
    """The lock that is named, or the one in the working directory."""
    if named is None and not Path(locks.DEFAULT_NAME).is_file():
        return None, ""
    path = Path(named or locks.DEFAULT_NAME)
    return read(path), str(path)


def _dockerfile(named: str | None) -> Dockerfile:
    path = Path(named or "Dockerfile")
    try:
        return Dockerfile(path.as_posix(), path.read_text("utf-8", "replace"))
    except OSError as error:
        if named:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
        return Dockerfile("Dockerfile")


def _outputs(formats: Iterable[str], output: str | None) -> Iterable[tuple[str, str]]:
    """Pairs of a format and the file it goes to; `-` is standard output."""
    chosen = list(formats) or ["terminal"]
    for item in chosen:
        name, _, file = item.partition("=")
        renderer(name)
        yield name, file or (output if output and item == chosen[-1] else "-")


def _write(report: GateReport, outputs: list[tuple[str, str]], quiet: bool) -> None:
    from debloat.report import gateterminal

    for name, file in outputs:
        if file != "-":
            try:
                with written_whole(Path(file)) as draft:
                    draft.write_text(renderer(name)(report), "utf-8", "surrogateescape")
            except OSError as error:
                raise UsageError(f"cannot write {file}: {error.strerror}") from error
        elif name == "terminal":
            click.echo(gateterminal.render(report, color=sys.stdout.isatty()), nl=False)
        else:
            click.echo(renderer(name)(report), nl=False)
    if not quiet and not any(name == "terminal" for name, _ in outputs):
        click.echo(gateterminal.render(report, color=sys.stderr.isatty()), nl=False, err=True)
