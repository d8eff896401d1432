"""The engine of one call of the command line: connected to when a verb first asks for it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from debloat.core.errors import EngineUnavailable, UsageError

if TYPE_CHECKING:
    from debloat.core.platform import Wanted
    from debloat.engine.base import Engine
    from debloat.store.source import Source

VARIABLE = "DEBLOAT_ENGINE"
"""Names the engine where the command line does not."""


class Engines:
    """Gives a verb its engine, the same one each time, and closes it with the command.

    `connect` makes it; without one it is the engine that the environment names whose client is
    imported then and not before. It stands in click's context, so that tests put another in its place.
    """

    def __init__(self, connect: Callable[[], Engine] | None = None) -> None:
        self.platform = ""
        """What images are to be for (`debloat.core.platform.wanted`); empty for what the engine takes by itself."""
        self.choice = ""
        """Which engine is wanted, by its name; empty for what the environment says, or what answers."""
        self._one_by_one = False
        self._connect = connect
        self._engine: Engine | None = None

    @property
    def wanted(self) -> Wanted | None:
        """The platform that images are to be for, if one was asked for; UsageError for all."""
        if self._one_by_one:
            return None
        from debloat.core.platform import wanted

        name = self.platform or os.environ.get("DOCKER_DEFAULT_PLATFORM")
        return wanted(name) if name else None

    @property
    def all_platforms(self) -> bool:
        """Whether each platform of an index was asked for."""
        from debloat.core.platform import ALL

        return self.platform.strip().lower() == ALL

    def take_one_by_one(self) -> None:
        """From now on an image is for whatever platform it is for: each of an index is named by its digest."""
        self._one_by_one = True

    def for_image(self, reference: str) -> Engine | None:
        """The engine where an image is one of its own; None for one that lies elsewhere, which can be read without."""
        from debloat.store.location import image_location

        location = image_location(reference)
        if not location.on_engine:
            return None
        engine = self.connect()
        # Of debloat's own engine an image of a daemon lies elsewhere.
        return None if location.stated and engine.info().traits.own else engine

    @contextlib.contextmanager
    def opened(self, reference: str, *, pull: bool = True) -> Iterator[Source]:
        """An image to be looked at, wherever it lies; the engine is connected where it is one of its own.

        Without `pull` an engine gets none that it does not have.
        """
        from debloat.engine.workspace import Scratch, Workspace
        from debloat.store.location import image_location
        from debloat.store.source import opened

        engine = self.for_image(reference)
        with (
            Workspace(engine) if engine is not None else Scratch() as run,
            opened(run, image_location(reference, self.wanted), pull=pull) as source,
        ):
            yield source

    def connect(self) -> Engine:
        """The engine; EngineUnavailable where it cannot be reached."""
        if self._engine is None:
            choice = self.choice or os.environ.get(VARIABLE, "")
            self._engine = self._connect() if self._connect else _by_name(choice)
            if self.wanted is not None:
                self._engine.prefer(self.wanted)
        return self._engine

    def close(self) -> None:
        """Give the connection back, if there is one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def _by_name(choice: str) -> Engine:
    """The engine of a name; without one the daemon that is named or answers, else debloat's own."""
    if choice == "embedded":
        return _embedded()
    if choice not in ("", "docker", "podman"):
        raise UsageError(f"cannot use the engine {choice!r}: there is none", "--engine says which there are")
    from debloat.engine import endpoint
    from debloat.engine.docker import connect

    try:
        return connect(choice)
    except EngineUnavailable as error:
        if choice or endpoint.is_named():
            raise
        try:
            return _embedded()
        except EngineUnavailable as own:
            raise EngineUnavailable(
                f"cannot run containers: no daemon answers ({error.message}), and debloat itself {own.message}",
                own.hint,
            ) from own


def _embedded() -> Engine:
    from debloat.embedded.engine import connect

    return connect()
