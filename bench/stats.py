"""Figures of repeated runs, and tables of them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeated measurements in short: how many, their median, and the middle half's ends."""

    runs: int
    median: float
    low: float
    high: float

    def plain(self) -> dict[str, Any]:
        return {k: round(v, 4) for k, v in asdict(self).items()}

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


def spread(values: Iterable[float]) -> Spread:
    """The median of some measurements with the quartiles around it; with fewer than four, the extremes."""
    found = sorted(values)
    if not found:
        raise ValueError("nothing was measured")
    if len(found) < 4:
        return Spread(len(found), statistics.median(found), found[0], found[-1])
    low, median, high = statistics.quantiles(found, n=4, method="inclusive")
    return Spread(len(found), median, low, high)


def ratios(over: Sequence[float], under: Sequence[float]) -> Spread:
    """How many times `under` is `over`, run by run: the pairs were measured next to each other."""
    return spread(a / b for a, b in zip(over, under, strict=True) if b > 0)


def share(part: float, whole: float) -> float:
    """A part of a whole in percent; of nothing, nothing is missing."""
    return 100.0 * part / whole if whole else 0.0


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, markdown: bool = False) -> str:
    """Rows as a text table, the first column to the left and the others to the right, or as Markdown."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    if markdown:
        cells = [[cell.replace("|", "\\|") for cell in row] for row in cells]
        rule = ["---", *("---:" for _ in head[1:])]
        return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        first, *others = zip(row, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip())
    return "\n".join(lines)
