"""docs/messages.md, made of the places in the code that end a run: `python -m tests.support.messagedoc`."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from debloat.core import errors
from debloat.record.concrete import ListensElsewhere, NothingToProbe
from debloat.store.base import StoreError

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs" / "messages.md"
BEGIN, END = "<!-- made of the messages in the code -->\n", "<!-- end -->\n"
GAP = "\N{HORIZONTAL ELLIPSIS}"
"""In a message: what is only known when it is said."""

CLASSES = (
    *(errors.UsageError, errors.EngineUnavailable, StoreError, errors.SensorUnavailable, errors.WorkersUnavailable),
    *(errors.OriginalFails, errors.MinimalFails, errors.GateFailed),
)
"""In the order of their exit codes; an InternalError is a bug, and has a text of its own."""

_CONTEXT = "error_context"
"""What makes an engine's failure a message: `cannot` do what it says, and the engine's own words."""
SAID_AS = {cls.__name__: "OriginalFails" for cls in (ListensElsewhere, NothingToProbe)}
"""Classes whose messages stand with those of another: the difference is the code's."""


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """A message as the code has it, with a gap for each value, and its hint."""

    text: str
    hint: str


def messages(kind: str) -> list[Message]:
    """The messages of a class of errors, sorted, each once."""
    found = set[Message]()
    for path in sorted((ROOT / "debloat").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and _named(node.func) == kind:
                hints = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "hint")]
                for text in _texts(node.args[0]) if node.args else ():
                    for hint in [h for each in hints for h in _texts(each)] or [""]:
                        found.add(Message(text, hint))
    return sorted(m for m in found if re.search(r"[a-z]{3}", m.text))


def _named(called: ast.expr) -> str:
    """The class whose message a call makes, if it does."""
    return SAID_AS.get(called.id, called.id) if isinstance(called, ast.Name) else ""


@functools.cache
def _constants() -> dict[str, str]:
    """The texts that modules have under a name in capitals: hints that several messages share."""
    found = {}
    for path in sorted((ROOT / "debloat").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                found.update(
                    {t.id: node.value.value for t in node.targets if isinstance(t, ast.Name) and t.id.isupper()}
                )
    return found


def _texts(node: ast.expr) -> Iterator[str]:
    """What an expression can say; a gap for what is not written there."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        said = [""]
        for part in node.values:
            more = list(_texts(part.value)) if isinstance(part, ast.FormattedValue) else list(_texts(part))
            said = [one + other for one in said for other in (more if len(more) <= 2 else [GAP])]
        yield from said[:4]
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from (one + other for one in _texts(node.left) for other in _texts(node.right))
    elif isinstance(node, ast.Name) and node.id in _constants():
        yield _constants()[node.id]
    else:
        yield GAP


def _cell(text: str) -> str:
    """A text in a table: one line, and nothing that Markdown takes for its own outside code spans."""
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    parts[::2] = [re.sub(r"([*<>])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def tables() -> str:
    """Markdown: a section for each class of errors."""
    blocks = []
    for cls in CLASSES:
        rows = [f"| {_cell(m.text)} | {_hint(cls, m.hint)} |" for m in messages(cls.__name__)]
        if cls is errors.EngineUnavailable:
            rows += [f"| cannot {_cell(m.text)}: {GAP} | {_hint(cls, '')} |" for m in messages(_CONTEXT)]
        about = f"{cls.__doc__} {FALLBACK[cls.__name__]}"
        head = f"### Exit code {cls.exit_code}: {cls.__name__}\n\n{about}\n"
        table = ["| message | what to do |", "|---|---|", *rows] if rows else []
        blocks.append("\n".join([head, *table]).rstrip("\n") + "\n")
    return "\n".join(blocks)


def _hint(cls: type[errors.DebloatError], hint: str) -> str:
    """What a row says to do; what is only known when it is said is told above the table."""
    return _cell(hint) if re.search(r"[a-z]{3}", hint) else "as above"


FALLBACK = {
    "UsageError": "The message names the file, the option or the reference that is to be mended.",
    "EngineUnavailable": "Where the message ends in the engine's own words, `debloat doctor` tells what works, and the "
    "engine's log the rest.",
    "StoreError": "Where the message ends in a registry's own words, its log tells the rest.",
    "SensorUnavailable": "`debloat doctor` tells what the recorder needs, and what this machine has of it.",
    "WorkersUnavailable": "What was done is kept: the same command goes on from there. The workers' own logs say more.",
    "OriginalFails": "Start it with `docker run` and the same options; what it needs is given with `-e`, `-v` or "
    "`--network`. The hint names the end of what the container said.",
    "MinimalFails": "Keep what it misses (`--keep`), exercise more of it, or take a wider `--level`; the report and "
    "the summary say which answer differs and how.",
    "GateFailed": "The message counts the findings; [gate.md](gate.md) says of each rule what it wants.",
}
"""What to do about messages whose hint is only known when they are said, or that have none."""


def replaced(text: str) -> str:
    """The document with the tables made anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{tables()}\n{END}{tail}"


if __name__ == "__main__":
    DOCS.write_text(replaced(DOCS.read_text()))
