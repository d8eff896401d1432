"""Values that one answer leaves for later requests: a token, the id of what was made."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from debloat.core.http import HttpProbe

_MAX_VALUE = 1 << 16
"""Characters of a value."""


def taken(save: Iterable[tuple[str, str]], headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], str]:
    """Values of an answer by their names, and what is missing, as a phrase; `headers` are in lower case."""
    values: dict[str, str] = {}
    for name, source in save:
        kind, _, where = source.partition(":")
        value = _FROM[kind](where, headers, body)
        if value is None or len(value) > _MAX_VALUE:
            return values, f"cannot save {name}: there is no {source} in the answer"
        values[name] = value
    return values, ""


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """A text with `{name}` replaced by the value of that name; other braces stay."""
    if not values or "{" not in text:
        return text
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], match[0]), text, flags=re.ASCII)


def filled_in(probe: HttpProbe, values: Mapping[str, str]) -> HttpProbe:
    """A request with the values in all that it sends."""
    if not values:
        return probe

    def pairs(items: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((name, fill_in(value, values)) for name, value in items)

    return replace(
        probe,
        path=fill_in(probe.path, values),
        headers=pairs(probe.headers),
        cookies=pairs(probe.cookies),
        body=fill_in(probe.body, values),
        form=pairs(probe.form),
    )


def _from_json(where: str, headers: Mapping[str, str], body: bytes) -> str | None:
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    for key in filter(None, where.removeprefix("$").split(".")):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key[:9]) < len(value):
            value = value[int(key[:9])]
        else:
            return None
    return value if isinstance(value, str) or value is None else json.dumps(value)


def _from_header(where: str, headers: Mapping[str, str], body: bytes) -> str | None:
    return headers.get(where.lower())


def _from_body(where: str, headers: Mapping[str, str], body: bytes) -> str | None:
    match = re.search(where, body.decode("utf-8", "replace"))
    return (match[1] if match.re.groups else match[0]) if match else None


_FROM = {"json": _from_json, "header": _from_header, "body": _from_body}
