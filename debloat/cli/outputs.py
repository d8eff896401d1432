"""What a run writes: its sinks, and the report when it has ended."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from debloat.cli import runs, tracefile
from debloat.cli.shared import Result
from debloat.core.errors import UsageError
from debloat.core.written import written_whole
from debloat.engine.base import Engine
from debloat.image.oci import Referrer
from debloat.result import Outcome, Report, Sink
from debloat.store.location import Destination, Location, image_location


def sinks_of(image: str, result: Result, goes: Destination, engine: Engine) -> Iterator[Sink]:
    """What writes the outputs of a run on an image, and remembers it."""
    yield functools.partial(runs.remember, where=image_location(image).lasting)
    if name := result.save_trace:
        yield lambda outcome: tracefile.save(outcome.world.trace, Path(name))
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
        from debloat.store.write import write

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


FILES = ("lock", "json", "html", "save_trace")
"""Options that name a file about an image."""


def named_files(options: object) -> dict[str, str]:
    """The files that options name, by the names of the options."""
    return {key: name for key in FILES if (name := getattr(options, key, None))}


def must_be_apart(files: Mapping[str, str], place: str) -> None:
    """UsageError for files that each of several images would write; `place` stands in a name for which it is of."""
    for key, name in files.items():
        if place not in name:
            flag = f"--{key.replace('_', '-')}"
            raise UsageError(
                f"{flag} {name} would be written once for each {place.strip('{}')}",
                f"write {flag} with {place} in the name",
            )


def filled_in(files: Mapping[str, str], place: str, word: str) -> dict[str, str]:
    """The files of one of them."""
    return {key: name.replace(place, word) for key, name in files.items()}
