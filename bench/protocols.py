"""Protocols: what the default exercise, without a probe of the user's, makes of databases, brokers and stores.

Each fixture is cut at `exact`, the level that keeps what was touched and nothing else, with the way it is run and none
of its training; once with servers only connected to, and once talked to. Then the judge asks both what it asks of any
minimal image. So the share of checks that pass is the share of a service that the exercise reached.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import generality, store, tool
from bench.stats import share, table
from debloat.core.errors import DebloatError
from debloat.engine.base import Engine
from debloat.engine.docker import connect
from tests.support import fixtures

FIXTURES = ("redis", "postgres", "mariadb", "rabbitmq", "mosquitto")
"""Stores, databases and brokers, whose ports speak no HTTP or not alone."""

OTHERS = ("dns", "unbound", "mail", "chat", "sshd")
"""Servers of other protocols, shown beside them."""


def run(names: Sequence[str], say: Callable[[str], None], talks: Sequence[bool] = (False, True)) -> dict[str, Any]:
    """Judge fixtures one after the other; each result is written as soon as it is there. The others stand as kept."""
    path = store.UNFINISHED / "protocols.json"
    kept = {r["fixture"]: r for source in (store.RESULTS / "protocols.json", path) for r in _rows(store.read(source))}
    engine = connect()
    try:
        for name in names:
            row = kept.setdefault(name, {"fixture": name})
            for talk in talks:
                row["talked" if talk else "connected"] = found = _judged(engine, fixtures.load(name), talk)
                passed, asked = found["heldout"]
                say(f"{name}, {'talked' if talk else 'connected'} to: {passed}/{asked} {'; '.join(found['failed'])}")
            store.write(path, store.result("protocols", fixtures=[kept[n] for n in sorted(kept)]))
    finally:
        engine.close()
    return store.result("protocols", fixtures=[kept[name] for name in sorted(kept)])


def _rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = result.get("fixtures", [])
    return rows


def _judged(engine: Engine, fixture: fixtures.Fixture, talk: bool) -> dict[str, Any]:
    target = f"debloat-bench/protocols:{fixture.name}"
    heldout = [check.name for check in fixture.checks if not check.trained]
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as scratch:
        recipe = Path(scratch, "debloat.toml")
        recipe.write_text(_recipe(fixture, talk))
        words = ["slim", fixtures.tag(fixture.name), "-c", str(recipe), "--level", "exact", "-t", target]
        made = tool.run(words, fixture.directory)
    figures: dict[str, Any] = {"code": made.code, "seconds": round(made.wall, 1)}
    figures["record"] = made.stages.get("record", 0.0)
    if made.code:
        return figures | {"error": made.errors[-1500:], "heldout": [0, len(heldout)], "failed": heldout, "bytes": 0}
    try:
        answers = generality._judged(target, fixture)
    finally:
        with contextlib.suppress(DebloatError):
            engine.untag(target)
    passed = {answer.name for answer in answers if answer.passed}
    failed = [name for name in heldout if name not in passed]
    return figures | {
        "heldout": [len(heldout) - len(failed), len(heldout)],
        "failed": failed,
        "bytes": made.report["after"]["bytes"],
    }


def _recipe(fixture: fixtures.Fixture, talk: bool) -> str:
    """A fixture's own recipe with the way it is run and nothing that is asked of it."""
    run_options = tomllib.loads(fixture.recipe.read_text("utf-8")).get("run_options", {})
    lines = [f"talk = {str(talk).lower()}", "[run_options]"]
    return "\n".join([*lines, *(f"{key} = {_toml(value)}" for key, value in run_options.items()), ""])


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


HEAD = (
    *("fixture", "connected to: held-out", "MB", "talked to: held-out", "MB"),
    *("recording connected, s", "talked, s", "what still fails"),
)


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    """The table: databases, brokers and stores with their sum, then others."""
    rows = {row["fixture"]: row for row in _rows(result)}
    lines = [_line(rows[name]) for name in FIXTURES if name in rows]
    lines.append(_sum("together", [rows[name] for name in FIXTURES if name in rows]))
    lines += [_line(row) for name, row in rows.items() if name not in FIXTURES]
    return table(HEAD, lines, markdown=markdown)


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    cells: list[str] = [row["fixture"]]
    for how in ("connected", "talked"):
        found = row.get(how)
        cells += [_of([found]), f"{found['bytes'] / 1e6:.1f}"] if found else ["", ""]
    seconds = [f"{row[how]['record']:.1f}" if how in row else "" for how in ("connected", "talked")]
    return (*cells, *seconds, "; ".join(row["talked"]["failed"]) if "talked" in row else "")


def _sum(name: str, rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    both = [_of([row[how] for row in rows if how in row]) for how in ("connected", "talked")]
    return (name, both[0], "", both[1], "", "", "", "")


def _of(found: Sequence[dict[str, Any]]) -> str:
    passed, asked = (sum(one["heldout"][i] for one in found) for i in (0, 1))
    return f"{passed}/{asked} ({share(passed, asked):.0f} %)" if asked else ""
