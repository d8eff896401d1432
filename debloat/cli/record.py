"""`debloat record` and `debloat combine`: traces as files, to be used elsewhere."""

from __future__ import annotations

import functools
import operator
from pathlib import Path

import click

from debloat import sensor
from debloat.cli import tracefile
from debloat.cli.apart import inputs_of, must_differ, named
from debloat.cli.engines import Engines
from debloat.cli.options import Combine, Record
from debloat.cli.pause import pause
from debloat.cli.settings import recipe_of
from debloat.core.model import Trace
from debloat.engine.workspace import Workspace
from debloat.record.record import record as recording_of
from debloat.record.session import Recorder
from debloat.report.terminal import TerminalProgress, console
from debloat.store.location import image_location
from debloat.store.source import opened


def record(options: Record, engines: Engines) -> None:
    """Exercise an image and save what it touched; the file's name goes to stdout."""
    must_differ(named(("--save-trace", options.save_trace)), inputs_of(options.probes))
    recipe = recipe_of(options.probes)
    progress = TerminalProgress(options.verbosity.quiet, options.verbosity.verbose)
    engine = engines.connect()
    by_hand = pause if options.pause else None
    with Workspace(engine) as workspace, progress.stage("record"):
        recorder = Recorder(sensor.binary(engine.info().architecture), options.probes.mechanism, by_hand)
        with opened(workspace, image_location(options.image, engines.wanted)) as source:
            recording = recording_of(workspace, source.runnable(), recipe, recorder, progress.say)
    for note in recording.notes:
        console(options.verbosity.quiet).print(f"note: {note}", markup=False)
    save(recording.trace, options.save_trace)


def combine(options: Combine, engines: Engines) -> None:
    """Save the union of some traces."""
    must_differ(named(("--save-trace", options.save_trace)))
    save(functools.reduce(operator.or_, map(tracefile.read, options.traces)), options.save_trace)


def save(result: Trace, name: str) -> None:
    """Write a trace, and print the file's name."""
    tracefile.save(result, Path(name))
    click.echo(name)
