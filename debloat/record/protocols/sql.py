"""What conversations in SQL have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from debloat.record.protocols.base import Transcript

UNSTABLE = "-- "
"""Begins a statement of which it counts only that it is answered, or with which error."""


def statements(said: Transcript, run: Callable[[str], object], lines: Iterable[str]) -> None:
    """Each statement, one after the other; its rows are written down as they come."""
    for line in lines:
        if line.startswith(UNSTABLE):
            said.ask(line, lambda line=line: bool(run(line.removeprefix(UNSTABLE))) or "done")  # type: ignore[misc]
        else:
            said.ask(line, lambda line=line: run(line))  # type: ignore[misc]
