"""Which servers hold a repository: itself, its mirrors, another place (containers-registries.conf(5), version 2)."""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from debloat.core.errors import UsageError

_DOCKER_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}


class Endpoint(Struct, frozen=True):
    """A server and the repository on it; `plain` allows HTTP, `insecure` certificates that nobody vouches for."""

    host: str
    path: str
    plain: bool = False
    insecure: bool = False

    @property
    def server(self) -> str:
        """The host that is spoken to."""
        return _DOCKER_HUB.get(self.host, self.host)


def endpoints(host: str, path: str, *, by_digest: bool = False, pull: bool = True) -> tuple[Endpoint, ...]:
    """Where to ask for a repository, mirrors first; for a push itself alone. UsageError where it is blocked."""
    name = f"{host}/{path}"
    found = max(
        (row for row in _registries() if (prefix := _prefix(row)) and _matches(name, prefix)),
        key=lambda row: len(_prefix(row)),
        default=None,
    )
    if found is None:
        return (_endpoint(name, False),)
    if found.get("blocked") is True:
        raise UsageError(f"cannot use {name}: registries.conf blocks it", "see /etc/containers/registries.conf")
    prefix = _prefix(found)
    mirrors = [row for row in found.get("mirror") or () if isinstance(row, dict) and _serves(row, found, by_digest)]
    places = [_moved(name, prefix, row) for row in (*(mirrors if pull else ()), found)]
    return tuple(_endpoint(place, row.get("insecure") is True) for place, row in places)


def _serves(mirror: dict[str, Any], registry: dict[str, Any], by_digest: bool) -> bool:
    only = mirror.get("pull-from-mirror") or ("digest-only" if registry.get("mirror-by-digest-only") is True else "all")
    return bool(only == "all" or (only == "digest-only") == by_digest)


def _moved(name: str, prefix: str, row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    location = row.get("location")
    if not isinstance(location, str) or not location or prefix.startswith("*."):
        return name, row
    return location + name[len(prefix) :], row


def _endpoint(name: str, insecure: bool) -> Endpoint:
    host, _, path = name.partition("/")
    return Endpoint(host, path, insecure or is_loopback(host), insecure)


def is_loopback(host: str) -> bool:
    """Whether a host, with or without a port, is this machine: HTTP is allowed there, as Docker allows it."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _prefix(row: dict[str, Any]) -> str:
    prefix = row.get("prefix") or row.get("location")
    return prefix if isinstance(prefix, str) else ""


def _matches(name: str, prefix: str) -> bool:
    if prefix.startswith("*."):
        host, _, rest = prefix.partition("/")
        return name.partition("/")[0].endswith(host[1:]) and (not rest or _matches(name.partition("/")[2], rest))
    return name == prefix or name.startswith((prefix + "/", prefix + ":", prefix + "@"))


def _files() -> Iterator[Path]:
    if named := os.environ.get("CONTAINERS_REGISTRIES_CONF"):
        yield Path(named)
        return
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path(os.environ.get("HOME") or Path.home()) / ".config")
    for base in (own / "containers", Path("/etc/containers")):
        if (base / "registries.conf").is_file():
            yield base / "registries.conf"
            break
    for base in (Path("/etc/containers"), own / "containers"):
        yield from sorted((base / "registries.conf.d").glob("*.conf"))


def _registries() -> Iterator[dict[str, Any]]:
    for path in _files():
        try:
            rows = tomllib.loads(path.read_text("utf-8")).get("registry") or ()
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read {path}: {error}", "see containers-registries.conf(5)") from error
        yield from (row for row in rows if isinstance(row, dict))
