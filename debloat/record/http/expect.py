"""Whether an answer is what the user expects, and in what it is not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from debloat.core.http import Expectation

_SHOWN = 200
"""Characters of a value in a message."""


def unmet(expect: Expectation, status: int, headers: Mapping[str, str], body: bytes) -> str:
    """What is expected of an answer and is not so, as a phrase; empty where all is. `headers` are in lower case."""
    return "; ".join(_unmet(expect, status, headers, body.decode("utf-8", "replace")))


def _unmet(expect: Expectation, status: int, headers: Mapping[str, str], text: str) -> Iterator[str]:
    if expect.status and status not in expect.status:
        yield f"expected status {' or '.join(map(str, expect.status))}, it is {status}"
    for name, pattern in expect.header:
        value = headers.get(name.lower())
        if value is None:
            yield f"expected a header {name}, there is none"
        elif not re.search(pattern, value):
            yield f"expected {pattern!r} in the header {name}, it is {_shown(value)}"
    if expect.body and not re.search(expect.body, text):
        yield f"expected {expect.body!r} in the body, it is {_shown(text)}"
    if expect.json:
        try:
            actual = json.loads(text)
        except (ValueError, RecursionError):
            yield f"expected JSON, the body is {_shown(text)}"
            return
        if difference := _difference(json.loads(expect.json), actual, "the JSON"):
            yield difference


def _difference(expected: Any, actual: Any, where: str) -> str:
    """The first place at which `actual` does not contain what is expected; empty where it does."""
    if not isinstance(expected, dict):
        same = expected == actual and isinstance(expected, bool) == isinstance(actual, bool)
        return "" if same else f"expected {_shown(expected)} at {where}, it is {_shown(actual)}"
    if not isinstance(actual, dict):
        return f"expected an object at {where}, it is {_shown(actual)}"
    for key in sorted(expected):
        if key not in actual:
            return f"expected a key {key!r} at {where}, there is none"
        if difference := _difference(expected[key], actual[key], f"{where}.{key}"):
            return difference
    return ""


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "\N{HORIZONTAL ELLIPSIS}")
