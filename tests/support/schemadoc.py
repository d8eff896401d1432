"""The tables of docs/report.md, made of the schema; `python -m tests.support.schemadoc` writes them anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import schemas

DOCS = Path(__file__).resolve().parents[2] / "docs" / "report.md"
BEGIN, END = "<!-- made of debloat/schemas/report.json -->\n", "<!-- end -->\n"

Schema = dict[str, Any]


def objects(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The objects of a schema: the document under an empty name, then those it is made of."""
    yield "", schema
    yield from ((name, value) for name, value in schema["$defs"].items() if value.get("type") == "object")


def tables(schema: Schema) -> str:
    """Markdown: a table of fields for each object."""
    blocks = []
    for name, value in objects(schema):
        title = f"### `{name}`\n\n{value['description']}\n\n" if name else "### The document\n\n"
        rows = [
            f"| `{field}` | {_type(rule, schema)} | {rule['description']} |"
            for field, rule in value["properties"].items()
        ]
        blocks.append(title + "\n".join(["| field | type | |", "|---|---|---|", *rows]) + "\n")
    return "\n".join(blocks)


def _type(rule: Schema, schema: Schema) -> str:
    if "const" in rule:
        return f"`{rule['const']}`"
    if "enum" in rule:
        return ", ".join(f"`{value}`" for value in rule["enum"])
    if rule.get("type") == "array":
        return f"list of {_type(rule['items'], schema)}"
    if "$ref" in rule:
        name = rule["$ref"].rpartition("/")[2]
        target = schema["$defs"][name]
        if target.get("type") == "object":
            return f"[`{name}`](#{name})"
        return str({"paths": "list of paths", "count": "integer"}.get(name, name))
    return str(rule["type"])


def replaced(text: str, schema: Schema) -> str:
    """A document with its tables made anew."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{tables(schema)}\n{END}{tail}"


if __name__ == "__main__":
    DOCS.write_text(replaced(DOCS.read_text(), schemas.ours("report.json")))
