"""`debloat gc`: remove what runs that were killed left behind, and what runs keep for the next one."""

from __future__ import annotations

import click

from debloat import parsed
from debloat.engine.docker import connect
from debloat.report.text import count


def run(dry_run: bool) -> None:
    """Remove every container and pending image that carries a run's mark; say which, on stdout.

    Runs that are under way have such containers too: do not collect while one works.
    """
    engine = connect()
    found = engine.leftovers()
    for leftover in found:
        click.echo(
            f"{leftover.kind} {leftover.id.removeprefix('sha256:')[:12]} of run {leftover.run} ({leftover.name})"
        )
        if dry_run:
            continue
        if leftover.kind == "container":
            engine.remove(leftover.id)
        else:
            engine.untag(leftover.name)
    if not dry_run:
        parsed.forget()
    verb = "found" if dry_run else "removed"
    click.echo(f"{count(len(found), 'leftover')} {verb}", err=True)
