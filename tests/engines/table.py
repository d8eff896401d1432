"""The table of docs/engines.md: made from what the matrix saw, and held against what the document says."""

from __future__ import annotations

from pathlib import Path

from tests.engines.setups import ROOT, SETUPS

DOCUMENT = ROOT / "docs" / "engines.md"
BEGIN, END = "<!-- matrix -->\n", "<!-- end of matrix -->\n"

SEEN: dict[tuple[str, str], str] = {}
"""(subject, engine): what came of it."""


def note(subject: str, engine: str, outcome: str = "yes") -> None:
    """Note an outcome; the worst of several stands."""
    before = SEEN.get((subject, engine), "yes")
    SEEN[subject, engine] = outcome if before == "yes" else before


def render() -> str:
    """The table of all that was seen: a row a subject, a column an engine."""
    columns = [s for s in SETUPS if any(engine == s.name for _, engine in SEEN)]
    lines = [f"| | {' | '.join(s.title for s in columns)} |", f"|---|{'---|' * len(columns)}"]
    for subject in dict.fromkeys(subject for subject, _ in SEEN):
        cells = (SEEN.get((subject, s.name), "not run") for s in columns)
        lines.append(f"| {subject} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def documented(path: Path = DOCUMENT) -> str:
    return path.read_text().partition(BEGIN)[2].partition(END)[0]


def write(table: str, path: Path = DOCUMENT) -> None:
    head, _, rest = path.read_text().partition(BEGIN)
    path.write_text(head + BEGIN + table + END + rest.partition(END)[2])


def columns(table: str) -> dict[str, list[str]]:
    """The cells below each title; those that name the rows stand under the empty one."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {title: [row[number] for row in rows[2:]] for number, title in enumerate(rows[0])} if rows else {}
