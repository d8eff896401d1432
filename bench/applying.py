"""Applying a lock from an OCI layout to an OCI layout: what it costs where no engine is asked."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import store, tool
from bench.layouts import layout
from bench.stats import spread, table
from tests.support import fixtures
from tests.support.stores import Pack

FIXTURE = "toolbox"
"""An image of 200 MB."""
CPU_MOST = 1.0
"""Seconds of the processors, layers compressed as registries keep them."""
PACKS: dict[str, Pack] = {"gzip": gzip.compress, "plain": bytes}

Say = Callable[[str], None]


def run(say: Say, *, runs: int = 5) -> dict[str, Any]:
    """Lock the image once on the engine; then apply the lock to a layout of it, `runs` times for each compression."""
    image = fixtures.build(FIXTURE)
    forms = []
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as name:
        directory = Path(name)
        lock = directory / "debloat.lock"
        _done(tool.run(["lock", image, "--lock", str(lock), "--output", f"oci:{directory / 'locked'}"], directory))
        for form, pack in PACKS.items():
            source = layout(image, directory / form, pack)
            found = [_applied(source, lock, directory) for _ in range(runs)]
            cpu, wall = spread(r.cpu for r in found), spread(r.wall for r in found)
            say(f"apply: {form}: {cpu.median:.2f} s of the processors, {wall.median:.2f} s")
            forms.append({"name": form, "cpu": cpu.plain(), "wall": wall.plain(), "rss": max(r.rss for r in found)})
    return store.result("apply", forms=forms)


def _applied(source: Path, lock: Path, directory: Path) -> tool.ToolRun:
    out = directory / "out"
    shutil.rmtree(out, ignore_errors=True)
    return _done(tool.run(["apply", f"oci:{source}", "--lock", str(lock), "--output", f"oci:{out}"], directory))


def _done(run: tool.ToolRun) -> tool.ToolRun:
    if run.code:
        raise ValueError(run.errors)
    return run


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    return [
        (f"apply without an engine, {row['name']}: seconds of CPU", row["cpu"]["median"], CPU_MOST)
        for row in result["forms"]
    ]


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    rows = [
        (r["name"], f"{r['cpu']['median']:.2f} s", f"{r['wall']['median']:.2f} s", f"{r['rss'] / 1e6:.0f} MB")
        for r in result["forms"]
    ]
    return table(("layers", "processors", "wall", "peak"), rows, markdown=markdown)
