"""The summary that a person reads, and live progress; both on stderr."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from debloat.footprint import Footprint
from debloat.progress import Progress, Stage
from debloat.report.model import Report
from debloat.report.text import count, name, percent, size

_SHOWN = 6
"""Names listed of a long list before it is cut with a count."""


def console(quiet: bool = False) -> Console:
    """A console on stderr that never interprets markup in what it is given as `Text`."""
    return Console(file=sys.stderr, highlight=False, quiet=quiet, soft_wrap=True)


class TerminalProgress(Progress):
    """Stages as they happen: a spinner on a terminal, plain lines in a pipe."""

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        super().__init__()
        self._console = console(quiet)
        self._verbose = verbose
        self._live: Live | None = None

    def begin(self, name: str) -> None:
        if self._console.is_terminal:
            self._live = Live(Spinner("dots", Text(f" {name}")), console=self._console, transient=True)
            self._live.start()

    def end(self, stage: Stage) -> None:
        self.close()
        if self._console.is_terminal or self._verbose or stage.seconds >= 0.05:
            self._console.print(Text(f"  {stage.name:<16} {stage.seconds:6.2f} s", style="dim"))

    def say(self, text: str) -> None:
        if self._live is not None:
            self._live.update(Spinner("dots", Text(f" {name(text)}")))
        if self._verbose or not self._console.is_terminal:
            self._console.print(Text(f"  {name(text)}", style="dim"))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None


def summary(report: Report, quiet: bool = False) -> None:
    """Print the summary of a finished run."""
    out = console(quiet)
    out.print()
    out.print(_sizes(report))
    out.print(_packages(report))
    for title, attribute in (
        ("setuid/setgid", "setuid"),
        ("shells", "shells"),
        ("package managers", "package_managers"),
        ("writable by all", "world_writable"),
    ):
        out.print(_list(title, report.before, report.after, attribute))
    if report.answers:
        out.print()
        out.print(_answers(report))
    for path in report.healed[:_SHOWN]:
        out.print(Text(f"  healed  {name(path.path)}", style="yellow"))
    for note in report.notes:
        out.print(Text(f"  note    {name(note)}", style="yellow"))
    out.print()
    stages = ", ".join(f"{s.name} {s.seconds:.2f} s" for s in report.stages)
    out.print(Text(f"  {stages}", style="dim"))
    if report.result:
        out.print(Text(f"  next: docker run {report.result}   |   debloat why {report.result} PATH", style="dim"))


def _sizes(report: Report) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=True)
    for column in ("", report.reference, report.result or "(not tagged)", ""):
        table.add_column(Text(column), justify="right" if table.columns else "left", overflow="fold")
    before, after = report.before, report.after
    rows: list[tuple[str, str, str, str]] = [
        ("bytes of files", size(before.bytes), size(after.bytes), percent(after.bytes, before.bytes)),
        ("files", f"{before.files:,}", f"{after.files:,}", percent(after.files, before.files)),
        ("packages", str(before.packages), str(after.packages), percent(after.packages, before.packages)),
    ]
    for row in rows:
        table.add_row(*row)
    return table


def _packages(report: Report) -> Text:
    states = [p.state for p in report.packages]
    kept, partly, gone = (states.count(s) for s in ("kept", "partly", "gone"))
    return Text(f"  packages: {kept} kept whole, {partly} in part, {gone} gone; level {report.level}")


def _list(title: str, before: Footprint, after: Footprint, attribute: str) -> Text:
    was, now = getattr(before, attribute), getattr(after, attribute)
    shown = ", ".join(map(name, now[:_SHOWN])) + (f" and {len(now) - _SHOWN} more" if len(now) > _SHOWN else "")
    return Text(f"  {title}: {len(was)} -> {len(now)}" + (f"  ({shown})" if now else ""))


def _answers(report: Report) -> Table:
    table = Table(box=None, padding=(0, 2))
    for column in ("probe", "before", "after", ""):
        table.add_column(column)
    several = len({a.scenario for a in report.answers}) > 1
    for answer in report.answers:
        label = f"{answer.scenario}: {answer.before.name}" if several else answer.before.name
        if answer.difference:
            verdict = Text(f"differs: {name(answer.difference)}", style="bold red")
        else:
            verdict = Text("same" if not answer.note else name(answer.note), style="green")
        table.add_row(Text(name(label)), answer.before.outcome(), answer.after.outcome(), verdict)
    if not report.verified:
        table.add_row(Text("not verified", style="yellow"))
    return table


def differences(report: Report) -> str:
    """What differs, a line a probe."""
    return "\n".join(f"  {a.before.name}: {a.difference}" for a in report.answers if a.difference)


def verdict_hint(report: Report) -> str:
    """What to do about a minimal image that answers differently."""
    kept: dict[str, Any] = {"exact": "safe", "safe": "package"}
    wider = kept.get(report.level)
    return (f"try --level {wider}, or " if wider else "") + "keep what it misses with --keep GLOB; it was not tagged"


__all__ = ["TerminalProgress", "console", "count", "differences", "summary", "verdict_hint"]
