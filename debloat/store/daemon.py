"""Images of a Docker daemon, `docker-daemon:NAME`, for an engine that is none: as `docker save` writes them."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

from debloat.store.location import Location
from debloat.store.saved import SavedImage


class DaemonImage(SavedImage):
    """An image of the daemon that answers. UsageError where it has none such."""

    def __init__(self, location: Location) -> None:
        super().__init__(location, functools.partial(_save, location.name))


def _save(name: str, file: Path) -> None:
    from debloat.engine.docker import connect

    with contextlib.closing(connect("docker")) as engine, file.open("wb") as out:
        out.writelines(engine.save(engine.image(name, pull=False).id))
