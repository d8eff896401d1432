"""A fresh result against the committed one: what got worse. Pure.

Machines differ and so do their seconds. Compared are figures that carry over: ratios measured in one run, shares,
rates, and memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench import foreign, hostile
from bench.stats import share


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure: smaller is better. It may grow by `slack` of itself and by `step` before it is worse."""

    name: str
    value: float
    slack: float = 0.0
    step: float = 0.0

    def worse_than(self, before: Figure) -> bool:
        return self.value > before.value * (1 + self.slack) + self.step


@dataclass(frozen=True, slots=True)
class Regression:
    name: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.name}: {self.before:.3g} -> {self.after:.3g}"


def compare(before: dict[str, Any], after: dict[str, Any]) -> list[Regression]:
    """The figures of `after` that are worse than in `before`. What only one of them has is not compared.

    ValueError when they are results of different subjects, or of none.
    """
    subject = after.get("subject")
    if subject not in FIGURES or before.get("subject") != subject:
        raise ValueError(f"cannot compare a result of {subject!r} with one of {before.get('subject')!r}")
    old = {figure.name: figure for figure in FIGURES[subject](before)}
    return [
        Regression(new.name, old[new.name].value, new.value)
        for new in FIGURES[subject](after)
        if new.name in old and new.worse_than(old[new.name])
    ]


def _generality(result: dict[str, Any]) -> Iterator[Figure]:
    """Checks that fail, by fixture and level: not one more may; sizes may grow a little."""
    for fixture in result["fixtures"]:
        for level, found in sorted(fixture["levels"].items()):
            name = f"{fixture['fixture']} {level}"
            yield Figure(f"{name}: no image (exit code)", float(found["code"]))
            if not found["code"]:
                yield Figure(f"{name}: failed checks", float(len(found["failed"])))
                yield Figure(f"{name}: % of the original", share(found["bytes"], fixture["original"]["bytes"]), 0.05, 1)


def _cost(result: dict[str, Any]) -> Iterator[Figure]:
    if web := result.get("floor"):
        yield Figure("tool over floor", web["ratio"]["median"], 0.2)
        yield Figure("processor seconds per second of floor", _per_floor(result), 0.25)
    for row in result["fixtures"]:
        yield Figure(f"{row['name']}: peak RSS, MB", row["rss"] / 1e6, 0.15)


def _per_floor(result: dict[str, Any]) -> float:
    """The tool's own work on the web server, in units of the floor, which a slower machine takes longer for too."""
    cpu = [row["cpu"]["median"] for row in result["fixtures"] if row["name"] == result["floor"]["fixture"]]
    return cpu[0] / result["floor"]["floor"]["median"] if cpu else 0.0


def _overhead(result: dict[str, Any]) -> Iterator[Figure]:
    for row in result["workloads"]:
        yield Figure(row["name"], row["ratio"]["median"], 0.15, 0.05)


def _growth(result: dict[str, Any]) -> Iterator[Figure]:
    """Time in units of the smallest image's, and memory."""
    unit = result["sizes"][0]["wall"]["median"] if result["sizes"] else 0.0
    for row in result["sizes"]:
        if row["more"] is not None and unit:
            yield Figure(f"{row['name']}: time over the first", 1 + row["more"]["median"] / unit, 0.3, 0.2)
        yield Figure(f"{row['name']}: peak RSS, MB", row["rss"] / 1e6, 0.15)


def _import(result: dict[str, Any]) -> Iterator[Figure]:
    yield Figure("loading the command line over click", result["ratio"]["median"], 0.1)


def _hostile(result: dict[str, Any]) -> Iterator[Figure]:
    for row in hostile.worst(result):
        yield Figure(f"{row['reader']}: growth", row["ratio"], 0.25)


def _apply(result: dict[str, Any]) -> Iterator[Figure]:
    for row in result["forms"]:
        yield Figure(f"{row['name']}: CPU, s", row["cpu"]["median"], 0.2)


def _canary(result: dict[str, Any]) -> Iterator[Figure]:
    rows = {row["name"]: row for row in result["images"]}
    processor = rows["canary"]["processor"]["median"] / rows["slim"]["processor"]["median"]
    yield Figure("canary: processors a request, over the minimal image", processor, 0.1)


def _foreign(result: dict[str, Any]) -> Iterator[Figure]:
    for suite, lost in foreign.lost(result):
        yield Figure(f"{suite}: tests that pass on the original alone", float(lost))
    for row in result["suites"]:
        yield Figure(f"{row['suite']}: % of the original", share(row["bytes"], row["original_bytes"]), 0.05, 1)


def _fleet(result: dict[str, Any]) -> Iterator[Figure]:
    """Idle shares, which are of the order and not of the machine, and memory."""
    for row in result["fleets"]:
        yield Figure(f"{row['workers']} workers: idle share", 1 - row["later"]["median"], 0, 0.05)
    yield Figure("resident bytes of a large fleet", float(result["rss"]), 0.2)


FIGURES: dict[str, Callable[[dict[str, Any]], Iterator[Figure]]] = {
    "generality": _generality,
    "cost": _cost,
    "overhead": _overhead,
    "growth": _growth,
    "import": _import,
    "hostile": _hostile,
    "apply": _apply,
    "fleet": _fleet,
    "canary": _canary,
    "foreign": _foreign,
}
