"""A compose file as Compose prints it with everything resolved: its services, in the order in which they depend.

Compose has read `.env` and `env_file`, merged the files, and made paths absolute. What is read here are few fields of
the Compose Specification, in any of the forms in which Compose 1.29 and 2 write them.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct

from debloat.core.errors import UsageError

EXTENSION = "x-debloat"
"""The key of a service under which debloat's own settings for it stand."""


class Document(Struct, frozen=True):
    """A compose file, resolved. `raw` is what Compose printed; a `$` in its texts is written twice."""

    raw: Mapping[str, Any]

    @property
    def services(self) -> Mapping[str, Mapping[str, Any]]:
        return {name: service or {} for name, service in self.raw["services"].items()}


def parse(text: str) -> Document:
    """What Compose printed; UsageError where that has no services."""
    import yaml

    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(
            f"cannot read what Compose makes of the file: {' '.join(str(error).split())}",
            "does `docker compose config` print it well?",
        ) from error
    services = raw.get("services") if isinstance(raw, dict) else None
    if not isinstance(services, dict) or not services:
        raise UsageError("cannot use the compose file: it has no services", "name another with -f FILE")
    if not all(service is None or isinstance(service, dict) for service in services.values()):
        raise UsageError(
            "cannot use the compose file: a service is no table", "write what it is made of below its name"
        )
    return Document(raw)


def used(document: Document, chosen: Iterable[str], profiles: Collection[str]) -> tuple[str, ...]:
    """The services that are started, those that others depend on first: all of the active profiles, and the chosen.

    UsageError for a chosen one that is not there.
    """
    services = document.services
    for name in chosen:
        if name not in services:
            raise UsageError(
                f"there is no service {name!r} in the compose file; there are: {', '.join(sorted(services))}",
                "a service of a profile is there with --profile NAME",
            )
    wanted = set(profiles)
    active = [name for name, s in sorted(services.items()) if not s.get("profiles") or wanted & set(s["profiles"])]
    found: dict[str, None] = {}

    def add(name: str, way: tuple[str, ...]) -> None:
        if name in found or name in way or name not in services:
            return
        for other in dependencies(services[name]):
            add(other, (*way, name))
        found[name] = None

    for name in (*active, *sorted(chosen)):
        add(name, ())
    return tuple(found)


def dependencies(service: Mapping[str, Any]) -> tuple[str, ...]:
    """The services that one needs to be there before it."""
    named = list(service.get("depends_on") or ())
    named += [str(link).partition(":")[0] for link in service.get("links") or ()]
    for key in ("network_mode", "pid", "ipc"):
        kind, _, name = str(service.get(key) or "").partition(":")
        named += [name] if kind == "service" else []
    named += [
        v.partition(":")[0] for v in map(str, service.get("volumes_from") or ()) if not v.startswith("container:")
    ]
    return tuple(sorted(set(named)))


def words(value: object) -> tuple[str, ...] | None:
    """A command in either form; None where the file leaves it to the image."""
    if value is None:
        return None
    return tuple(shlex.split(plain(value)) if isinstance(value, str) else map(plain, _items(value)))


def plain(value: object) -> str:
    """A text as a container gets it."""
    return str(value).replace("$$", "$")


def quoted(text: str) -> str:
    """A text as a compose file has it, where `$` begins a variable."""
    return text.replace("$", "$$")


def table(value: object) -> dict[str, Any]:
    """`environment`, `labels` and the like: a table, or lines `KEY=VALUE`."""
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    lines = (str(line).partition("=") for line in _items(value))
    return {key: item if equals else None for key, equals, item in lines}


def target_ports(service: Mapping[str, Any]) -> tuple[str, ...]:
    """The container's ports in `ports` and `expose`, as `80/tcp`, sorted."""
    found = set[str]()
    for port in (*_items(service.get("ports")), *_items(service.get("expose"))):
        if isinstance(port, Mapping):
            text, protocol = str(port.get("target")), str(port.get("protocol") or "tcp")
        else:
            address, _, protocol = str(port).partition("/")
            text = address.rpartition(":")[2]
        if match := re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text):
            first, last = int(match[1]), min(int(match[2] or match[1]), 65535)
            found |= {f"{number}/{protocol or 'tcp'}" for number in range(first, last + 1)}
    return tuple(sorted(found, key=lambda p: (int(p.partition("/")[0]), p)))


def _items(value: object) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else ()
