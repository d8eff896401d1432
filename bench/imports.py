"""Import: what loading the command line costs, beside loading click, which it cannot do without.

Loading is most of what `debloat --help` takes, and what every push waits for (`debloat hook run`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench import store
from bench.stats import ratios, spread, table

CLICK, COMMAND_LINE = "import click", "import debloat.cli.main"
RATIO_MOST = 1.6
PAIRS = 8
"""Pairs of processes for each run asked for: one takes a tenth of a second."""

Say = Callable[[str], None]


def run(say: Say, *, runs: int = 5) -> dict[str, Any]:
    """Load both in turns, in a new interpreter each time; the first pair is not counted, it compiles."""
    seconds: dict[str, list[float]] = {CLICK: [], COMMAND_LINE: []}
    for statement in seconds:
        _loaded(statement)
    for number in range(runs * PAIRS):
        for statement in (CLICK, COMMAND_LINE) if number % 2 else (COMMAND_LINE, CLICK):
            seconds[statement].append(_loaded(statement))
    result = store.result(
        "import",
        click=spread(seconds[CLICK]).plain(),
        command_line=spread(seconds[COMMAND_LINE]).plain(),
        ratio=ratios(seconds[COMMAND_LINE], seconds[CLICK]).plain(),
    )
    say(f"import: {result['ratio']['median']:.2f} times click's")
    return result


def _loaded(statement: str) -> float:
    """Seconds of the processors that a new interpreter takes for a statement, from its start to its end."""
    child = subprocess.Popen([sys.executable, "-c", statement], cwd=store.ROOT)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise ValueError(f"{statement!r} ended with {child.returncode}")
    return used.ru_utime + used.ru_stime


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    return [("loading the command line over click", result["ratio"]["median"], RATIO_MOST)]


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    rows = [
        (f"`{statement}`" if markdown else statement, f"{1000 * result[key]['median']:.0f} ms", ratio)
        for statement, key, ratio in (
            (CLICK, "click", ""),
            (COMMAND_LINE, "command_line", f"{result['ratio']['median']:.2f}"),
        )
    ]
    return table(("python -c", "CPU", "over click"), rows, markdown=markdown)
