"""The store of a location: a table of transports, each imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from debloat.store.base import ImageSink, ImageStore
from debloat.store.location import Location, Transport

_STORES: Mapping[Transport, str] = MappingProxyType(
    {
        Transport.DOCKER_ARCHIVE: "files.DockerArchive",
        Transport.OCI: "files.Layout",
        Transport.OCI_ARCHIVE: "files.Layout",
        Transport.REGISTRY: "registry.RegistryImage",
        Transport.CONTAINERS: "podman.PodmanImage",
        Transport.DAEMON: "daemon.DaemonImage",
    }
)
_SINKS: Mapping[Transport, str] = MappingProxyType(
    {
        Transport.DOCKER_ARCHIVE: "write.ArchiveSink",
        Transport.OCI: "write.LayoutSink",
        Transport.OCI_ARCHIVE: "write.ArchiveSink",
        Transport.REGISTRY: "registry.RegistrySink",
        Transport.CONTAINERS: "podman.PodmanSink",
    }
)


def open_store(location: Location) -> ImageStore:
    """The store of a location that is not the run's engine's own; to be used as a context manager."""
    return cast(ImageStore, _made(_STORES, location))


def open_sink(location: Location) -> ImageSink:
    """What writes to a location that is not the engine's."""
    return cast(ImageSink, _made(_SINKS, location))


def _made(table: Mapping[Transport, str], location: Location) -> object:
    module, _, name = table[location.transport].partition(".")
    return getattr(importlib.import_module(f"debloat.store.{module}"), name)(location)
