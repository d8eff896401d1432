"""Cost: what a run of the tool takes, per fixture and stage, and beside the floor for the web server."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import floor, store, tool
from bench.stats import ratios, spread, table
from debloat import sensor
from debloat.core.errors import DebloatError
from debloat.engine.base import Engine
from debloat.engine.docker import connect
from tests.support import fixtures

WEB, PORT = "nginx", 80
"""The web-server fixture, which the floor is measured with."""
APPLIED = (WEB, "flask")
"""Fixtures whose locks are applied: a small image and one of 200 MB."""
RATIO_MOST = 2.0
SECONDS_MOST = 2.5
APPLY_MOST = 2.0

Say = Callable[[str], None]


def run(names: Sequence[str], say: Say, *, runs: int = 5) -> dict[str, Any]:
    """Measure the tool on fixtures whose images are there, `runs` times each; the web server against the floor."""
    engine = connect()
    found: dict[str, Any] = {}
    try:
        if WEB in names:
            try:
                found["floor"] = _against_floor(engine, runs)
                say(_floor_line(found["floor"]))
            except (DebloatError, OSError, KeyError) as error:
                say(f"{WEB}: not held against the floor: {error}")
        if applied := [done for name in APPLIED if name in names and (done := _applied(engine, name, runs, say))]:
            found["apply"] = applied
        rows = []
        for name in names:
            try:
                rows.append(_fixture(engine, name, runs))
                say(f"{name}: {rows[-1]['wall']['median']:.2f} s")
            except (DebloatError, OSError) as error:
                say(f"{name}: skipped: {error}")
        return store.result("cost", fixtures=rows, **found)
    finally:
        engine.close()


def _run(engine: Engine, name: str, *more: str) -> tool.ToolRun:
    """One run whose result is removed again, so that the next one has to load it again."""
    fixture = fixtures.load(name)
    target = f"debloat-bench/{name}:cost"
    given = ["slim", fixtures.tag(name), "-c", str(fixture.recipe), "--level", "safe", "-t", target, *more]
    try:
        return tool.run(given, fixture.directory)
    finally:
        with contextlib.suppress(DebloatError):
            engine.untag(target)


def _fixture(engine: Engine, name: str, runs: int) -> dict[str, Any]:
    engine.image(fixtures.tag(name))
    done = [_run(engine, name) for _ in range(runs)]
    stages = list(dict.fromkeys(stage for run in done for stage in run.stages))
    return {
        "name": name,
        "codes": sorted({r.code for r in done}),
        "wall": spread(r.wall for r in done).plain(),
        "cpu": spread(r.cpu for r in done).plain(),
        "rss": max(r.rss for r in done),
        "stages": {stage: round(spread(r.stages.get(stage, 0.0) for r in done).median, 3) for stage in stages},
    }


def _against_floor(engine: Engine, runs: int) -> dict[str, Any]:
    """The tool and the floor in turns. The first run of each is not counted: it fills the machine's caches."""
    binary = sensor.binary(engine.info().architecture)
    walls, floors = list[float](), list[floor.Floor]()
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as scratch:
        archive, layer = Path(scratch, "minimal.tar"), Path(scratch, "layer.tar")
        first = _run(engine, WEB, "--output", str(archive))
        if first.code:
            raise DebloatError(f"debloat failed on {WEB}: {first.errors}")
        floor.layer_of(archive, layer)
        floor.measure(engine, fixtures.tag(WEB), binary, PORT, layer)
        for number in range(runs):
            for tools in (True, False) if number % 2 == 0 else (False, True):
                if tools:
                    walls.append(_run(engine, WEB).wall)
                else:
                    floors.append(floor.measure(engine, fixtures.tag(WEB), binary, PORT, layer))
        size = layer.stat().st_size
    return {
        "fixture": WEB,
        "wall": spread(walls).plain(),
        "floor": spread(f.total for f in floors).plain(),
        "containers": spread(f.containers for f in floors).plain(),
        "load": spread(f.load for f in floors).plain(),
        "ratio": ratios(walls, [f.total for f in floors]).plain(),
        "layer": size,
    }


def _applied(engine: Engine, name: str, runs: int, say: Say) -> dict[str, Any] | None:
    """`debloat apply` of a lock to the image that it was made from; None where that is not there or fails."""
    target = f"debloat-bench/{name}:apply"
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as scratch:
        lock = Path(scratch, "debloat.lock")
        try:
            engine.image(fixtures.tag(name))
            first = _run(engine, name, "--lock", str(lock))
        except (DebloatError, OSError) as error:
            say(f"{name}: not applied: {error}")
            return None
        if first.code or not lock.exists():
            say(f"{name}: not applied: no lock came of it: {first.errors[-300:]}")
            return None
        done = []
        for _ in range(runs):
            done.append(tool.run(["apply", fixtures.tag(name), "--lock", str(lock), "-t", target]))
            with contextlib.suppress(DebloatError):
                engine.untag(target)
    result = _figures(name, done)
    say(_applied_line(result))
    return result


def _figures(name: str, done: Sequence[tool.ToolRun]) -> dict[str, Any]:
    return {
        "fixture": name,
        "codes": sorted({r.code for r in done}),
        "errors": next((r.errors[-300:] for r in done if r.code), ""),
        "wall": spread(r.wall for r in done).plain(),
        "cpu": spread(r.cpu for r in done).plain(),
        "rss": max(r.rss for r in done),
    }


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    found = []
    if web := result.get("floor"):
        found.append(("tool over floor", web["ratio"]["median"], RATIO_MOST))
        found.append(("seconds in all", web["wall"]["median"], SECONDS_MOST))
    for applied in result.get("apply", ()):
        found.append((f"seconds of apply, {applied['fixture']}", applied["wall"]["median"], APPLY_MOST))
    return found


def _applied_line(applied: dict[str, Any]) -> str:
    return f"apply, nothing changed, {applied['fixture']}: {applied['wall']['median']:.2f} s, at most {APPLY_MOST:g} s"


def _floor_line(web: dict[str, Any]) -> str:
    return (
        f"{web['fixture']}: {web['wall']['median']:.2f} s, floor {web['floor']['median']:.2f} s"
        f" (containers {web['containers']['median']:.2f}, load {web['load']['median']:.2f}),"
        f" ratio {web['ratio']['median']:.2f} ({web['ratio']['low']:.2f} to {web['ratio']['high']:.2f})"
    )


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    stages = list(dict.fromkeys(s for row in result["fixtures"] for s in row["stages"]))
    rows = [
        (
            row["name"] if row["codes"] == [0] else f"{row['name']} (exit code {row['codes'][-1]})",
            f"{row['wall']['median']:.2f} s",
            f"{row['cpu']['median']:.2f} s",
            f"{row['rss'] / 1e6:.0f} MB",
            *(f"{row['stages'].get(s, 0.0):.2f}" for s in stages),
        )
        for row in result["fixtures"]
    ]
    text = table(("fixture", "wall", "CPU", "peak RSS", *stages), rows, markdown=markdown)
    if web := result.get("floor"):
        text += f"\n\n{_floor_line(web)}"
    for applied in result.get("apply", ()):
        text += f"\n\n{_applied_line(applied)}"
    return text
