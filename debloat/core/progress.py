"""What a run says while it works: stages with their time, and lines of detail. A run speaks to `Progress` and prints
nothing; a renderer implements it."""

from __future__ import annotations

import abc
import contextlib
import time
from collections.abc import Iterator

from msgspec import Struct


class Stage(Struct, frozen=True):
    """A finished stage and the seconds it took."""

    name: str
    seconds: float


class Progress(abc.ABC):
    """The interface of whatever follows a run.

    Stages follow each other in the thread of the run, and each that begins ends, also when an error ends it. Lines may
    come from any thread, within a stage and between two.
    """

    @abc.abstractmethod
    def begin(self, name: str) -> None:
        """A stage begins."""

    @abc.abstractmethod
    def end(self, stage: Stage) -> None:
        """The stage that began last has ended."""

    @abc.abstractmethod
    def say(self, text: str) -> None:
        """A line of detail. It may quote an image: it is not printable as it is."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage for the length of a block."""
        self.begin(name)
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.end(Stage(name, time.perf_counter() - begun))


class Silent(Progress):
    """Nobody follows the run."""

    def begin(self, name: str) -> None: ...

    def end(self, stage: Stage) -> None: ...

    def say(self, text: str) -> None: ...


class Stopwatch(Progress):
    """Passes everything on, and keeps the stages for the report."""

    def __init__(self, follower: Progress) -> None:
        self._follower = follower
        self._stages: list[Stage] = []

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that have ended, in their order."""
        return tuple(self._stages)

    def begin(self, name: str) -> None:
        self._follower.begin(name)

    def end(self, stage: Stage) -> None:
        self._stages.append(stage)
        self._follower.end(stage)

    def say(self, text: str) -> None:
        self._follower.say(text)
