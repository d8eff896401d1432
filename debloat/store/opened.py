"""The store of a location: a table of transports."""

from __future__ import annotations

from collections.abc import Callable

from debloat.core.errors import InternalError
from debloat.store.base import ImageStore
from debloat.store.location import Location, Transport


def open_store(location: Location) -> ImageStore:
    """The store of a location that is not the engine's; to be used as a context manager."""
    from debloat.store.files import DockerArchive, Layout
    from debloat.store.podman import PodmanImage
    from debloat.store.registry import RegistryImage

    stores: dict[Transport, Callable[[Location], ImageStore]] = {
        Transport.DOCKER_ARCHIVE: DockerArchive,
        Transport.OCI: Layout,
        Transport.OCI_ARCHIVE: Layout,
        Transport.REGISTRY: RegistryImage,
        Transport.CONTAINERS: PodmanImage,
    }
    make = stores.get(location.transport)
    if make is None:
        raise InternalError(f"{location} is no store")
    return make(location)
