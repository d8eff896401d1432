"""A run over a fleet whose images share layers: first what each keeps, then the plan, then every image in its layers.

Both steps are runs over items of their own in the ledger, so either goes on where it was killed. Nothing is tagged or
written before all is planned. What is proven in the first step is made in the second: the same tree, from its lock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.fleet import kept
from debloat.fleet.executor import Executor
from debloat.fleet.kept import KeptSet
from debloat.fleet.ledger import KEPT_FILE, LOCK, Ledger
from debloat.fleet.model import KEPT, FleetReport, InLayers, Item, Outcome, Sharing, Verb
from debloat.fleet.run import Follower, resolve, run
from debloat.fleet.share import MOST_LAYERS, SharePlan, dump_parts, plan


def run_shared(
    fleet: Path,
    items: Sequence[Item],
    verb: Verb,
    executor: Executor,
    ledger: Ledger,
    follower: Follower,
    tool: str,
    *,
    most: int = MOST_LAYERS,
) -> FleetReport:
    """`run` over images in shared layers, at most `most` each, for `run` and `apply`.

    An image that could not be proven or cut shares nothing; its row is that of the first step.
    """
    executor.workers()
    items = resolve(items, executor).items
    asked = {item.target: replace(item, share=KEPT, plain=item.key) for item in items}
    first = run(fleet, tuple(asked.values()), verb, executor, ledger, follower, tool, shares=lambda _: KEPT)
    rows = dict(zip(asked, first.outcomes, strict=True))
    ready = {target: item for target, item in asked.items() if rows[target].status.well}
    planned = plan(ready, lambda target: _kept_set(ready[target], ledger), most)

    def share(item: Item) -> str:
        return dump_parts(planned.parts(item.target))  # made when it is needed: all together would be large

    making = tuple(_making(item, share(item), ledger) for item in ready.values())
    second = run(fleet, making, verb, executor, ledger, follower, tool, shares=share)
    rows.update((target, _both(rows[target], row)) for target, row in zip(ready, second.outcomes, strict=True))
    return replace(
        first,
        outcomes=tuple(rows[target] for target in asked),
        seconds=round(first.seconds + second.seconds, 3),
        sharing=bought(planned, most),
    )


def _kept_set(item: Item, ledger: Ledger) -> KeptSet:
    path = ledger.place(item.key) / KEPT_FILE
    return kept.parse(_stored(path), str(path))


def _stored(path: Path) -> bytes:
    """What the first step left; UsageError where somebody took it away."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", f"remove {path.parent}, and run again") from error


def _making(item: Item, share: str, ledger: Ledger) -> Item:
    """The second step of an item: its image by the lock of the first, its layer divided."""
    lock = ledger.place(item.key) / LOCK
    return replace(
        item,
        verb=Verb.APPLY,
        lock=str(lock),
        lock_digest=hashlib.sha256(_stored(lock)).hexdigest(),
        share=hashlib.sha256(share.encode()).hexdigest(),
    )


def _both(first: Outcome, second: Outcome) -> Outcome:
    """The row of an image that took both steps."""
    return replace(second, verb=first.verb, seconds=round(first.seconds + second.seconds, 3))


def bought(planned: SharePlan, most: int) -> Sharing:
    """What a plan saves."""
    images = (
        InLayers(image.name, image.single, image.own, planned.size(image), len(image.layers) + 1)
        for image in planned.images
    )
    return Sharing(most, len(planned.layers), planned.before, planned.after, planned.shared, tuple(images))
