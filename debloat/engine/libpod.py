"""What only Podman's own API knows: it answers on the same socket as Docker's, of which it speaks a part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from debloat.core.model import Image
from debloat.engine.base import RUN_LABEL, ContainerSpec
from debloat.engine.client import Client
from debloat.engine.inspection import mapping

API = "v4.0.0"
"""The oldest version of libpod's API that is spoken; every later Podman answers to it."""

_HIDDEN = ("HEALTHCHECK", "SHELL", "ONBUILD")
"""Instructions whose outcome Docker's part of the API leaves out of an image's `Config`."""


def create(client: Client, spec: ContainerSpec) -> str:
    """Create the container that reads an image: with the image mounted at `spec.image_at`. Its id."""
    document = {
        "image": spec.image,
        "entrypoint": list(spec.entrypoint),
        "command": list(spec.cmd),
        "user": spec.user,
        "work_dir": spec.workdir,
        "labels": {RUN_LABEL: spec.run},
        "netns": {"nsmode": spec.network},
        "cap_add": list(spec.cap_add),
        "volumes": [{"Dest": path} for path in spec.anonymous],
        "image_volumes": [{"Source": spec.image, "Destination": spec.image_at}],
        "image_volume_mode": "ignore",
        "stdin": spec.stdin,
        "healthconfig": {"Test": ["NONE"]},
        **({} if spec.logs else {"log_configuration": {"driver": "none"}}),
    }
    answer = client.ask("POST", f"/{API}/libpod/containers/create", document)
    container = answer["Id"]
    if not container or not isinstance(container, str):
        raise ValueError("a container without an Id")
    return container


def shown_configuration(client: Client, image: Image) -> dict[str, Any]:
    """`Config` as Docker's part of the API shows it, and the health check that Podman's own adds to it."""
    health = mapping(client.ask("GET", f"/{API}/libpod/images/{image.id}/json"), "Healthcheck")
    return {**image.config.raw, **({"Healthcheck": health} if health else {})}


def hides(image: Image, shown: Mapping[str, Any]) -> bool:
    """Whether an image's configuration may hold more than `shown`: its history says so, or says nothing at all.

    The health check is shown in part (no `StartInterval`), and not at all of an image in OCI's format.
    """
    hidden = any(word in line for line in image.history for word in _HIDDEN)
    return hidden or "Healthcheck" in shown or not any(image.history)
