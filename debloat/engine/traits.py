"""What an engine is like: the habits in which engines differ, asked of the engine itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

KNOWS_START_INTERVAL = (1, 44)
"""Version of the API since which `Healthcheck` has `StartInterval` (Docker Engine 25)."""


class EngineTraits(Struct, frozen=True):
    """Habits of an engine.

    `product` is whose it is, `command` a command line for hints, its own where it has one. `store` is how it keeps
    images: `classic` (Docker's graph drivers: an image's id is the digest of its configuration), `containerd` (that of
    a manifest or an index) or `containers` (Podman's storage: as in `classic`). `api` is the version of the API that is
    spoken.
    `rootless`: its containers' root is an ordinary user outside. `remapped`: so are they all, under a root that is none
    (Docker's userns-remap): what lies in its directories belongs to other ids than in containers.
    """

    product: str = "docker"
    store: str = "classic"
    api: tuple[int, int] = (1, 41)
    rootless: bool = False
    remapped: bool = False

    @property
    def command(self) -> str:
        return "docker" if self.own else self.product

    @property
    def own(self) -> bool:
        """Whether it is debloat's own: it takes images from wherever they lie, and shows their layers."""
        return self.product == "embedded"

    @property
    def registry(self) -> str:
        """What stands before the name of an image that was made here and names no registry; empty for nothing."""
        return "localhost" if self.store == "containers" else ""

    @property
    def id_is_configuration(self) -> bool:
        """Whether an image's id is the digest of its configuration."""
        return self.store != "containerd"

    @property
    def hides_configuration(self) -> bool:
        """Whether what it answers of an image lacks HEALTHCHECK, SHELL and ONBUILD, as Podman's answers do."""
        return self.store == "containers"

    @property
    def mounts_images(self) -> bool:
        """Whether a container can have an image mounted as it is, untouched by what the engine puts into containers."""
        return self.store == "containers"

    @property
    def shows_manifests(self) -> bool:
        """Whether it tells of an index which manifests are in it, attestations too (API 1.48)."""
        return self.product == "docker" and self.api >= (1, 48)

    @property
    def shows_platforms(self) -> bool:
        """Whether it describes any of an index's images, not that of its own platform alone (API 1.49)."""
        return self.product == "docker" and self.store == "containerd" and self.api >= (1, 49)

    @property
    def shows_start_interval(self) -> bool:
        """Whether all of a health check is shown."""
        return self.api >= KNOWS_START_INTERVAL


DOCKER = EngineTraits()
"""Docker Engine as it is at least."""

PODMAN = EngineTraits("podman", "containers")
"""Podman, run by root."""


def traits_of(version: Mapping[str, Any], info: Mapping[str, Any], api: str) -> EngineTraits:
    """The traits that the answers to `/version` and `/info` tell of; what an answer lacks is as Docker had it first."""
    components = [str(c.get("Name", "")) for c in version.get("Components") or () if isinstance(c, Mapping)]
    podman = any(name.startswith("Podman") for name in components)
    status = {str(row[0]): str(row[1]) for row in info.get("DriverStatus") or () if len(row or ()) == 2}
    store = "classic"
    if podman:
        store = "containers"
    elif status.get("driver-type", "").startswith("io.containerd."):
        store = "containerd"
    security = [str(option) for option in info.get("SecurityOptions") or ()]
    rootless = any("name=rootless" in option for option in security) or bool(info.get("Rootless"))
    remapped = any("name=userns" in option for option in security)
    return EngineTraits("podman" if podman else "docker", store, api_version(api), rootless, remapped)


def api_version(text: str) -> tuple[int, int]:
    """`1.41` as numbers; what is no version counts as the oldest that is spoken."""
    match = re.match(r"(\d{1,4})\.(\d{1,4})", text, re.ASCII)
    return (int(match[1]), int(match[2])) if match else (1, 24)
