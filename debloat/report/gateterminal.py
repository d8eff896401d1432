"""A gate report as text for people, with colours on a terminal."""

from __future__ import annotations

import io

from rich.console import Console
from rich.text import Text

from debloat.core.text import count, name, printable, size
from debloat.gate.findings import GateReport
from debloat.gate.rules import Severity

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
_MOVES = 10


def render(report: GateReport, color: bool = False) -> str:
    """The report as text, with terminal colours if `color`."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=color, highlight=False, soft_wrap=True, no_color=not color)
    console.print(Text(_figures(report)))
    for finding in report.findings:
        known = " (known)" if finding.known else ""
        line = Text(f"{finding.severity!s:<8}", style="dim" if finding.known else _STYLES[finding.severity])
        console.print(line.append(f"{finding.rule}{known}: {printable(finding.message)}", style="default"))
    for move in report.moves[:_MOVES]:
        console.print(Text(f"moved   {name(move.old)} -> {name(move.new)}", style="dim"))
    if len(report.moves) > _MOVES:
        console.print(Text(f"moved   and {len(report.moves) - _MOVES} more", style="dim"))
    checked = f"{count(len(report.checked), 'rule')} checked"
    if report.passed:
        console.print(Text(f"{name(report.reference)} passes ({checked})", style="bold green"))
    else:
        text = f"{name(report.reference)} fails: {count(len(report.failing), 'finding')} ({checked})"
        console.print(Text(text, style="bold red"))
    return out.getvalue()


def _figures(report: GateReport) -> str:
    now, was = report.after, report.before
    what = name(report.reference) if report.minimal else f"what the lock cuts out of {name(report.reference)}"
    text = f"{what}: {size(now.bytes)}, {count(now.files, 'file')}, {count(now.packages, 'package')}"
    if was is not None:
        text += (
            f"; {name(report.lock)}: {size(was.bytes)}, {count(was.files, 'file')}, {count(was.packages, 'package')}"
        )
    return text
