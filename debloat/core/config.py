"""The configuration file: `debloat.toml`, or `[tool.debloat]` of a `pyproject.toml`, read by the rows of `Settings`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from debloat.core import table
from debloat.core.errors import UsageError
from debloat.core.recipe import Settings
from debloat.core.table import Mistake, Place

T = TypeVar("T")

_TABLE = ("tool", "debloat")
"""Where the settings stand in a `pyproject.toml`."""

_TOML = "write strings in quotes, lists in [ ], tables below [NAME], and the file in UTF-8"

_MOST_LINES = 400
"""Lines that one value may have while its line is looked for."""


def find(directory: Path) -> Path | None:
    """The configuration in a directory: `debloat.toml`, else a `pyproject.toml` with a `[tool.debloat]` table."""
    candidate = directory / "debloat.toml"
    if candidate.is_file():
        return candidate
    candidate = directory / "pyproject.toml"
    if candidate.is_file():
        try:
            return candidate if _at(tomllib.loads(candidate.read_text("utf-8")), _TABLE) is not None else None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError):
            return None
    return None


class Document(Struct, frozen=True):
    """A file of TOML: its name, its text, what TOML gave, and the place below which that stands in the file."""

    name: str
    text: str
    raw: object
    above: Place = ()

    def as_table(self, cls: type[T]) -> T:
        """What it says as the rows of a table. UsageError names the file, the line, the key and the nearest known."""
        try:
            return table.read(cls, self.raw)
        except Mistake as mistake:
            line = line_of(self.text, (*self.above, *mistake.place))
            where = f"{self.name}, line {line}: " if self.name and line else f"{self.name}: " if self.name else ""
            raise UsageError(f"{where}{mistake.message}", mistake.hint) from mistake


def document(path: Path, hint: str = "name the file with -c FILE") -> Document:
    """A file of TOML, of a `pyproject.toml` its table. UsageError, with the hint, where it cannot be read."""
    try:
        text = path.read_text("utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}", _TOML) from error
    place = _TABLE if path.name == "pyproject.toml" else ()
    own = _at(raw, place)
    return Document(str(path), text, {} if own is None else own, place)


def read(path: Path) -> Settings:
    """The settings in a file. UsageError names the file, the line, the key and the nearest known one."""
    return document(path).as_table(Settings)


def settings(raw: object, name: str = "", text: str = "") -> Settings:
    """The settings in values; `name` is what complaints call where they come from, `text` what stands there."""
    return Document(name, text, raw).as_table(Settings)


def schema() -> dict[str, Any]:
    """The JSON Schema of a `debloat.toml`, which `debloat/schemas/config.json` publishes."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "debloat-config-1",
        "title": "debloat.toml",
        **table.schema(Settings),
    }


def line_of(text: str, place: Place) -> int:
    """The line, from 1, at which the statement that gives the value at a place begins; 0 where that is not known.

    It is the one without which a reader of TOML does not have the value, so nothing of TOML's grammar is known here.
    """
    lines = [f"{line}\n" for line in text.split("\n")]
    last = next((part for part in reversed(place) if isinstance(part, str)), "")
    while place and not isinstance(place[-1], str):
        place = place[:-1]
    for start, line in enumerate(lines):
        if last not in line or not last:
            continue
        before = _parsed("".join(lines[:start]))
        if before is None or _at(before, place) is not None:
            continue
        for end in range(start + 1, min(len(lines), start + _MOST_LINES) + 1):
            if (after := _parsed("".join(lines[:end]))) is not None:
                if _at(after, place) is not None:
                    return start + 1
                break
    return 0


def _parsed(text: str) -> Mapping[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _at(raw: object, place: Place) -> object | None:
    """What stands at a place, None where there is nothing."""
    for part in place:
        if isinstance(part, str):
            raw = raw.get(part) if isinstance(raw, Mapping) else None
        else:
            raw = raw[part] if isinstance(raw, list) and part < len(raw) else None
    return raw
