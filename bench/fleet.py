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
from dataclasses import dataclass, field
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
WORKERS = (1, 10, 50, 100, 200)
SEEDS = (1, 2)
FILES = {LOG: 20_000, REPORT: 100_000, LOCK: 200_000}
"""Bytes of what an item leaves in the ledger, about as the fixtures do."""

LARGE = 10_000
"""Items of the fleet whose memory is measured."""
IDLE_MOST = 0.1
PLAN_MOST = 2.0
RSS_MOST = 200 * 10**6

NOISE = 0.3
"""By what share the same work takes longer or shorter another time."""

Say = Callable[[str], None]

Measured = Mapping[str, Mapping[str, float]]
"""By image the `seconds` of its run and the `bytes` of its files."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A simulated run: seconds in all, the share of the workers' time that was work, the coordinator's own seconds."""

    seconds: float
    efficiency: float
    coordinator: float


@dataclass(slots=True)
class Simulated:
    """An executor over a clock of its own: each item takes as long as it is said to, and fails no one."""

    seconds: Mapping[str, float]
    """By the name of an item."""
    size: int
    """Workers, each with an engine of its own."""
    bytes: Mapping[str, int] = field(default_factory=dict)
    """Of the images, by their names."""
    clock: float = 0.0
    coordinator: float = 0.0
    """Seconds that the coordinator really took."""
    name: str = "simulated"

    def workers(self) -> tuple[Worker, ...]:
        return tuple(Worker(f"worker{n}", f"engine{n}", "1") for n in range(self.size))

    def names(self) -> tuple[str, ...]:
        return ()

    def look(self, references: Iterable[str], *, pull: bool) -> Iterator[Sighting]:
        return (
            Sighting(reference, "", f"identity of {reference}", bytes=self.bytes.get(reference, 0))
            for reference in references
        )

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
    rows: list[dict[str, Any]] = []
    for workers in WORKERS:
        found = [simulate(measured, workers, seed) for seed in SEEDS]
        rows.append(
            {
                "workers": workers,
                "first": spread(first.efficiency for first, _ in found).plain(),
                "later": spread(later.efficiency for _, later in found).plain(),
                "seconds": spread(later.seconds for _, later in found).plain(),
                "coordinator": round(spread(later.coordinator / ITEMS for _, later in found).median, 4),
            }
        )
        first, later = (rows[-1][which]["median"] for which in ("first", "later"))
        say(f"fleet: {workers} workers: efficiency {first:.3f}, another time {later:.3f}")
    planning = spread(_apart(planned, ITEMS)[0] for _ in range(5))
    memory = _apart(coordinated, LARGE)[1]
    say(f"fleet: planning {ITEMS:,} items takes {planning.median:.2f} s; {LARGE:,} items take {memory / 1e6:.0f} MB")
    return store.result(
        "fleet", measured=measured, items=ITEMS, fleets=rows, planning=planning.plain(), large=LARGE, rss=memory
    )


def _measured(report: Path | None) -> Measured:
    """What images took: by a report, or by the committed result."""
    if report is None:
        committed: Measured = store.read(store.RESULTS / "fleet.json").get("measured", {})
        if not committed:
            raise ValueError("nothing was measured yet: give the report of a `debloat fleet run` with --report")
        return committed
    items = json.loads(report.read_text("utf-8"))["items"]
    found = {
        item["name"]: {"seconds": item["seconds"], "bytes": item["bytes_before"]}
        for item in items
        if item["status"] == Status.DONE
    }
    if not found:
        raise ValueError(f"{report} has no image that was made in its run")
    return found


def simulate(measured: Measured, workers: int, seed: int, items: int = ITEMS) -> tuple[Fleet, Fleet]:
    """Two runs over a fleet of so many items, whose times are drawn with a seed.

    Of the first only the sizes of its images are known. The second is a later one, with another recipe, whose items
    take up to `NOISE` more or less than in the first.
    """
    drawn, known = random.Random(seed), sorted(measured.items())
    images = {f"image{n:05}:1": drawn.choice(known)[1] for n in range(items)}
    first = {name: float(found["seconds"]) for name, found in images.items()}
    later = {name: seconds * drawn.uniform(1 - NOISE, 1 + NOISE) for name, seconds in first.items()}
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as directory:
        return (
            carried_out(
                Simulated(first, workers, {n: int(f["bytes"]) for n, f in images.items()}), "1", Path(directory)
            ),
            carried_out(Simulated(later, workers), "2", Path(directory)),
        )


def carried_out(executor: Simulated, recipe: str, directory: Path) -> Fleet:
    """A run over the images of an executor, with a ledger on disk."""
    items = [Item(name, Verb.RUN, f"{name}-slim", (), recipe, "safe", "1") for name in executor.seconds]
    ledger = Ledger(directory / "state")
    report = run_fleet(directory / "fleet.toml", items, Verb.RUN, executor, ledger, Unseen(), "bench")
    if report.count(Status.DONE) != len(items):
        raise RuntimeError(f"{report.count(Status.DONE)} of {len(items)} items were done")
    work = sum(executor.seconds.values())
    return Fleet(executor.clock, work / (executor.size * executor.clock), executor.coordinator)


def _apart(what: Callable[[int], tuple[float, int]], items: int) -> tuple[float, int]:
    """Seconds and resident bytes of something in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(what, items).result()


def planned(items: int) -> tuple[float, int]:
    """Plan a fleet of so many entries: the seconds of the processor, and the most that this process had resident."""
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as name:
        path = Path(name) / "fleet.toml"
        path.write_text('[defaults]\nrecipe = { http = ["/"] }\nlock = "locks/{short}-{tag}.lock"\n' + _entries(items))
        begun = time.process_time()
        found = plan.plan(config.read(path), Verb.RUN, "1", tuple)
        seconds = time.process_time() - begun
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
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as directory:
        found = carried_out(Simulated({f"image{n}:1": 5.0 for n in range(items)}, 100), "1", Path(directory))
    return seconds + found.coordinator, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def bars(result: dict[str, Any]) -> list[tuple[str, float, float]]:
    """What must hold: (what, measured, at most)."""
    idle = {row["workers"]: 1 - row["later"]["median"] for row in result["fleets"]}
    return [
        *((f"idle share of {workers} workers", idle[workers], IDLE_MOST) for workers in (10, 100) if workers in idle),
        ("seconds of the processor to plan 1,000 items", result["planning"]["median"], PLAN_MOST),
        (f"MB resident with {result['large']:,} items", result["rss"] / 1e6, RSS_MOST / 1e6),
    ]


def summary(result: dict[str, Any], *, markdown: bool = False) -> str:
    rows = [
        (
            row["workers"],
            f"{row['seconds']['median'] / 60:.1f} min",
            f"{row['first']['median'] * 100:.1f} %",
            f"{row['later']['median'] * 100:.1f} %",
            f"{row['coordinator'] * 1000:.1f} ms",
        )
        for row in result["fleets"]
    ]
    head = ("workers", f"{result['items']:,} images", "efficiency at first", "another time", "coordinator, an image")
    times = sorted(found["seconds"] for found in result["measured"].values())
    told = (
        f"Times drawn from {len(times)} measured runs ({times[0]:.1f} to {times[-1]:.1f} s,"
        f" mean {sum(times) / len(times):.1f} s). Planning 1,000 images takes {result['planning']['median']:.2f} s of a"
        f" processor; the coordinator of {result['large']:,} has {result['rss'] / 1e6:.0f} MB resident."
    )
    return f"{table(head, rows, markdown=markdown)}\n\n{told}"
