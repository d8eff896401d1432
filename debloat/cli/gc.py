"""`debloat gc`: remove what runs that were killed left behind, and what runs keep for the next one."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from debloat.cli.engines import Engines
from debloat.cli.options import Gc
from debloat.core import parsed
from debloat.core.errors import EngineUnavailable
from debloat.core.text import count
from debloat.core.text import name as printable
from debloat.engine.base import Engine, Leftover
from debloat.engine.run_id import Life, life, owner
from debloat.engine.workspace import SCRATCH, discard


def gc(options: Gc, engines: Engines) -> None:
    """Remove the containers, networks, volumes, unproven images and scratch directories of runs that have ended.

    What went is said on stdout.
    What runs keep of parsed sources goes too.
    Those of runs under way stay, and of runs on other machines until a day has passed; `all` takes these too.
    """
    engine = engines.connect()
    spared: Counter[Life] = Counter()
    taken: list[Leftover] = []
    for leftover in _leftovers(engine):
        state = life(leftover.run)
        if state is Life.ALIVE or (state is Life.UNKNOWN and not options.all):
            spared[state] += 1
            continue
        taken.append(leftover)
        short = leftover.id.removeprefix("sha256:")[:12]
        click.echo(f"{leftover.kind} {short} of run {printable(leftover.run)} ({printable(leftover.name)})")
        if not options.dry_run:
            _remove(engine, leftover)
    if options.dry_run:
        click.echo(f"{count(len(taken), 'leftover')} found", err=True)
    else:
        parsed.clear_cache()
        if emptied := engine.empty():
            click.echo(f"{count(emptied, 'image')} that can be had again removed", err=True)
        remaining = set(taken) & set(_leftovers(engine))
        click.echo(f"{count(len(taken) - len(remaining), 'leftover')} removed", err=True)
        if remaining:
            names = ", ".join(sorted(printable(leftover.name) for leftover in remaining))
            raise EngineUnavailable(f"cannot remove {names}: still there after the engine was asked to", "see its log")
    for state, number in sorted(spared.items(), key=lambda item: item[0].value):
        advice = "; --all takes them too" if state is Life.UNKNOWN else ""
        click.echo(f"{count(number, 'thing')} {state.value}: not touched{advice}", err=True)


def _leftovers(engine: Engine) -> tuple[Leftover, ...]:
    return (*engine.leftovers(), *_directories())


def _remove(engine: Engine, leftover: Leftover) -> None:
    if leftover.kind == "directory":
        shutil.rmtree(leftover.name, ignore_errors=True)
    else:
        discard(engine, leftover)


def _directories() -> Iterator[Leftover]:
    """Scratch directories in this machine's place for temporary files."""
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{SCRATCH}*")):
        run = path.name.removeprefix(SCRATCH).rpartition("-")[0]
        if owner(run) and path.is_dir() and not path.is_symlink():
            yield Leftover("directory", path.name.rpartition("-")[2], run, str(path))
