"""The engine of one call of the command line: connected to when a verb first asks for it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from debloat.core.platform import Wanted, wanted

if TYPE_CHECKING:
    from debloat.engine.base import Engine
    from debloat.store.source import Source


class Engines:
    """Gives a verb its engine, the same one each time, and closes it with the command.

    `connect` makes it; without one it is the engine that the environment names (`debloat.engine.docker.connect`), whose
    client is imported then and not before. It stands in click's context, so that tests put another in its place.
    """

    def __init__(self, connect: Callable[[], Engine] | None = None) -> None:
        self.platform = ""
        """What images are to be for (`debloat.core.platform.wanted`); empty for what the engine takes by itself."""
        self._connect = connect
        self._engine: Engine | None = None

    @property
    def wanted(self) -> Wanted | None:
        """The platform that images are to be for, if one was asked for."""
        name = self.platform or os.environ.get("DOCKER_DEFAULT_PLATFORM")
        return wanted(name) if name else None

    def for_image(self, reference: str) -> Engine | None:
        """The engine where an image is one of its own; None for one that lies elsewhere, which can be read without."""
        from debloat.store.location import image_location

        return self.connect() if image_location(reference).on_engine else None

    @contextlib.contextmanager
    def opened(self, reference: str) -> Iterator[Source]:
        """An image to be looked at, wherever it lies; the engine is connected where it is one of its own."""
        from debloat.engine.workspace import Scratch, Workspace
        from debloat.store.location import image_location
        from debloat.store.source import opened

        engine = self.for_image(reference)
        with (
            Workspace(engine) if engine is not None else Scratch() as run,
            opened(run, image_location(reference, self.wanted)) as source,
        ):
            yield source

    def connect(self) -> Engine:
        """The engine; EngineUnavailable where it cannot be reached."""
        if self._engine is None:
            self._engine = (self._connect or _usual)()
            if self.wanted is not None:
                self._engine.prefer(self.wanted)
        return self._engine

    def close(self) -> None:
        """Give the connection back, if there is one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def _usual() -> Engine:
    from debloat.engine.docker import connect

    return connect()
