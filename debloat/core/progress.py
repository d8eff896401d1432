"""What a run says while it works: stages with their time, and lines. Renderers subclass it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """A finished stage and the seconds it took."""

    name: str
    seconds: float


class Progress:
    """Collects stages; says nothing itself."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage for the length of a block."""
        begun = time.perf_counter()
        self.begin(name)
        try:
            yield
        finally:
            stage = Stage(name, time.perf_counter() - begun)
            self.stages.append(stage)
            self.end(stage)

    def begin(self, name: str) -> None: ...

    def end(self, stage: Stage) -> None: ...

    def say(self, text: str) -> None:
        """A line of detail."""

    def close(self) -> None: ...
