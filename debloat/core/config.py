"""The configuration file: `debloat.toml`, or `[tool.debloat]` of a `pyproject.toml`, read by the rows of `Settings`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from debloat.core import table
from debloat.core.errors import UsageError
from debloat.core.recipe import Settings
from debloat.core.table import Mistake, Place

_TABLE = ("tool", "debloat")
"""Where the settings stand in a `pyproject.toml`."""

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
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            return None
    return None


def read(path: Path) -> Settings:
    """The settings in a file. UsageError names the file, the line, the key and the nearest known one."""
    try:
        text = path.read_text("utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "name the file with -c FILE") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    place = _TABLE if path.name == "pyproject.toml" else ()
    own = _at(raw, place)
    return settings({} if own is None else own, str(path), text, place)


def settings(raw: object, name: str = "", text: str = "", above: Place = ()) -> Settings:
    """The settings in what TOML gave. `name` is the file's, `text` what is in it, `above` where its settings stand."""
    try:
        return table.read(Settings, raw)
    except Mistake as mistake:
        line = line_of(text, (*above, *mistake.place))
        where = f"{name}, line {line}: " if name and line else f"{name}: " if name else ""
        raise UsageError(f"{where}{mistake.message}", mistake.hint) from mistake


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
