"""The file of a fleet, `fleet.toml`, read by rows: which images, what is done with each, what holds for all."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from debloat.core import config, table
from debloat.core.errors import UsageError
from debloat.core.model import Level
from debloat.core.recipe import LEVEL, TEXTS, Settings
from debloat.core.table import Mistake, Place, ValueKind, key, table_of, tables_of, text

DEFAULT_NAME = "fleet.toml"
FIELDS = ("name", "short", "tag", "level")
"""What stands in braces in a template: the image's name without its tag, the last component of that, tag, level."""


def template(line: str) -> str:
    """A text with some of `FIELDS` in braces; UsageError where it has others."""
    try:
        parts = [part for part in string.Formatter().parse(line) if part[1] is not None]
    except ValueError as error:
        raise UsageError(f"cannot read the template {line!r}: {error}", "a brace of the text itself is {{") from error
    for _, field, form, conversion in parts:
        if field not in FIELDS or form or conversion:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise UsageError(f"the template {line!r} holds {{{field}}} in a form that says nothing", f"write {known}")
    return line


class Inline(Struct, frozen=True):
    """A recipe that stands in the file itself: what `debloat.toml` may say, as JSON."""

    json: str


_TABLE = table_of(Settings, '{ http = ["/"] }')


def _read_recipe(value: Any, place: Place) -> str | Inline:
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        shown = {bool: str(value).lower(), list: "a list"}.get(type(value), repr(value))
        raise Mistake(
            place,
            f"{table.named(place)} must be {RECIPE.expected}, not {shown}",
            f"write recipe = {RECIPE.example}",
        )
    _TABLE.read(value, place)
    return Inline(json.dumps(value))


RECIPE: ValueKind[str | Inline | None] = ValueKind(
    "the path of a debloat.toml, or a table of what one may say",
    '{ http = ["/"] }',
    {"anyOf": [{"type": "string"}, dict(_TABLE.schema)]},
    _read_recipe,
    None,
    lambda base, over: base if over is None else over,
)
TEMPLATE = text("a template", '"{name}:{tag}-slim"', template)


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every entry that does not say otherwise."""

    recipe: str | Inline | None = key(
        RECIPE, "What is asked and kept, as in debloat.toml or in the file of that name; entries add to it."
    )
    lock: str | None = key(
        TEMPLATE,
        "The lock of each image: `run` writes it, `apply` and `check` read it.",
        example='"locks/{short}.lock"',
    )
    level: Level | None = key(LEVEL, "How far beyond the trace to keep, over what the recipe says.")
    target: str | None = key(
        TEMPLATE,
        "What the results are called, or where they go: docker://REGISTRY/NAME:TAG, oci:DIR, ...",
    )


@dataclass(frozen=True, slots=True)
class EntrySettings:
    """Images, and what is to be made of them."""

    image: str = key(
        text("an image or a pattern", '"registry/shop/*"'),
        "An image, or a pattern over the names that the engine knows: `*` matches all but a slash, `**` all.",
        required=True,
    )
    exclude: tuple[str, ...] = key(TEXTS, "Names that the pattern does not mean.", example='["registry/shop/*-test:*"]')
    recipe: str | Inline | None = key(RECIPE, "What is asked and kept, over the recipe of the defaults.")
    lock: str | None = key(TEMPLATE, "Its lock.", example='"web.lock"')
    level: Level | None = key(LEVEL, "Its level.")
    target: str | None = key(TEMPLATE, "What its result is called, or where it goes.")


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """The images of a fleet and what is made of them."""

    defaults: Defaults = key(table_of(Defaults, '{ level = "safe" }'), "What holds for every entry.")
    entry: tuple[EntrySettings, ...] = key(
        tables_of(EntrySettings, '[{ image = "shop:1" }]'), "Images; the first entry that means one decides."
    )


class FleetFile(Struct, frozen=True):
    """A file that was read: its path, and what it says. Paths in it begin at its directory."""

    path: Path
    settings: FleetSettings

    @property
    def directory(self) -> Path:
        return self.path.absolute().parent


def read(path: Path) -> FleetFile:
    """The fleet in a file. UsageError names the file, the line, the key and the nearest known one."""
    hint = "name the file: `debloat fleet run FILE`; docs/fleet.md says what stands in it"
    settings = config.document(path, hint).as_table(FleetSettings)
    if not settings.entry:
        raise UsageError(f"{path} names no image", 'write [[entry]] and below it image = "NAME:TAG"')
    return FleetFile(path, settings)


def schema() -> dict[str, Any]:
    """The JSON Schema of a `fleet.toml`, which `debloat/schemas/fleet-config.json` publishes."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "debloat-fleet-config-1",
        "title": "fleet.toml",
        **table.schema(FleetSettings),
    }
