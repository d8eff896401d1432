"""The table of docs/engines.md: made from what the matrix saw, and held against what the document says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.engines.setups import OWN, ROOT, SETUPS

DOCUMENT = ROOT / "docs" / "engines.md"
BEGIN, END = "<!-- matrix -->\n", "<!-- end of matrix -->\n"

NOT_RUN = "not run"

SEEN: dict[tuple[str, str], str] = {}
"""(subject, engine): what came of it."""


def note(subject: str, engine: str, outcome: str = "yes") -> None:
    """Note an outcome; the worst of several stands."""
    before = SEEN.get((subject, engine), "yes")
    SEEN[subject, engine] = outcome if before == "yes" else before


def render() -> str:
    """The table of all that was seen: a row a subject, a column an engine."""
    found = {s.title: {sub: cell for (sub, engine), cell in SEEN.items() if engine == s.name} for s in (*SETUPS, *OWN)}
    return _table({title: cells for title, cells in found.items() if cells})


def over(before: str, seen: str) -> str:
    """The table of what was seen now, and of what `before` tells beyond that."""
    old, new = _cells(before), _cells(seen)
    subjects = dict.fromkeys((*columns(before).get("", []), *columns(seen).get("", [])))
    titles = list(dict.fromkeys((*(s.title for s in (*SETUPS, *OWN)), *old)))
    both = {title: old.get(title, {}) | new.get(title, {}) for title in titles if title in old or title in new}
    return _table({title: {s: cells[s] for s in subjects if s in cells} for title, cells in both.items()})


def _cells(table: str) -> dict[str, dict[str, str]]:
    """What was run, by title and subject."""
    found = columns(table)
    subjects = found.pop("", [])
    return {
        title: {s: cell for s, cell in zip(subjects, cells, strict=True) if cell != NOT_RUN}
        for title, cells in found.items()
    }


def _table(found: Mapping[str, Mapping[str, str]]) -> str:
    lines = [f"| | {' | '.join(found)} |", f"|---|{'---|' * len(found)}"]
    for subject in dict.fromkeys(subject for cells in found.values() for subject in cells):
        lines.append(f"| {subject} | {' | '.join(cells.get(subject, NOT_RUN) for cells in found.values())} |")
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
