"""A fleet for people, on stderr: what is at work while it runs, and a line an image afterwards, failures first."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from debloat.core.text import count, name, saving, size
from debloat.fleet.model import FleetReport, Item, Outcome, Sharing, Status, Worker
from debloat.report.terminal import console, interactive

_WORD = max(len(status) for status in Status)
_STYLES = {
    Status.DONE: "green",
    Status.UNCHANGED: "dim",
    Status.PENDING: "dim",
    Status.REFUSED: "bold red",
    Status.DIFFERS: "bold red",
    Status.FAILED: "bold red",
}
_SHOWN = 8
"""Failures, and workers, that are shown while a run is at work."""


class _Board:
    """A run at work: failures, what each worker has, and how far it is."""

    def __init__(self, items: int) -> None:
        self._begun = time.monotonic()
        self._items = items
        self.failures: list[Outcome] = []
        self.ended = 0
        self.unchanged = 0
        self.at_work: Mapping[str, tuple[str, ...]] = {}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text in self.lines(time.monotonic() - self._begun):
            text.truncate(max(options.max_width - 1, 1), overflow="ellipsis")
            yield text

    def lines(self, seconds: float) -> Iterator[Text]:
        """The lines of the board, after so many seconds."""
        for row in self.failures[-_SHOWN:]:
            yield _row(row)
        workers = sorted(self.at_work.items())
        for worker, names in workers[:_SHOWN]:
            yield Text(f"  {name(worker)}: {', '.join(map(name, names))}", style="cyan")
        if len(workers) > _SHOWN:
            yield Text(f"  and {count(len(workers) - _SHOWN, 'more worker')}", style="dim")
        parts = [f"{self.ended} of {count(self._items, 'image')}"]
        parts += [f"{self.unchanged} unchanged"] if self.unchanged else []
        parts += [f"{len(self.failures)} failed"] if self.failures else []
        yield Text(f"  {', '.join(parts)}, {seconds:.0f} s", style="bold")


class FleetProgress:
    """Follows a run: a board on a terminal, a line for each image that ends in a pipe."""

    def __init__(self, quiet: bool = False) -> None:
        self._console = console(quiet)
        self._watched = interactive(self._console) and not quiet
        self._board = _Board(0)
        self._live: Live | None = None

    def begin(self, items: int, workers: Sequence[Worker]) -> None:
        """Say who works, and show the board."""
        engines = len({worker.engine for worker in workers})
        slots = sum(worker.slots for worker in workers)
        where = f"{count(len(workers), 'worker')} on {count(engines, 'engine')}, {slots} at a time"
        self._console.print(Text(f"  {count(items, 'image')}: {where}", style="dim"))
        self._board = _Board(items)
        if self._watched:
            self._live = Live(self._board, console=self._console, transient=True, refresh_per_second=4)
            self._live.start()

    def working(self, at_work: Mapping[str, tuple[str, ...]]) -> None:
        """Note who has what."""
        self._board.at_work = at_work

    def ended(self, outcome: Outcome) -> None:
        """Count it; in a pipe, say it."""
        board = self._board
        board.ended += 1
        board.unchanged += outcome.status is Status.UNCHANGED
        if outcome.status.bad:
            board.failures.append(outcome)
        if not self._watched and outcome.status is not Status.UNCHANGED:
            self._console.print(_row(outcome))

    def finish(self) -> None:
        """Take the board away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def summary(report: FleetReport, quiet: bool = False, state: str = "") -> None:
    """Print what came of a fleet. `state` is the directory in which logs are."""
    out = console(quiet)
    for line in lines(report, state):
        out.print(line)


def lines(report: FleetReport, state: str = "") -> Iterator[Text]:
    """The lines of the summary: each failure with what it says, the others, and what it comes to."""
    yield Text()
    well = [o for o in report.outcomes if not o.status.bad]
    for row in report.failures:
        yield _row(row)
        if row.hint:
            yield Text(f"{'':{_WORD + 4}}{name(row.hint)}", style="dim")
        if row.log and state:
            yield Text(f"{'':{_WORD + 4}}log: {name(state)}/{row.log}", style="dim")
    for row in well:
        yield _row(row)
    if report.outcomes:
        yield Text()
    counts = [f"{report.count(status)} {status}" for status in Status if report.count(status)]
    yield Text(f"  {count(len(report.outcomes), 'image')}: {', '.join(counts) or 'none'}", style="bold")
    if report.bytes_before:
        change = f"{size(report.bytes_before)} -> {size(report.bytes_after)}"
        yield Text(f"  {change}  {saving(report.bytes_after, report.bytes_before)}")
    if report.sharing is not None:
        yield Text(f"  {shared(report.sharing)}")


def shared(sharing: Sharing) -> str:
    """What shared layers bought, in a line."""
    change = f"{size(sharing.before)} -> {size(sharing.after)}  {saving(sharing.after, sharing.before)}"
    return f"layers, each once: {change}, {size(sharing.shared)} of them in {count(sharing.layers, 'shared layer')}"


def _row(row: Outcome) -> Text:
    text = Text(f"  {row.status:<{_WORD}}  ", style=_STYLES.get(row.status, "")).append(name(row.name), style="default")
    if row.status.bad:
        return text.append(f": {name(row.error)}", style="default")
    if row.target and (
        row.digest or not row.status.well
    ):  # with --share, what an image keeps is known before it is made
        text.append(" -> ", style="dim").append(name(row.target), style="default")
    if row.bytes_before >= 0 and row.bytes_after >= 0:
        change = f"  {size(row.bytes_before)} -> {size(row.bytes_after)}  {saving(row.bytes_after, row.bytes_before)}"
        text.append(change, style="default")
    if row.status is Status.DONE:
        text.append(f"  {row.seconds:.1f} s", style="dim")
    return text


def listing(items: Iterable[Item]) -> Iterator[str]:
    """The lines of a plan: what would be done with which image."""
    for item in items:
        made = f" -> {name(item.target)}" if item.target else ""
        lock = f"  (lock {name(item.lock)})" if item.lock else ""
        yield f"{item.verb} {name(item.name)}{made}  level {item.level}{lock}"
