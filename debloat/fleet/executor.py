"""The seam to who carries out the items of a fleet: this machine, a cluster, or a fake in tests.

An executor passes values on and back, and knows nothing of images. What a worker does with a value is `work.answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from msgspec import Struct

from debloat.fleet.model import Finished, Task, Worker


class Sighting(Struct, frozen=True):
    """What an engine says of a reference: the image's identity and its bytes, or the sentence why it has none."""

    reference: str
    engine: str
    identity: str = ""
    error: str = ""
    hint: str = ""
    bytes: int = 0


Follow = Callable[[Mapping[str, tuple[str, ...]]], None]
"""Told, now and then, which worker has which items, by their names."""


class Executor(Protocol):
    """Who carries out tasks. Errors that concern all of them are raised, what concerns one is in its outcome."""

    @property
    def name(self) -> str:
        """What reports call it: `local`, `dask`."""

    def workers(self) -> tuple[Worker, ...]:
        """Who is there, by name. WorkersUnavailable where nobody is within a bounded time, or one is another version.

        It is asked first: nothing has begun then.
        """

    def names(self) -> tuple[str, ...]:
        """The names of all images on all engines, sorted, each once."""

    def look(self, references: Iterable[str], *, pull: bool) -> Iterator[Sighting]:
        """What each engine says of each reference; with `pull`, one engine each, which may fetch the image."""

    def run(self, tasks: Iterable[Task], follow: Follow) -> Iterator[Finished]:
        """Carry out the tasks, and give back each once, in the order in which they end.

        Tasks are drawn as workers become free, so that no more of them are in memory than are at work. One whose worker
        dies is given to another.
        """

    def close(self) -> None:
        """End what is still at work, and give back connections."""
