"""`debloat compose SERVICE...`: minimal images of services of a stack, recorded and proven in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from debloat.cli.apart import Named, must_differ, named
from debloat.cli.engines import Engines
from debloat.cli.options import Compose, Probes, Result
from debloat.cli.outputs import filled_in, must_be_apart, named_files, sinks_of, write_report
from debloat.cli.settings import settings_of
from debloat.compose import command
from debloat.compose.document import used
from debloat.compose.line import Made, slim_stack
from debloat.compose.standin import original_name, with_images
from debloat.core import parsed
from debloat.core.errors import MinimalFails
from debloat.pipeline import Watching
from debloat.report.terminal import TerminalProgress, differences, summary, verdict_hint
from debloat.result import Sink
from debloat.store.location import ON_ENGINE

PLACE = "{service}"
"""What stands in the name of an output for the service that it is of."""


@parsed.open_cache()
def compose(options: Compose, engines: Engines) -> None:
    """Make, prove and tag; print the resulting references. MinimalFails when a service answers differently."""
    chosen = tuple(dict.fromkeys(options.services))
    _check_outputs(options, chosen)
    given = settings_of(Probes(), options.policy)
    engine = engines.connect()
    composer = command.find(engine.info())
    document = composer.document(options.files, options.profiles)
    project = _project(options.files, document.raw.get("name"))
    names = used(document, chosen, (*options.profiles, *os.environ.get("COMPOSE_PROFILES", "").split(",")))
    quiet = options.verbosity.quiet

    stack = with_images(document, names, project, composer.separator)

    def sinks(services: tuple[str, ...]) -> Iterator[Sink]:
        image = original_name(stack.services[services[0]])
        yield from sinks_of(image, _result(options, services), ON_ENGINE, engine)

    made = slim_stack(
        engine,
        composer,
        stack,
        chosen,
        project,
        given,
        TerminalProgress(quiet, options.verbosity.verbose),
        watching=Watching(options.mechanism, replay=not options.no_verify),
        force=options.force,
        sinks=sinks,
        measure_surface=bool(options.json or options.html),
    )
    for one in made:
        write_report(one.report, _result(options, one.services))
        summary(one.report, quiet, engine.info().traits.command, engines.choice)
    _complain(made)
    for one in made if options.json != "-" else ():
        click.echo(one.report.result)


def _complain(made: tuple[Made, ...]) -> None:
    failed = [one.report for one in made if not one.report.passed]
    if failed:
        which = "\n".join(differences(report.answers) for report in failed)
        raise MinimalFails(
            f"with the minimal images the stack does not answer as it did:\n{which}", verdict_hint(failed[0])
        )


def _check_outputs(options: Compose, chosen: tuple[str, ...]) -> None:
    """UsageError for outputs that would be written over each other, or cannot be written."""
    files = named_files(options)
    if len(chosen) > 1:
        must_be_apart(files, PLACE)
    written = list[Named]()
    for service in chosen:
        for key, name in filled_in(files, PLACE, service).items():
            written += named((f"--{key.replace('_', '-')}", name), streams=key == "json")
    must_differ(written, named(*(("-f", name) for name in options.files)))


def _result(options: Compose, services: tuple[str, ...]) -> Result:
    """The outputs of the image of some services, which carry the name of the first."""
    return replace(Result(), **filled_in(named_files(options), PLACE, services[0]))  # type: ignore[arg-type]


def _project(files: tuple[str, ...], said: object) -> str:
    """What Compose calls the stack of these files: what it says, or the name of the directory of the first."""
    named = str(
        said or os.environ.get("COMPOSE_PROJECT_NAME") or Path(files[0] if files else "x").resolve().parent.name
    )
    return "".join(c for c in named.lower() if c.isascii() and (c.isalnum() or c in "-_")) or "default"
