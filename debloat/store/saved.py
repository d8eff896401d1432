"""Images of whoever writes them into an archive when asked: the archive goes when the image is closed."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from debloat.store.files import DockerArchive
from debloat.store.location import Location, Transport


class SavedImage(DockerArchive):
    """The image of a location, which `save` writes into the file that it is given, as `docker save` does."""

    def __init__(self, location: Location, save: Callable[[Path], None]) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="debloat-")
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._directory)
            saved = Path(self._directory.name) / "image.tar"
            save(saved)
            super().__init__(Location(Transport.DOCKER_ARCHIVE, saved))
            self._tags = [location.name]
            self.where = str(location)
            stack.pop_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self._directory.cleanup()
