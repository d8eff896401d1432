"""Images of a Docker daemon, `docker-daemon:NAME`, for an engine that is none: as `docker save` writes them."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from types import TracebackType

from debloat.store.files import DockerArchive
from debloat.store.location import Location, Transport


class DaemonImage(DockerArchive):
    """An image of the daemon that answers, out of an archive that goes with it. UsageError where it has none such."""

    def __init__(self, location: Location) -> None:
        from debloat.engine.docker import connect

        self._directory = tempfile.TemporaryDirectory(prefix="debloat-")
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._directory)
            saved = Path(self._directory.name) / "image.tar"
            with contextlib.closing(connect("docker")) as engine, saved.open("wb") as out:
                out.writelines(engine.save(engine.image(location.name, pull=False).id))
            super().__init__(Location(Transport.DOCKER_ARCHIVE, saved))
            self._tags = [location.name]
            self.where = str(location)
            stack.pop_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._directory.cleanup()
