"""What an image is, whatever an engine calls it: its configuration in normal form, and a digest of that and its layers.

Engines show the same configuration in different words: Docker's classic store lists every field of its own structure,
empty ones and those of the build container too; the containerd store and newer APIs leave these out. The id that an
engine gives is the digest of the configuration as it was written in one store, of a manifest or an index in another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

_IMAGE_FIELDS = frozenset(
    {
        *("User", "WorkingDir", "Env", "Entrypoint", "Cmd", "Shell", "ArgsEscaped"),
        *("ExposedPorts", "Volumes", "Healthcheck", "StopSignal", "Labels", "OnBuild"),
    }
)
"""Fields that a container takes over from its image (OCI image specification, config.md; Docker Image Specification
1.2). An empty one says what a missing one says."""

_CONTAINER_FIELDS = frozenset(
    {
        *("AttachStderr", "AttachStdin", "AttachStdout", "OpenStdin", "StdinOnce", "Tty"),
        *("Domainname", "Hostname", "Image", "MacAddress", "NetworkDisabled"),
    }
)
"""Fields of the container that an image was built in. No container takes them over."""


def normal_config(raw: Mapping[str, Any]) -> dict[str, Any]:
    """An engine's `Config` object less empty fields and those of the build container; unknown ones stay."""
    return {
        key: value for key, value in raw.items() if key not in _CONTAINER_FIELDS and (value or key not in _IMAGE_FIELDS)
    }


def identity_of(document: bytes) -> str:
    """The identity of an image by its configuration as a store holds it (OCI image specification, config.md)."""
    configuration = json.loads(document)
    platform = "/".join(
        filter(None, (configuration["os"], configuration["architecture"], configuration.get("variant")))
    )
    return identity(platform, configuration.get("config") or {}, configuration["rootfs"]["diff_ids"])


def identity(platform: str, raw: Mapping[str, Any], layers: Iterable[str]) -> str:
    """`sha256:...` over platform, configuration and layers (their diff IDs): the same on every engine, in every store.

    Times, history and builder are no part of it, nor a health check's intervals, which engines before Docker 25 show
    in part, nor fields that only some engines know.
    """
    config = {key: value for key, value in normal_config(raw).items() if key in _IMAGE_FIELDS}
    health = config.get("Healthcheck")
    if isinstance(health, Mapping):
        config["Healthcheck"] = health.get("Test")
    document = {"platform": platform, "config": config, "layers": list(layers)}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}"
