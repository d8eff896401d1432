"""The values of a fleet: what is to be done with each image, and what came of it, a row an image.

All of them are plain: they are JSON on the way to a worker and back, and in the ledger.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct


class Verb(enum.StrEnum):
    """What is done with every image of a fleet."""

    RUN = "run"
    """Record, close, cut, prove, tag: what `debloat IMAGE` does."""
    APPLY = "apply"
    """Make the minimal image by its lock; nothing of it is started."""
    CHECK = "check"
    """Hold it against its lock and the rules of its recipe."""


KEPT = "kept"
"""What a task's `share` is where only what the image keeps is to be said."""


class Status(enum.StrEnum):
    """What became of an item. The value is what reports say."""

    PENDING = "pending"
    DONE = "done"
    """Made now: tagged, or checked and found well."""
    UNCHANGED = "unchanged"
    """Done by an earlier run, and its result is still there."""
    REFUSED = "refused"
    """The gate refused it."""
    DIFFERS = "differs"
    """The proof failed: it was not tagged."""
    FAILED = "failed"
    """It could not be done, for the reason that its error says."""

    @property
    def well(self) -> bool:
        """Whether there is a result that can be used."""
        return self in (Status.DONE, Status.UNCHANGED)

    @property
    def bad(self) -> bool:
        """Whether somebody has to look at it."""
        return self in (Status.REFUSED, Status.DIFFERS, Status.FAILED)


class Item(Struct, frozen=True):
    """One image of a fleet and what is to be done with it.

    `name` is what reports call it, the reference under which it is found; `target` what the result is called, or where
    it goes (`debloat.store.location`). `recipes` are tables of `debloat.toml` as JSON, the later over the earlier, and
    `recipe` is the digest of what they come to. `lock` is the path of its lock, empty for none, `lock_digest` the
    digest of what an `apply` or `check` reads there. `identity` is what the image is (`debloat.core.identity`), empty
    until somebody has looked. `share` is what is done with its layer: a digest of `Task.share`, empty for nothing, and
    `plain` the key that it has without.
    """

    name: str
    verb: Verb
    target: str
    recipes: tuple[str, ...]
    recipe: str
    level: str
    version: str
    lock: str = ""
    lock_digest: str = ""
    identity: str = ""
    share: str = ""
    plain: str = ""

    @property
    def key(self) -> str:
        """What the item is: 64 hexadecimal digits over image, recipe, lock, level, version, verb, target and share.

        What makes nothing has its image's name in place of a target.
        """
        made = self.target or self.name
        what: tuple[str, ...] = (
            self.verb,
            self.identity,
            self.recipe,
            self.lock_digest,
            self.level,
            self.version,
            made,
        )
        what = (*what, self.share) if self.share else what
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()


class Task(Struct, frozen=True):
    """An item as a worker gets it: values alone. `lock` is the text of the lock, empty where there is none.

    `share` is how its layer is to be divided with other images', as JSON (`share.dump_parts`); empty for one layer of
    its own; `KEPT` where nothing is to be made yet, only said what the image keeps. `prefers` are the engines that have
    the image already; any other may be given it.
    """

    key: str
    name: str
    verb: Verb
    identity: str
    target: str
    recipes: tuple[str, ...]
    lock: str = ""
    lock_name: str = ""
    share: str = ""
    prefers: tuple[str, ...] = ()


class Worker(Struct, frozen=True):
    """Who carries out items: `engine` names the engine it uses, the same for workers that share one.

    `slots` is how many items it works on at a time.
    """

    name: str
    engine: str
    version: str
    slots: int = 1


class Outcome(Struct, frozen=True):
    """The row of an image: what became of it.

    `image` is the identity of the original, `digest` that of the result, `layer` the digest of its layer uncompressed.
    Bytes are of files, -1 where nobody knows; `seconds` is how long the work took. `exit_code` is the one that the same
    work for this image alone ends with, `error` one sentence, `hint` what to do about it. `engine` is where the result
    is tagged, empty where it lies elsewhere. `log` is the path of what the work said, below the state directory.
    `plain` is the key of the same item in one layer of its own, where it has layers in common with others.
    """

    key: str
    name: str
    status: Status
    verb: Verb
    target: str = ""
    image: str = ""
    digest: str = ""
    layer: str = ""
    bytes_before: int = -1
    bytes_after: int = -1
    exit_code: int = 0
    error: str = ""
    hint: str = ""
    seconds: float = 0.0
    worker: str = ""
    engine: str = ""
    log: str = ""
    plain: str = ""


class Finished(Struct, frozen=True):
    """What comes back of a task: its row, and files to keep of it (`log`, `report.json`, `debloat.lock`, ...)."""

    outcome: Outcome
    files: Mapping[str, bytes] = MappingProxyType({})


class InLayers(Struct, frozen=True):
    """An image in layers: `single` is the size of its one layer, `own` of what lies on those that it shares.

    `size` is that of all its layers together, which are `layers`.
    """

    target: str
    single: int
    own: int
    size: int
    layers: int


class Sharing(Struct, frozen=True):
    """What shared layers bought: bytes of layers uncompressed.

    `before` is all images in one layer each, `after` all layers, each once; `shared` those of more than one image, of
    which there are `layers`. No image has more than `most`.
    """

    most: int
    layers: int
    before: int
    after: int
    shared: int
    images: tuple[InLayers, ...]


class FleetReport(Struct, frozen=True):
    """A run over a fleet. `fleet` is the file that says what it is, `executor` who carried it out.

    `sharing` is what shared layers bought, where they were asked for.
    """

    tool: str
    verb: str
    fleet: str
    executor: str
    workers: tuple[Worker, ...]
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0
    sharing: Sharing | None = None

    @property
    def passed(self) -> bool:
        return not any(o.status.bad for o in self.outcomes)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        return tuple(o for o in self.outcomes if o.status.bad)

    def count(self, status: Status) -> int:
        """How many items ended so."""
        return sum(o.status is status for o in self.outcomes)

    @property
    def bytes_before(self) -> int:
        """Bytes of the originals of which there is a minimal image."""
        return sum(o.bytes_before for o in _sized(self.outcomes))

    @property
    def bytes_after(self) -> int:
        """Bytes of the minimal images."""
        return sum(o.bytes_after for o in _sized(self.outcomes))

    @property
    def exit_code(self) -> int:
        """0 where all is well, 1 where some failed the gate or the proof; else the highest code of an item's error."""
        codes = [1 if o.status in (Status.REFUSED, Status.DIFFERS) else o.exit_code for o in self.failures]
        return max(codes, default=0)


def _sized(outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    return (o for o in outcomes if o.status.well and o.bytes_before >= 0 and o.bytes_after >= 0)
