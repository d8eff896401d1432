"""Who logs in to a registry: the files that `docker login` and `podman login` write, and the helpers that they name.

docker-py reads one file and asks its helpers; which files there are, and keys with a path in them, are the concern of
containers-auth.json(5).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.engine.dockerpy import docker


class Credentials(Struct, frozen=True):
    """A name with a password, or a token that is exchanged for others (OAuth 2.0 refresh token)."""

    username: str = ""
    password: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Credentials({self.username!r})"


def files() -> Iterator[Path]:
    """Where credentials are looked for, in this order."""
    environment = os.environ
    if named := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    runtime = environment.get("XDG_RUNTIME_DIR")
    yield (Path(runtime) if runtime else Path(f"/run/containers/{os.getuid()}")) / "containers" / "auth.json"
    yield Path(f"/run/containers/{os.getuid()}/auth.json")
    home = Path(environment.get("HOME") or Path.home())
    yield Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json"
    yield Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"


def credentials(registry: str, path: str) -> Credentials | None:
    """The credentials for a repository; None where nobody has logged in. UsageError for a file that is damaged."""
    for file in files():
        if not file.is_file():
            continue
        try:
            if (found := _in(docker.auth.load_config(str(file)), registry, path)) is not None:
                return found
        except (docker.errors.DockerException, ValueError, AttributeError, TypeError, OSError) as error:
            raise UsageError(
                f"cannot use the credentials for {registry} in {file}: {_cause(error)}",
                f"log in again: `docker login {registry}`",
            ) from None
    return None


def _cause(error: Exception) -> str:
    """What is wrong, without what a file or a helper says: that may be a secret."""
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    if isinstance(error, docker.errors.DockerException) and "Credentials store error" in str(error):
        return "its credential helper failed"
    return "it is damaged"


def _in(config: docker.auth.AuthConfig, registry: str, path: str) -> Credentials | None:
    parts = path.split("/")
    # The longest key with a path in it, as containers/image has them.
    for count in range(len(parts), 0, -1):
        entry = config.auths.get("/".join((registry, *parts[:count])))
        if entry and (found := _made(entry)):
            return found
    entry = config.resolve_authconfig(registry)
    return _made(entry) if entry else None


def _made(entry: dict[str, str]) -> Credentials | None:
    lower = {key.lower(): value for key, value in entry.items()}
    found = Credentials(lower.get("username") or "", lower.get("password") or "", lower.get("identitytoken") or "")
    return found if found.token or found.username else None
