"""Tables and trees on standard output, for `inspect` and `diff`: Rich lays them out, and no name in them is markup."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from msgspec import Struct
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from debloat.core.text import name

T = TypeVar("T")

_WIDE = 10**6
"""The width of a pipe: nothing is cut to fit it."""
_BAR = 12


class Column(Struct, frozen=True):
    """A column of a table: its head, and whether it holds figures, or a share of 1 that is drawn as a bar."""

    title: str
    figures: bool = False
    bar: bool = False


Cell = str | float
Row = Sequence[Cell]


def console(width: int | None = None) -> Console:
    """A console on standard output that interprets nothing of what it is given as `Text`."""
    out = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=width)
    if width is None and not out.is_terminal:
        return console(_WIDE)
    return out


def show(parts: Iterable[RenderableType]) -> None:
    """Print what renderers give; in a pipe without the blanks that fill a table's last column."""
    out = console()
    for part in parts:
        if out.is_terminal:
            out.print(part)
            continue
        with out.capture() as captured:
            out.print(part)
        sys.stdout.write("".join(f"{row.rstrip(' ')}\n" for row in captured.get().split("\n")[:-1]))


def line(text: str, style: str = "") -> Text:
    """A line, inert."""
    return Text(name(text), style=style)


def section(title: str, about: str = "") -> Text:
    """The head of a section, after an empty line."""
    text = Text("\n").append(title, style="bold")
    return text.append(f"  {about}", style="dim") if about else text


def table(columns: Sequence[Column], rows: Sequence[Row], limit: int) -> Iterable[RenderableType]:
    """A table of the first `limit` rows (0: all), and a line that says how many more there are."""
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    found.add_column("")  # the margin
    for column in columns:
        right = column.figures and not column.bar
        found.add_column(column.title, justify="right" if right else "left", overflow="fold", no_wrap=right)
    for row in rows[: limit or len(rows)]:
        cells = (_cell(column, cell) for column, cell in zip(columns, row, strict=True))
        found.add_row("", *cells)
    yield found
    if limit and len(rows) > limit:
        yield Text(f"  ... and {len(rows) - limit:,} more (--limit 0)", style="dim")


def _cell(column: Column, cell: Cell) -> Text:
    if column.bar and isinstance(cell, float):
        filled = round(_BAR * min(max(cell, 0), 1))
        return Text("█" * filled, style="green").append("·" * (_BAR - filled), style="dim")
    return Text(name(str(cell)))


def ordered(items: Iterable[T], sort: str, keys: Callable[[T], tuple[int, int, str]]) -> list[T]:
    """Items by size or files, the most first, or by name; `keys` gives all three of one."""

    def rank(item: T) -> tuple[int, str]:
        size, files, title = keys(item)
        return {"size": -size, "files": -files, "name": 0}[sort], title

    return sorted(items, key=rank)
