"""A gate report as Markdown: a job summary, and a comment on a pull request."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator

from debloat.core.text import count, name, printable, size
from debloat.footprint import Footprint
from debloat.gate.findings import Finding, GateReport
from debloat.gate.rules import Severity
from debloat.lock.compare import format_diff

_LIMIT = 50
_MARKS = {Severity.ERROR: "❌", Severity.WARNING: "⚠️", Severity.NOTE: "📝"}
_ROWS: tuple[tuple[str, Callable[[Footprint], str]], ...] = (
    ("size", lambda f: size(f.bytes)),
    ("files", lambda f: f"{f.files:,}"),
    ("packages", lambda f: str(f.packages)),
    ("setuid, setgid", lambda f: str(len(f.setuid))),
    ("shells", lambda f: str(len(f.shells))),
    ("package managers", lambda f: str(len(f.package_managers))),
    ("writable by all", lambda f: str(len(f.world_writable))),
)
MARKER = "<!-- debloat-check -->"
"""First line of a comment, by which a later run recognises its own."""


def render(report: GateReport) -> str:
    """The report as Markdown. Names are escaped: a file name cannot add markup to a comment."""
    return "\n".join(_blocks(report)) + "\n"


def _blocks(report: GateReport) -> Iterator[str]:
    verdict = "✅ passes" if report.passed else f"❌ fails: {count(len(report.failing), 'finding')}"
    yield MARKER
    yield f"## debloat: {_code(report.reference)} {verdict}"
    yield ""
    yield from _sizes(report)
    if report.findings:
        yield from ("", "| | rule | finding |", "|---|---|---|")
        yield from map(_row, report.findings[:_LIMIT])
        if len(report.findings) > _LIMIT:
            yield f"\nand {len(report.findings) - _LIMIT} more"
    if report.moves:
        yield from _details(f"{count(len(report.moves), 'path')} moved", (f"{m.old} -> {m.new}" for m in report.moves))
    if report.diff:
        title = f"What changed in {count(len(report.diff.packages), 'package')}"
        yield from _details(title, format_diff(report.diff, shown=10))


def _sizes(report: GateReport) -> Iterator[str]:
    columns: list[tuple[str, Footprint]] = [("now", report.after)]
    if report.before is not None:
        columns.insert(0, ("lock", report.before))
    if report.original is not None:
        columns.insert(0, ("original", report.original))
    yield "| | " + " | ".join(title for title, _ in columns) + " |"
    yield "|---|" + "---:|" * len(columns)
    for label, format_figure in _ROWS:
        yield f"| {label} | " + " | ".join(format_figure(figures) for _, figures in columns) + " |"


def _row(finding: Finding) -> str:
    mark = _MARKS[finding.severity] + (" known" if finding.known else "")
    return f"| {mark} | {finding.rule} | {_text(finding.message)} |"


def _text(text: str) -> str:
    """Text with everything escaped that HTML or Markdown would interpret, mentions of users included."""
    escaped = html.escape(printable(text), quote=False)
    for char in "\\|`*_[]~@":
        escaped = escaped.replace(char, f"&#{ord(char)};")
    return escaped.replace("\n", "<br>")


def _code(text: str) -> str:
    return f"<code>{_text(name(text))}</code>"


def _details(title: str, rows: Iterable[str]) -> Iterator[str]:
    yield f"\n<details><summary>{_text(title)}</summary>\n\n<pre>"
    yield from (html.escape(printable(row), quote=False) for row in rows)
    yield "</pre></details>"
