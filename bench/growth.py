"""Growth: what a run costs as the image grows and what is kept does not."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench import generated, store, tool
from bench.generated import Filler
from bench.stats import spread, table
from tests.support import fixtures

BASE = "nginx"
CHANGES = ("EXPOSE 80", 'CMD ["nginx", "-g", "daemon off;"]')
GB = 10**9
LARGE_FILE = 10**7


@dataclass(frozen=True, slots=True)
class Size:
    """An image of the series: its name, and what is added to the service's own 90 MB."""

    name: str
    filler: Filler
    large: bool = False

    @property
    def tag(self) -> str:
        return f"debloat-bench/growth:{self.name}"

    @property
    def bytes(self) -> int:
        return self.filler.files * self.filler.size


def _of_bytes(size: int) -> Filler:
    return Filler(size // LARGE_FILE, LARGE_FILE)


SIZES = (
    Size("200mb", _of_bytes(GB // 10)),
    Size("1gb", _of_bytes(GB)),
    Size("5gb", _of_bytes(5 * GB)),
    Size("15gb", _of_bytes(15 * GB), large=True),
    Size("10000-files", Filler(10_000, 100)),
    Size("25000-files", Filler(25_000, 100)),
    Size("100000-files", Filler(100_000, 100)),
    Size("500000-files", Filler(500_000, 100)),
)

SECONDS_MORE = 2.0
"""What the 5 GB image may cost more than the one of 200 MB."""
CLOSING_MOST = 2.0
"""Seconds of closing and carving at 25,000 files."""
RSS_MOST = 250 * 10**6
"""Resident bytes of the tool at 500,000 files."""

Say = Callable[[str], None]


def run(
    say: Say, *, large: bool = False, runs: int = 5, only: Sequence[str] = (), keep: bool = False
) -> dict[str, Any]:
    """Make each image, run the tool on it `runs` times next to a run on the smallest, and remove it again."""
    sizes = [s for s in SIZES if (large or not s.large) and (not only or s.name in only)]
    first = SIZES[0]
    found: list[dict[str, Any]] = []
    with made(first, say, keep):
        for size in sizes:
            if size is first:
                found.append(_measured(size, None, runs, say))
                continue
            if shutil.disk_usage(store.ROOT).free < 3 * size.bytes + 5 * GB:
                say(f"{size.name}: skipped, the disk is too full")
                continue
            with made(size, say, keep):
                found.append(_measured(size, first, runs, say))
    return store.result("growth", sizes=found)


class made:  # noqa: N801  (it is used as a function is)
    """An image of the series for the length of a block."""

    def __init__(self, size: Size, say: Say, keep: bool = False) -> None:
        self._size, self._say, self._keep = size, say, keep

    def __enter__(self) -> None:
        if not _there(self._size.tag):
            self._say(f"{self._size.name}: making the image")
            generated.make(fixtures.tag(BASE), self._size.filler, self._size.tag, CHANGES)

    def __exit__(self, *error: object) -> None:
        if not self._keep:
            _remove(self._size.tag)


def _there(tag: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", tag], capture_output=True, check=False).returncode == 0


def _remove(tag: str) -> None:
    subprocess.run(["docker", "rmi", tag], capture_output=True, check=False)


def _measured(size: Size, beside: Size | None, runs: int, say: Say) -> dict[str, Any]:
    """Figures of a size; with `beside`, of that size too, each run right before."""
    pairs = [(_once(beside) if beside else None, _once(size)) for _ in range(runs)]
    done = [run for _, run in pairs]
    more = [run.wall - small.wall for small, run in pairs if small is not None]
    found = {
        "name": size.name,
        "files": size.filler.files,
        "bytes": size.bytes,
        "wall": spread(r.wall for r in done).plain(),
        "cpu": spread(r.cpu for r in done).plain(),
        "rss": max(r.rss for r in done),
        "more": spread(more).plain() if more else None,
        "kept": done[-1].report["after"]["bytes"],
        "stages": {n: round(spread(r.stages.get(n, 0.0) for r in done).median, 3) for n in done[0].stages},
    }
    say(f"{size.name}: {found['wall']['median']:.2f} s, {found['rss'] / 1e6:.0f} MB")
    return found


def _once(size: Size) -> tool.ToolRun:
    target = f"{size.tag}-slim"
    try:
        done = tool.run(["slim", size.tag, "--http", ":80/", "--level", "safe", "-t", target])
    finally:
        _remove(target)
    if done.code:
        raise RuntimeError(f"debloat failed on {size.tag}: {done.errors}")
    return done


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    by_name = {s["name"]: s for s in result["sizes"]}
    found = []
    if (five := by_name.get("5gb")) and five["more"]:
        found.append(("seconds more at 5 GB than at 200 MB", five["more"]["median"], SECONDS_MORE))
    if some := by_name.get("25000-files"):
        found.append(("seconds to close and carve 25,000 files", some["stages"]["close and carve"], CLOSING_MOST))
    if many := by_name.get("500000-files"):
        found.append(("MB resident at 500,000 files", many["rss"] / 1e6, RSS_MOST / 1e6))
    return found


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    rows = [
        (
            s["name"],
            f"{s['files']:,}",
            f"{s['bytes'] / 1e9:.1f} GB",
            f"{s['wall']['median']:.2f} s",
            "" if s["more"] is None else f"{s['more']['median']:+.2f} s",
            f"{s['cpu']['median']:.2f} s",
            f"{s['rss'] / 1e6:.0f} MB",
            f"{s['kept'] / 1e6:.1f} MB",
        )
        for s in result["sizes"]
    ]
    head = ("added", "files", "bytes", "wall", "more than the first", "CPU", "peak RSS", "kept")
    return table(head, rows, markdown=markdown)
