"""The engine of one call of the command line: connected to when a verb first asks for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from debloat.core.platform import wanted

if TYPE_CHECKING:
    from debloat.engine.base import Engine


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

    def connect(self) -> Engine:
        """The engine; EngineUnavailable where it cannot be reached."""
        if self._engine is None:
            self._engine = (self._connect or _usual)()
            if platform := self.platform or os.environ.get("DOCKER_DEFAULT_PLATFORM"):
                self._engine.prefer(wanted(platform))
        return self._engine

    def close(self) -> None:
        """Give the connection back, if there is one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def _usual() -> Engine:
    from debloat.engine.docker import connect

    return connect()
