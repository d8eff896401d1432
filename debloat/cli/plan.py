"""`--dry-run`: the plan of a verb, on standard output or as JSON; nothing is started, and nothing else is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from msgspec.structs import replace

from debloat.cli.options import Result
from debloat.core.written import written_whole
from debloat.plan import Output, Plan
from debloat.store.location import Destination


def outputs_of(target: str, goes: Destination, result: Result) -> Iterator[Output]:
    """What the main job would write, if its answers agree; reports in any case."""
    if goes.tag:
        yield Output("image", target)
    if result.canary:
        yield Output("canary", result.canary)
    for what, where in (
        ("archive", result.output if goes.output else ""),
        ("lock", result.lock),
        ("trace", result.save_trace),
        ("report", result.html),
        ("attestations", result.attest),
        ("profile", result.seccomp),
    ):
        if where:
            yield Output(what, where)


def show(plan: Plan, json: str | None) -> None:
    """Write a plan: as JSON into the file that is named, `-` for standard output, else as text on standard output."""
    if json is None:
        from debloat.report import planterminal

        click.echo(planterminal.render(plan), nl=False)
        return
    from debloat.report import planjson

    if json == "-":
        click.echo(planjson.render(plan))
        return
    with written_whole(Path(json)) as draft:
        draft.write_text(planjson.render(plan) + "\n")


def built_first(plan: Plan, command: tuple[str, ...]) -> Plan:
    """The plan of an image that a command builds anew beforehand."""
    note = f"{plan.reference} is built first: this is the plan of the image as it was last built"
    return replace(plan, verb="build", commands=(command,), notes=(note, *plan.notes))
