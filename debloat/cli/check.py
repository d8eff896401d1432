"""`debloat check`: the gate."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from debloat.cli.apart import STDOUT, Named, must_differ, named
from debloat.cli.engines import Engines
from debloat.cli.lockfile import read
from debloat.cli.options import Check
from debloat.cli.settings import configuration
from debloat.core import parsed
from debloat.core.errors import GateFailed, UsageError
from debloat.core.recipe import Settings, recipe
from debloat.core.text import printable
from debloat.core.written import written_whole
from debloat.gate import check as gate
from debloat.gate.check import CheckInputs, read_baseline
from debloat.gate.findings import GateReport
from debloat.gate.location import Dockerfile
from debloat.gate.rules import Severity, rules_of
from debloat.lock import format as locks
from debloat.lock.format import Lock
from debloat.record.concrete import must_be_usable
from debloat.report.formats import renderer
from debloat.report.terminal import TerminalProgress

_SHOWN = 10


def check(options: Check, engines: Engines) -> None:
    """Check, write the reports, and raise GateFailed where it does not pass."""
    report = report_of(options, engines)
    if not report.passed and not options.no_fail:
        raise refusal(report)


@parsed.open_cache()
def report_of(options: Check, engines: Engines) -> GateReport:
    """Check and write the reports that were asked for."""
    outputs = list(_outputs(options.formats, options.output))
    read = named(("--lock", options.lock), ("-c", options.config), ("--baseline", options.baseline))
    must_differ(_written(outputs, options.output), (*read, *named(("--dockerfile", options.dockerfile))))
    settings = configuration(options.config)
    lock, lock_name = _lock(options.lock)
    reference = options.image or (lock.reference if lock else "")
    if not reference:
        raise UsageError("there is no image to check", "name it: `debloat check IMAGE`")
    # Without a configuration there is no recipe to hold against the lock's, only one to probe by.
    has_recipe = settings != Settings() or options.probe
    asked = recipe(settings) if has_recipe else None
    if asked is not None and options.probe:
        must_be_usable(asked)
    inputs = CheckInputs(
        rules_of(settings),
        lock,
        lock_name,
        asked,
        options.probe,
        options.as_is,
        read_baseline(Path(options.baseline)) if options.baseline else frozenset(),
        Severity[options.fail_on.upper()],
        _dockerfile(options.dockerfile),
    )
    quiet = options.verbosity.quiet
    progress = TerminalProgress(quiet or not options.verbosity.verbose)
    engine = engines.connect() if options.probe else engines.for_image(reference)
    report = gate.check(engine, reference, inputs, progress, engines.wanted)
    _write(report, outputs, quiet)
    return report


def refusal(report: GateReport) -> GateFailed:
    """The error that says why the gate is closed."""
    lines = [f"  {f.rule}: {printable(f.message)}" for f in report.failing[:_SHOWN]]
    if len(report.failing) > _SHOWN:
        lines.append(f"  and {len(report.failing) - _SHOWN} more")
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
            raise UsageError(f"cannot read {path}: {error.strerror}", "name a file that can be read") from error
        return Dockerfile("Dockerfile")


def _outputs(formats: Iterable[str], output: str | None) -> Iterable[tuple[str, str]]:
    """Pairs of a format and the file it goes to; `-` is standard output."""
    chosen = list(formats) or ["terminal"]
    if output and "=" in chosen[-1]:
        raise UsageError(
            f"--output {output} does nothing: the last format goes to {chosen[-1].partition('=')[2]}",
            "leave out one of the two",
        )
    for item in chosen:
        name, _, file = item.partition("=")
        renderer(name)
        yield name, file or (output if output and item == chosen[-1] else "-")


def _written(outputs: Iterable[tuple[str, str]], output: str | None) -> Iterator[Named]:
    """Those that go to files: the terminal's is told beside another on standard output."""
    for name, file in outputs:
        if file != STDOUT:
            yield Named("--output" if file == output else f"--format {name} to", file)


def _write(report: GateReport, outputs: list[tuple[str, str]], quiet: bool) -> None:
    from debloat.report import gateterminal

    for name, file in outputs:
        if file != "-":
            with written_whole(Path(file)) as draft:
                draft.write_text(renderer(name)(report), "utf-8", "surrogateescape")
        elif name == "terminal":
            click.echo(gateterminal.render(report, color=sys.stdout.isatty()), nl=False)
        else:
            click.echo(renderer(name)(report), nl=False)
    if not quiet and not any(name == "terminal" for name, _ in outputs):
        click.echo(gateterminal.render(report, color=sys.stderr.isatty()), nl=False, err=True)
