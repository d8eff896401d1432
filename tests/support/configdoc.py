"""What is made of the rows of files that people write: published schemas, and tables of keys in documents.

`python -m tests.support.configdoc` writes all anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debloat.core import config
from debloat.core.apis import OpenApiSettings, WebSocketSettings
from debloat.core.http import ExpectSettings, RequestSettings
from debloat.core.limits import Budget, Restrictions
from debloat.core.recipe import ReadySettings, RunSettings, ScenarioSettings, Settings
from debloat.core.table import Row, rows
from debloat.fleet import config as fleet
from debloat.fleet.config import Defaults, EntrySettings
from tests.support.schemas import OURS
from tests.support.snippets import ROOT

BEGIN, END = "<!-- made of the rows of {} -->\n", "<!-- end -->\n"


@dataclass(frozen=True, slots=True)
class File:
    """A file that people write: its name, its schema and where that is published, its tables and what shows them."""

    name: str
    schema: Callable[[], dict[str, Any]]
    published: Path
    document: Path
    tables: Mapping[str, type]

    def schema_text(self) -> str:
        """The schema as it is published."""
        return json.dumps(self.schema(), indent=2) + "\n"

    def replaced(self, text: str) -> str:
        """A document with its tables made anew."""
        begin = BEGIN.format(self.name)
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(END)
        return f"{head}{begin}\n{''.join(tables(self.tables))}{END}{tail}"


CONFIG = File(
    "debloat.toml",
    config.schema,
    OURS / "config.json",
    ROOT / "docs" / "usage.md",
    {
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
    },
)
FLEET = File(
    "fleet.toml",
    fleet.schema,
    OURS / "fleet-config.json",
    ROOT / "docs" / "fleet.md",
    {"`[[entry]]`": EntrySettings, "`[defaults]`": Defaults},
)
FILES = (CONFIG, FLEET)
SCHEMA = CONFIG.published


def tables(shown: Mapping[str, type]) -> Iterator[str]:
    """Markdown: a table of keys for each table of the file."""
    for title, table in shown.items():
        yield f"### {title}\n\n| key | for example | |\n|---|---|---|\n"
        yield "".join(_line(name, row) for name, row in rows(table).items())
        yield "\n"


def _line(name: str, row: Row) -> str:
    return f"| `{name}` | `{row.example}` | {row.text} |\n".replace("| `|", "| `\\|")


if __name__ == "__main__":
    for each in FILES:
        each.published.write_text(each.schema_text())
        each.document.write_text(each.replaced(each.document.read_text()))
