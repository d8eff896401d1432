"""What is made of the rows of `debloat.toml`: its published schema, and the tables of docs/usage.md.

`python -m tests.support.configdoc` writes both anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from debloat.core import config
from debloat.core.apis import OpenApiSettings, WebSocketSettings
from debloat.core.http import ExpectSettings, RequestSettings
from debloat.core.limits import Budget, Restrictions
from debloat.core.recipe import ReadySettings, RunSettings, ScenarioSettings, Settings
from debloat.core.table import Row, rows
from tests.support.schemas import OURS
from tests.support.snippets import ROOT

SCHEMA = OURS / "config.json"
DOCS = ROOT / "docs" / "usage.md"
BEGIN, END = "<!-- made of the rows of debloat.toml -->\n", "<!-- end -->\n"

TABLES: dict[str, type] = {
    "The file": Settings,
    "`[ready]`": ReadySettings,
    "`[run_options]`": RunSettings,
    "`[[scenario]]`": ScenarioSettings,
    "`[[request]]`": RequestSettings,
    "`expect` of a `[[request]]`": ExpectSettings,
    "`[openapi]`": OpenApiSettings,
    "`[[websocket]]`": WebSocketSettings,
    "`[budget]`": Budget,
    "`[policy]`": Restrictions,
}


def schema() -> str:
    """The schema as it is published."""
    return json.dumps(config.schema(), indent=2) + "\n"


def tables() -> Iterator[str]:
    """Markdown: a table of keys for each table of the file."""
    for title, table in TABLES.items():
        yield f"### {title}\n\n| key | for example | |\n|---|---|---|\n"
        yield "".join(_line(name, row) for name, row in rows(table).items())
        yield "\n"


def _line(name: str, row: Row) -> str:
    return f"| `{name}` | `{row.example}` | {row.text} |\n".replace("| `|", "| `\\|")


def replaced(text: str) -> str:
    """A document with its tables made anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{''.join(tables())}{END}{tail}"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
    DOCS.write_text(replaced(DOCS.read_text()))
