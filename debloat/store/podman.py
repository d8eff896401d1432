"""Images in Podman's storage, `containers-storage:`, by its own command: its lock and tables are no one else's."""

from __future__ import annotations

import contextlib
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from debloat.core.errors import UsageError
from debloat.image.archive import archive
from debloat.image.oci import Referrer, Written, digest_of, manifest, plain_layers
from debloat.store.base import StoreError
from debloat.store.location import Location
from debloat.store.saved import SavedImage

TIMEOUT = 600.0
"""Seconds for Podman to write or read an image."""


class PodmanImage(SavedImage):
    """An image of Podman's, as `podman save` writes it: with the health check, which OCI's format has no place for."""

    def __init__(self, location: Location) -> None:
        super().__init__(location, functools.partial(_save, location))


def _save(location: Location, file: Path) -> None:
    _podman(["save", "--format", "docker-archive", "-o", str(file), location.name], location)


class PodmanSink:
    """Puts an image into Podman's storage."""

    def __init__(self, location: Location) -> None:
        self._location = location

    def write(self, image: Written, names: Iterable[str], referrers: Iterable[Referrer] = ()) -> str:
        """Load it under the location's own name."""
        if list(referrers):
            raise UsageError(f"cannot write attestations to {self._location}", "Podman's storage has no place for them")
        with tempfile.TemporaryDirectory(prefix="debloat-") as directory:
            file = Path(directory) / "image.tar"
            with file.open("wb") as out:
                out.writelines(archive(image, names))
            _podman(["load", "-q", "-i", str(file)], self._location)
        return digest_of(manifest(image, plain_layers(image)))


def program(location: Location) -> str:
    """Podman; UsageError where it is not there for a location."""
    found = shutil.which("podman")
    if found is None:
        raise UsageError(f"cannot use {location}: Podman is not installed here", "apt-get install podman")
    return found


def _podman(words: Sequence[str], location: Location) -> None:
    """Run Podman; UsageError with its words where it fails, StoreError where it takes too long."""
    nothing = subprocess.DEVNULL
    started = subprocess.Popen([program(location), *words], stdin=nothing, stdout=nothing, stderr=subprocess.PIPE)
    with _ended(started) as process:
        try:
            _, errors = process.communicate(timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            raise StoreError(
                f"cannot use {location}: Podman takes longer than {TIMEOUT:.0f} s", "does `podman images` answer?"
            ) from None
    if process.returncode:
        said = errors.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it gives no cause"]
        cause = said[0].removeprefix("Error: ")
        raise UsageError(f"cannot use {location}: Podman says: {cause}", "`podman images` says which there are")


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block."""
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
