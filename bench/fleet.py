"""Fleets by simulation: the coordinator as it is, over workers whose times are drawn from runs that were measured.

Time passes for the workers on a clock of the simulation. What the coordinator does between two items (its ledger, its
plan) takes the time that it really takes, and workers that wait for it wait.
"""

from __future__ import annotations

import heapq
import itertools
import json
import multiprocessing
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import store
from bench.stats import spread, table
from debloat.fleet import config, plan
from debloat.fleet.executor import Follow, Sighting
from debloat.fleet.ledger import LOCK, LOG, REPORT, Ledger
from debloat.fleet.model import Finished, Item, Outcome, Status, Task, Verb, Worker
from debloat.fleet.run import run as run_fleet

ITEMS = 1000
WORKERS = (1, 2, 5, 10, 20, 50, 100, 200)
SEEDS = (1, 2, 3)
FILES = {LOG: 20_000, REPORT: 100_000, LOCK: 200_000}
"""Bytes of what an item leaves in the ledger, about as the fixtures do."""

LARGE = 10_000
"""Items of the fleet whose memory is measured."""
IDLE_MOST = 0.1
PLAN_MOST = 2.0
RSS_MOST = 200 * 10**6

Say = Callable[[str], None]


@dataclass(slots=True)
class Simulated:
    """An executor over a clock of its own: each item takes as long as it is said to, and fails no one."""

    seconds: Mapping[str, float]
    """By the name of an item."""
    size: int
    """Workers, each with an engine of its own."""
    clock: float = 0.0
    coordinator: float = 0.0
    """Seconds that the coordinator really took."""
    name: str = "simulated"

    def workers(self) -> tuple[Worker, ...]:
        return tuple(Worker(f"worker{n}", f"engine{n}", "1") for n in range(self.size))

    def names(self) -> tuple[str, ...]:
        return ()

    def look(self, references: Iterable[str], *, pull: bool) -> Iterator[Sighting]:
        return (Sighting(reference, "", f"identity of {reference}") for reference in references)

    def run(self, tasks: Iterable[Task], follow: Follow) -> Iterator[Finished]:
        """Hand a task to whichever worker is free, when the coordinator comes to it."""
        waiting, free, order = iter(tasks), self.size, itertools.count()
        at_work: list[tuple[float, int, Task]] = []
        files = {name: bytes(size) for name, size in FILES.items()}
        while True:
            while free and (task := self._drawn(waiting)) is not None:
                free -= 1
                heapq.heappush(at_work, (self.clock + self.seconds[task.name], next(order), task))
            if not at_work:
                return
            end, _, task = heapq.heappop(at_work)
            self.clock, free = max(self.clock, end), free + 1
            row = Outcome(
                task.key, task.name, Status.DONE, task.verb, task.target, task.identity, seconds=self.seconds[task.name]
            )
            begun = time.perf_counter()
            yield Finished(row, files)
            self._took(begun)

    def _drawn(self, waiting: Iterator[Task]) -> Task | None:
        begun = time.perf_counter()
        task = next(waiting, None)
        self._took(begun)
        return task

    def _took(self, begun: float) -> None:
        seconds = time.perf_counter() - begun
        self.clock += seconds
        self.coordinator += seconds

    def close(self) -> None: ...


class Unseen:
    """A follower that looks away."""

    def begin(self, items: int, workers: Sequence[Worker]) -> None: ...
    def working(self, at_work: Mapping[str, tuple[str, ...]]) -> None: ...
    def ended(self, outcome: Outcome) -> None: ...
    def finish(self) -> None: ...


def run(say: Say, *, report: Path | None = None) -> dict[str, Any]:
    """Simulate fleets of each number of workers. Times are those of a report of `debloat fleet run`, or of the last."""
    measured = _measured(report)
    rows = []
    for workers in WORKERS:
        found = [simulate(measured, workers, seed) for seed in SEEDS]
        rows.append(
            {
                "workers": workers,
                "efficiency": spread(f["efficiency"] for f in found).plain(),
                "hours": spread(f["seconds"] / 3600 for f in found).plain(),
                "coordinator": round(spread(f["coordinator"] / ITEMS for f in found).median, 4),
            }
        )
        say(f"fleet: {workers} workers: efficiency {rows[-1]['efficiency']['median']:.3f}")
    planning = spread(_apart(planned, ITEMS)[0] for _ in range(5))
    memory = _apart(coordinated, LARGE)[1]
    say(f"fleet: planning {ITEMS:,} items takes {planning.median:.2f} s; {LARGE:,} items take {memory / 1e6:.0f} MB")
    return store.result(
        "fleet", measured=measured, items=ITEMS, fleets=rows, planning=planning.plain(), large=LARGE, rss=memory
    )


def _measured(report: Path | None) -> dict[str, float]:
    """Seconds by image: of what a report did, else of the committed result."""
    if report is None:
        committed: dict[str, float] = store.read(store.RESULTS / "fleet.json").get("measured", {})
        if not committed:
            raise ValueError("nothing was measured yet: give the report of a `debloat fleet run` with --report")
        return committed
    items = json.loads(report.read_text("utf-8"))["items"]
    found = {item["name"]: item["seconds"] for item in items if item["status"] == Status.DONE}
    if not found:
        raise ValueError(f"{report} has no image that was made in its run")
    return found


def simulate(measured: Mapping[str, float], workers: int, seed: int, items: int = ITEMS) -> dict[str, float]:
    """One run over a fleet of so many items, whose times are drawn with a seed."""
    drawn, known = random.Random(seed), sorted(measured.items())
    seconds = {f"image{n:05}:1": drawn.choice(known)[1] for n in range(items)}
    executor = Simulated(seconds, workers)
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as name:
        directory = Path(name)
        report = run_fleet(
            directory / "fleet.toml",
            [_item(reference) for reference in seconds],
            Verb.RUN,
            executor,
            Ledger(directory / "state"),
            Unseen(),
            "bench",
        )
    if report.count(Status.DONE) != items:
        raise RuntimeError(f"{report.count(Status.DONE)} of {items} items were done")
    work = sum(seconds.values())
    return {
        "seconds": executor.clock,
        "efficiency": work / (workers * executor.clock),
        "coordinator": executor.coordinator,
    }


def _item(name: str) -> Item:
    return Item(name, Verb.RUN, f"{name}-slim", (), "recipe", "safe", "1")


def _apart(what: Callable[[int], tuple[float, int]], items: int) -> tuple[float, int]:
    """Seconds and resident bytes of something in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(what, items).result()


def planned(items: int) -> tuple[float, int]:
    """Plan a fleet of so many entries: the seconds, and the most that this process had resident."""
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as name:
        path = Path(name) / "fleet.toml"
        path.write_text('[defaults]\nrecipe = { http = ["/"] }\nlock = "locks/{short}-{tag}.lock"\n' + _entries(items))
        begun = time.perf_counter()
        found = plan.plan(config.read(path), Verb.RUN, "1", tuple)
        seconds = time.perf_counter() - begun
    if len(found) != items:
        raise RuntimeError(f"{len(found)} of {items} items were planned")
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _entries(items: int) -> str:
    return "".join(f'[[entry]]\nimage = "registry.example/team{n % 50}/image{n:05}:1"\n' for n in range(items))


def coordinated(items: int) -> tuple[float, int]:
    """Plan and simulate a fleet of so many items: the seconds of the coordinator, and the most it had resident."""
    seconds, _ = planned(items)
    for name in FILES:
        FILES[name] = 100  # the disk is not what is measured
    found = simulate({"one": 5.0}, 100, 1, items)
    return seconds + found["coordinator"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    idle = {row["workers"]: 1 - row["efficiency"]["median"] for row in result["fleets"]}
    return [
        *((f"idle share of {workers} workers", idle[workers], IDLE_MOST) for workers in (10, 100) if workers in idle),
        ("seconds to plan 1,000 items", result["planning"]["median"], PLAN_MOST),
        (f"MB resident with {result['large']:,} items", result["rss"] / 1e6, RSS_MOST / 1e6),
    ]


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    rows = [
        (
            row["workers"],
            f"{row['hours']['median'] * 60:.1f} min",
            f"{row['efficiency']['median'] * 100:.1f} %",
            f"{row['efficiency']['low'] * 100:.1f} %",
            f"{row['coordinator'] * 1000:.1f} ms",
        )
        for row in result["fleets"]
    ]
    head = ("workers", f"{result['items']:,} images", "efficiency", "the worst of three", "coordinator, an image")
    times = sorted(result["measured"].values())
    told = (
        f"Times drawn from {len(times)} measured runs ({times[0]:.1f} to {times[-1]:.1f} s,"
        f" mean {sum(times) / len(times):.1f} s). Planning 1,000 images takes {result['planning']['median']:.2f} s;"
        f" the coordinator of {result['large']:,} has {result['rss'] / 1e6:.0f} MB resident."
    )
    return f"{table(head, rows, markdown=markdown)}\n\n{told}"
