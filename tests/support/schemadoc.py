"""The tables of documents, made of the schemas; `python -m tests.support.schemadoc` writes them anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import schemas

DOCS = Path(__file__).resolve().parents[2] / "docs" / "report.md"
BEGIN, END = "<!-- made of debloat/schemas/{} -->\n", "<!-- end -->\n"

FLEET = DOCS.with_name("fleet.md")

TITLES = {
    "report.json": "The document",
    "plan.json": "Its document",
    "inspect.json": "Its document",
    "fleet.json": "The document",
}
"""The schemas that documents show, and how these call what they are about."""
PLACES = {"fleet.json": FLEET}
"""The documents of those that docs/report.md does not show."""

Schema = dict[str, Any]


def objects(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The objects of a schema: the document under an empty name, then those it is made of."""
    yield "", schema
    yield from ((name, value) for name, value in schema["$defs"].items() if value.get("type") == "object")


def tables(schema: Schema, whole: str) -> str:
    """Markdown: a table of fields for each object; `whole` is the title of the document's."""
    blocks = []
    for name, value in objects(schema):
        title = f"### `{name}`\n\n{value['description']}\n\n" if name else f"### {whole}\n\n"
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
    if "anyOf" in rule:
        return " or ".join(_type(one, schema) for one in rule["anyOf"])
    if "$ref" in rule:
        name = rule["$ref"].rpartition("/")[2]
        target = schema["$defs"][name]
        if target.get("type") == "object":
            return f"[`{name}`](#{name})"
        return str({"paths": "list of paths", "texts": "list of string", "count": "integer"}.get(name, name))
    return str(rule["type"])


def replaced(text: str, name: str) -> str:
    """A document with the tables of one schema made anew."""
    begin = BEGIN.format(name)
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(END)
    return f"{head}{begin}\n{tables(schemas.ours(name), TITLES[name])}\n{END}{tail}"


if __name__ == "__main__":
    for name in TITLES:
        path = PLACES.get(name, DOCS)
        path.write_text(replaced(path.read_text(), name))
