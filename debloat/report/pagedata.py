"""What the page knows of every path of the original, as columns of JSON that its script reads.

Names are made printable here, so the script shows what it is given as text and never as markup.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from debloat.anatomy.inventory import Line
from debloat.anatomy.layers import LayerShare
from debloat.core.model import Kind
from debloat.core.text import name

MOST = 250_000
"""Paths that a page holds: of more, the smallest files that do not stay are left out."""

_KINDS = {Kind.FILE: "f", Kind.DIR: "d", Kind.SYMLINK: "l"}


class Point(Struct, frozen=True):
    """A minimal image of earlier, as its lock has it."""

    title: str
    bytes: int
    files: int
    packages: int


class PageContents(Struct, frozen=True):
    """What the page shows beside the report: every path, the original's layers, earlier results (the oldest first)."""

    lines: tuple[Line, ...] = ()
    layers: tuple[LayerShare, ...] = ()
    earlier: tuple[Point, ...] = ()


NOTHING = PageContents()
"""Of a run whose image can no longer be read."""


class _Words:
    """Texts by number, in the order in which they are first said."""

    def __init__(self) -> None:
        self.words: dict[str, int] = {}

    def number(self, text: str) -> int:
        return self.words.setdefault(name(text), len(self.words))


def shown(lines: Sequence[Line], most: int = MOST) -> list[Line]:
    """As many lines as a page holds, in their order: of gone files the largest."""
    if len(lines) <= most:
        return list(lines)
    gone = [number for number, line in enumerate(lines) if line.step is None and not line.entry.is_dir]
    left_out = set(sorted(gone, key=lambda number: (lines[number].size, number))[: len(lines) - most])
    return [line for number, line in enumerate(lines) if number not in left_out]


def columns(lines: Iterable[Line]) -> dict[str, Any]:
    """The lines as columns; each is an array with an item a path, or a string with a letter a path.

    `parent` is the number of the directory that it is in (the root's own is 0), `package`, `rule` and `detail` count in
    the lists of their names (-1 for none), `source` is the number of a path, or -1 - N for item N of `roots`.
    """
    lines = list(lines)
    numbers = {line.entry.path: number for number, line in enumerate(lines)}
    packages, rules, roots, details = _Words(), _Words(), _Words(), _Words()
    table: dict[str, list[int]] = {
        key: [] for key in ("parent", "size", "package", "layer", "rule", "source", "detail")
    }
    for line in lines:
        step = line.step
        table["parent"].append(_parent(line.entry.path, numbers))
        table["size"].append(line.size)
        table["package"].append(packages.number(line.package) if line.package else -1)
        table["layer"].append(line.layer)
        table["rule"].append(rules.number(step.rule) if step else -1)
        table["detail"].append(details.number(step.detail) if step and step.detail else -1)
        source = numbers.get(step.source, -1) if step else -1
        table["source"].append(source if source >= 0 or step is None else -1 - roots.number(step.source))
    return {
        **table,
        "name": [name(line.entry.name) or "/" for line in lines],
        "kind": "".join(_KINDS.get(line.entry.kind, "o") for line in lines),
        "packages": list(packages.words),
        "rules": list(rules.words),
        "roots": list(roots.words),
        "details": list(details.words),
    }


def _parent(path: str, numbers: dict[str, int]) -> int:
    while path and path != "/":
        path = path.rpartition("/")[0] or "/"
        if path in numbers:
            return numbers[path]
    return 0


def script(contents: PageContents) -> str:
    """The columns as JSON that can stand in a script element: ASCII, and nothing that ends one or begins markup."""
    text = json.dumps(columns(shown(contents.lines)), separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
