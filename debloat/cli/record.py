"""`debloat record` and `debloat combine`: traces made here, used elsewhere."""

from __future__ import annotations

import functools
import operator
from pathlib import Path
from typing import Any

import click

from debloat import sensor
from debloat.cli.settings import recipe_of
from debloat.cli.slim import read_trace
from debloat.core.model import Trace
from debloat.engine.docker import connect
from debloat.engine.workspace import Workspace, must_be_writable, written_whole
from debloat.record import trace
from debloat.record.record import record
from debloat.record.session import Recorder
from debloat.report.terminal import TerminalProgress, console


def run(image: str, save_trace: str, **given: Any) -> None:
    """Exercise an image and save what it touched; the file's name goes to stdout."""
    recipe = recipe_of(given)
    must_be_writable(Path(save_trace))
    progress = TerminalProgress(given["quiet"], given["verbose"])
    engine = connect()
    with Workspace(engine) as workspace, progress.stage("record"):
        recorder = Recorder(sensor.binary(engine.info().architecture), given["mechanism"])
        recording = record(workspace, engine.image(image), recipe, recorder, progress.say)
    for note in recording.notes:
        console(given["quiet"]).print(f"note: {note}", markup=False)
    _save(recording.trace, save_trace)


def unite(traces: tuple[str, ...], save_trace: str) -> None:
    """Save the union of some traces."""
    _save(functools.reduce(operator.or_, map(read_trace, traces)), save_trace)


def _save(result: Trace, name: str) -> None:
    with written_whole(Path(name)) as draft:
        draft.write_bytes(trace.dump(result))
    click.echo(name)
