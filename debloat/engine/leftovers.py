"""What runs left on a Docker-compatible engine, by their label and the names of their images."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from debloat.core.reference import split_reference
from debloat.engine.base import PENDING_REPOSITORY, RUN_LABEL, Leftover
from debloat.engine.client import Client
from debloat.engine.inspection import mapping, text


def found(client: Client, run: str, pending: Collection[str]) -> tuple[Leftover, ...]:
    """What one run left, or all. Images that are not proven yet are in the repositories `pending`."""
    label = {"label": f"{RUN_LABEL}={run}" if run else RUN_LABEL}
    left = [_container(raw) for raw in client.containers(all=True, filters=label) or ()]
    left += [_shared("network", raw, text(raw, "Id")) for raw in client.networks(filters=label) or ()]
    volumes = client.volumes(filters=label).get("Volumes") or ()
    left += [_shared("volume", raw, text(raw, "Name")) for raw in volumes]
    for image in client.images(name=PENDING_REPOSITORY) or ():
        for name in image.get("RepoTags") or ():
            repository, tag = split_reference(name)
            if repository in pending and run in ("", tag):
                left.append(Leftover("image", image["Id"], tag, name))
    return tuple(sorted(left, key=lambda one: (one.kind, one.run, one.id)))


def _container(raw: Mapping[str, Any]) -> Leftover:
    """A container of a run's, of a row of `GET /containers/json`."""
    name = (raw.get("Names") or ["/?"])[0].lstrip("/")
    return Leftover("container", raw["Id"], text(mapping(raw, "Labels"), RUN_LABEL), name)


def _shared(kind: str, raw: Mapping[str, Any], identifier: str) -> Leftover:
    """A network or a volume of a run's."""
    return Leftover(kind, identifier, text(mapping(raw, "Labels"), RUN_LABEL), text(raw, "Name"))
