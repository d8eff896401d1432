"""An image that a verb works on, wherever it lies: on an engine, or in a store without one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from debloat import sensor
from debloat.core.errors import EngineUnavailable, InternalError
from debloat.core.model import Image, ImageConfig
from debloat.engine.workspace import Scratch, Workspace
from debloat.image.archive import docker_archive, file_part
from debloat.image.reader import open_rootfs
from debloat.image.rootfs import Rootfs
from debloat.store.base import ImageStore
from debloat.store.location import Location
from debloat.store.opened import open_store

if TYPE_CHECKING:
    from debloat.store.layers import OpenLayers, Spooled


class Source(Protocol):
    """An image that is open for as long as its run is. `directory` is the run's, for what is made of it."""

    @property
    def image(self) -> Image: ...

    @property
    def directory(self) -> Path: ...

    def rootfs(self) -> Rootfs:
        """Its root file system, contents on demand."""

    def whole_config(self) -> ImageConfig:
        """Its configuration with the fields that an engine may not tell of."""

    def runnable(self) -> Image:
        """The image as the run's engine has it, brought there where it has to be; gone again with the run."""


class OnEngine:
    """An image of the run's engine."""

    def __init__(self, workspace: Workspace, reference: str, pull: bool) -> None:
        self._workspace = workspace
        self._image = workspace.engine.image(reference, pull=pull)

    @property
    def image(self) -> Image:
        return self._image

    @property
    def directory(self) -> Path:
        return self._workspace.directory

    def rootfs(self) -> Rootfs:
        """Read by the sensor: out of the layers where they lie on this machine, else in a container of its own."""
        binary = sensor.binary(self._workspace.engine.info().architecture)
        return open_rootfs(self._workspace, self._image, binary)

    def whole_config(self) -> ImageConfig:
        """As the engine tells it, or as it lies in its archive."""
        return self._workspace.engine.whole_config(self._image)

    def runnable(self) -> Image:
        """The image itself."""
        return self._image


class InStore:
    """An image of a store; its layers are read in this process, once."""

    def __init__(self, run: Scratch, store: ImageStore, location: Location) -> None:
        self._run = run
        self._store = store
        self._location = location
        self._stored = store.image(location.platform)
        self._layers: OpenLayers | None = None

    @property
    def image(self) -> Image:
        return self._stored.image

    @property
    def directory(self) -> Path:
        return self._run.directory

    def _open(self) -> OpenLayers:
        if self._layers is None:
            from debloat.store.layers import open_layers  # which an image of the engine does not need

            self._layers = open_layers(self._store, self._stored, self.directory, str(self._location))
        return self._layers

    @property
    def config(self) -> bytes:
        """The image's configuration, as it lies in the store."""
        return self._stored.config

    def spooled(self) -> Mapping[str, Spooled]:
        """Its layers uncompressed, by their diff IDs."""
        return self._open().layers

    def rootfs(self) -> Rootfs:
        """Read out of the layers: no container is started for it."""
        return self._open().rootfs

    def whole_config(self) -> ImageConfig:
        """The configuration as it lies in the store."""
        return self.image.config

    def runnable(self) -> Image:
        """The image loaded into the run's engine, under a name that goes with the run; it must be the same there."""
        if not isinstance(self._run, Workspace):
            raise InternalError("an image is to be run, and there is no engine")
        spooled = self._open().layers
        layers = [
            (key, spooled[key].size, file_part(spooled[key].file, *spooled[key][1:])) for key in self.image.layers
        ]
        name = self._run.load(lambda name: docker_archive(self._stored.config, layers, [name]))
        loaded = self._run.engine.image(name, pull=False)
        if loaded.layers != self.image.layers:
            raise EngineUnavailable(
                f"cannot run {self._location}: the engine made another image of it", "run `debloat doctor`"
            )
        return replace(self.image, id=loaded.id)


@contextlib.contextmanager
def opened(run: Scratch, location: Location, *, pull: bool = True) -> Iterator[Source]:
    """The image of a location, on the run's engine where it is one of an engine's (the run is a `Workspace` then)."""
    if isinstance(run, Workspace) and run.engine.info().traits.own:
        yield OnEngine(run, str(location), pull)
        return
    if location.on_engine and (isinstance(run, Workspace) or not location.stated):
        if not isinstance(run, Workspace):
            raise InternalError(f"{location} is on an engine, and there is none")
        yield OnEngine(run, location.name, pull)
        return
    with open_store(location) as store:
        yield InStore(run, store, location)
