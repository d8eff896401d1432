"""Calls that a profile allows together (`groups.toml`): those that everything needs, and those for one purpose."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

TABLE = Path(__file__).with_name("groups.toml")


class Group(Struct, frozen=True):
    """Calls that belong together: what for, and where that is said."""

    name: str
    calls: frozenset[str]
    source: str


@functools.cache
def _groups() -> dict[str, tuple[Group, ...]]:
    document = tomllib.loads(TABLE.read_text("utf-8"))
    return {
        kind: tuple(Group(row["name"], frozenset(row["calls"]), row["source"]) for row in rows)
        for kind, rows in document.items()
    }


def every() -> tuple[Group, ...]:
    """All groups, of whatever kind."""
    return tuple(group for groups in _groups().values() for group in groups)


def frequent() -> frozenset[str]:
    """Calls that every profile allows, and that are too frequent to be noted."""
    return _calls("frequent")


def together() -> tuple[Group, ...]:
    """Calls of which a profile allows all where one was noted."""
    return _groups()["together"]


def _calls(kind: str) -> frozenset[str]:
    return frozenset[str]().union(*(group.calls for group in _groups()[kind]))


def closed(noted: Iterable[str]) -> frozenset[str]:
    """All calls that a profile allows where these were noted."""
    result = frozenset(noted)
    while more := [g.calls for g in together() if not g.calls.isdisjoint(result) and not g.calls <= result]:
        result = result.union(*more)
    return result | _calls("frequent") | _calls("always")
