"""The sockets of this machine at which an engine is looked for. Cheap to import, for what cannot wait for a client."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

DOCKER = "/var/run/docker.sock"


def sockets() -> tuple[str, ...]:
    """Paths at which the engine may be, in order: the first that is answered at is the engine.

    Empty where the environment or a context of the docker command names something else than a socket of this machine.
    """
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        return (host.removeprefix("unix://"),) if host.startswith("unix://") else ()
    return () if _context() not in ("", "default") else (DOCKER, *podman_sockets())


def podman_sockets() -> Iterator[str]:
    """Podman's sockets that are there: the user's own, then root's (`podman system service`)."""
    own = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    for place in dict.fromkeys((own, "/run")):
        path = Path(place) / "podman" / "podman.sock"
        with contextlib.suppress(OSError):  # of another user
            if path.is_socket():
                yield str(path)


def _context() -> str:
    """The context of the docker command that is chosen (`docker context use`); empty for none."""
    if name := os.environ.get("DOCKER_CONTEXT"):
        return name
    place = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return str(json.loads((place / "config.json").read_bytes()).get("currentContext") or "")
    return ""
