"""A run over a fleet: who is there, what is what, what is done already, and the rest handed out, a row an image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.core.text import count
from debloat.core.written import written_whole
from debloat.fleet.executor import Executor
from debloat.fleet.ledger import LOCK, Ledger
from debloat.fleet.model import Finished, FleetReport, Item, Outcome, Status, Task, Verb, Worker


class Follower(Protocol):
    """Whoever watches a run; it is told in the thread of the run."""

    def begin(self, items: int, workers: Sequence[Worker]) -> None:
        """Work on so many items begins."""

    def working(self, at_work: Mapping[str, tuple[str, ...]]) -> None:
        """Which worker has which items now."""

    def ended(self, outcome: Outcome) -> None:
        """An item has ended, or was found done."""

    def finish(self) -> None:
        """Nothing more comes."""


class Resolved(Struct, frozen=True):
    """Items whose images are known; the engines that have each image, and its bytes, by its name."""

    items: tuple[Item, ...]
    engines: Mapping[str, tuple[str, ...]]
    bytes: Mapping[str, int]


Shares = Callable[[Item], str]
"""How the layer of an item's image is to be divided (`Task.share`)."""


def run(
    fleet: Path,
    items: Sequence[Item],
    verb: Verb,
    executor: Executor,
    ledger: Ledger,
    follower: Follower,
    tool: str,
    *,
    shares: Shares = lambda item: "",
) -> FleetReport:
    """Do what is not done yet. Errors that are raised concern all items, and nothing has begun then, or workers went.

    Each row is on disk before the next is asked for: a run that ends in any way goes on from there.
    """
    begun = time.monotonic()
    workers = executor.workers()
    with ledger.held():
        resolved = resolve(items, executor)
        ledger.note(item.name for item in items)
        rows = dict(_done(resolved.items, executor, ledger))
        by_key = {item.key: item for item in resolved.items}
        todo = longest_first([item for key, item in by_key.items() if key not in rows], resolved, ledger)
        follower.begin(len(by_key), workers)
        try:
            for row in rows.values():
                follower.ended(row)
            tasks = (task_of(item, resolved.engines, shares) for item in todo)
            for finished in executor.run(tasks, follower.working):
                row = _keep(finished, by_key[finished.outcome.key], ledger)
                rows[row.key] = row
                follower.ended(row)
        finally:
            follower.finish()
    outcomes = tuple(rows.get(key) or pending(item) for key, item in by_key.items())
    seconds = round(time.monotonic() - begun, 3)
    return FleetReport(tool, verb, str(fleet), executor.name, workers, outcomes, seconds)


def resolve(items: Sequence[Item], executor: Executor) -> Resolved:
    """Find out what each image is. UsageError, before anything is started, where there is none of that name."""
    names = sorted({item.name for item in items})
    identities: dict[str, str] = {}
    engines: dict[str, tuple[str, ...]] = {}
    sizes: dict[str, int] = {}
    errors: dict[str, tuple[str, str]] = {}
    for pull in (False, True):
        wanted = [name for name in names if name not in identities]
        for seen in executor.look(wanted, pull=pull) if wanted else ():
            if seen.error:
                errors.setdefault(seen.reference, (seen.error, seen.hint))
            elif identities.setdefault(seen.reference, seen.identity) != seen.identity:
                raise UsageError(
                    f"the workers' engines have different images that are called {seen.reference}",
                    "load the same one into all of them, or name it by its digest",
                )
            else:
                sizes[seen.reference] = max(sizes.get(seen.reference, 0), seen.bytes)
                if seen.engine:
                    engines[seen.reference] = (*engines.get(seen.reference, ()), seen.engine)
        if pull and (missing := [name for name in names if name not in identities]):
            message, hint = errors.get(missing[0], (f"cannot find the image {missing[0]}", ""))
            more = f" (and {count(len(missing) - 1, 'more image')} of the fleet)" if len(missing) > 1 else ""
            raise UsageError(f"{message}{more}", hint)
        errors.clear()
    return Resolved(tuple(replace(i, identity=identities[i.name]) for i in items), engines, sizes)


def longest_first(items: Sequence[Item], resolved: Resolved, ledger: Ledger) -> list[Item]:
    """The order in which items are begun: a long one that is begun last is what all other workers would wait for.

    What was done before is known by how long that took. What was never done goes before it, by the size of its image.
    """
    took = {(row.name, row.verb): row.seconds for _, row in ledger.rows()} if items else {}

    def order(item: Item) -> tuple[bool, float, str, str]:
        seconds = took.get((item.name, item.verb))
        long = resolved.bytes.get(item.name, 0) if seconds is None else seconds
        return seconds is not None, -long, item.name, item.target

    return sorted(items, key=order)


def _done(items: Iterable[Item], executor: Executor, ledger: Ledger) -> Iterator[tuple[str, Outcome]]:
    """The rows of what earlier runs did, where what they made is still there."""
    rows = {}
    for item in items:
        row = ledger.read(item.key)
        if row is not None and row.status.well:
            rows[item.key] = (item, replace(row, status=Status.UNCHANGED))
    targets = sorted({row.target for _, row in rows.values() if row.digest})
    found = {(seen.reference, seen.identity) for seen in executor.look(targets, pull=False)} if targets else set()
    for key, (item, row) in rows.items():
        if (not row.digest or (row.target, row.digest) in found) and _lock_is_there(item, ledger):
            yield key, row


def _lock_is_there(item: Item, ledger: Ledger) -> bool:
    """Whether the lock that a run writes is where it belongs; it is put there again where it was kept."""
    path = Path(item.lock)
    if item.verb is not Verb.RUN or not item.lock or path.exists():
        return True
    try:
        data = (ledger.place(item.key) / LOCK).read_bytes()
    except OSError:
        return False
    _write(path, data)
    return True


def _keep(finished: Finished, item: Item, ledger: Ledger) -> Outcome:
    """Keep what came of an item: its lock where the fleet says, then its row."""
    if item.verb is Verb.RUN and item.lock and finished.outcome.status.well:
        _write(Path(item.lock), finished.files[LOCK])
    outcome = replace(finished.outcome, plain=item.plain)
    return ledger.write(replace(finished, outcome=outcome))


def _write(path: Path, data: bytes) -> None:
    with written_whole(path) as draft:
        draft.write_bytes(data)


def task_of(item: Item, engines: Mapping[str, tuple[str, ...]], shares: Shares = lambda item: "") -> Task:
    """An item with the values that a worker needs, its lock among them."""
    lock = ""
    if item.lock and item.verb is not Verb.RUN:
        try:
            lock = Path(item.lock).read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise UsageError(
                f"cannot read the lock {item.lock}: {error.strerror}", "`debloat fleet run` writes it"
            ) from error
    return Task(
        item.key,
        item.name,
        item.verb,
        item.identity,
        item.target,
        item.recipes,
        lock,
        Path(item.lock).name if lock else "",
        shares(item),
        engines.get(item.name, ()),
    )


def pending(item: Item) -> Outcome:
    """The row of an item that nobody has begun."""
    return Outcome(item.key, item.name, Status.PENDING, item.verb, item.target, item.identity)


def standing(items: Iterable[Item], rows: Iterable[Outcome]) -> Iterator[Outcome]:
    """The rows of items among those of a ledger, the oldest first; what is older than its recipe is pending."""
    by_name: dict[str, list[Outcome]] = {}
    for row in rows:
        by_name.setdefault(row.name, []).append(row)
    for item in items:
        fitting = [
            row
            for row in by_name.get(item.name, ())
            if replace(item, identity=row.image).key == (row.plain or row.key)
            and not (row.plain and row.status.well and not row.digest)  # what it keeps is known, and nothing made
        ]
        yield fitting[-1] if fitting else pending(item)
