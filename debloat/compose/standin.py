"""The stack that is started: the document of the user's, with the chosen services made ready to be recorded.

It is one whole file and not an override of the user's: Compose merges lists, so published ports would come on top of
those that are there, and takes nothing away, so a fixed `container_name` would be that of a stack that runs already.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct

from debloat.compose.document import EXTENSION, Document, plain, quoted, table
from debloat.compose.service import Service
from debloat.engine.base import RUN_LABEL
from debloat.image.reader import SENSOR_HOME
from debloat.record.session import MAIN, Recorder, record_argv, sensor_caps

HEALTH = "health"
"""Scope of the recordings of a health check that the engine makes."""

_OURS = ("container_name", "ports", "profiles", "scale", "build", EXTENSION)
"""Keys of every service that go: they concern this machine, or what Compose has done before."""
_CHOSEN = ("restart", "command", "pull_policy")
"""Further keys of a chosen service: it runs once, as one container, and how it ends is an answer."""
_DEPLOYED = ("resources",)
"""What stays of its `deploy`; the rest says how many there are, and when they start again."""


class StandIn(Struct, frozen=True):
    """A chosen service in one start of the stack: its image by name, and the ports on which it is asked (`80/tcp`)."""

    service: Service
    image: str
    ports: tuple[str, ...]


def container_name(project: str, service: str) -> str:
    """What the container of a chosen service is called."""
    return f"{project}-{service}"


def with_images(document: Document, used: Iterable[str], project: str, separator: str) -> Document:
    """The services that are started; those that are built get the name that Compose gives their images."""
    services = {name: dict(document.services[name]) for name in used}
    for name, service in services.items():
        if service.get("build"):
            service["image"] = service.get("image") or f"{project}{separator}{name}"
    return Document({**document.raw, "services": services})


def built(document: Document) -> tuple[str, ...]:
    """The services whose images are built."""
    return tuple(name for name, service in document.services.items() if service.get("build"))


def rewritten(document: Document, run: str, project: str, chosen: Mapping[str, StandIn], recorder: Recorder) -> str:
    """The compose file of one start as JSON, which is YAML: everything in it carries the label of `run`."""
    raw = document.raw
    services = {}
    for name, service in document.services.items():
        own = _apart(service)
        if name in chosen:
            own = _recorded(own, chosen[name], recorder) | {"container_name": container_name(project, name)}
        own["labels"] = table(own.get("labels")) | {RUN_LABEL: run}
        services[name] = own
    networks = dict(raw.get("networks") or {})
    if any(not s.get("networks") and not s.get("network_mode") for s in services.values()):
        networks.setdefault("default", {})
    whole = {
        "services": services,
        "networks": {name: _labelled(network, run) for name, network in networks.items()},
        "volumes": {name: _labelled(volume, run) for name, volume in (raw.get("volumes") or {}).items()},
        **{key: raw[key] for key in ("secrets", "configs") if raw.get(key)},
    }
    return json.dumps({key: value for key, value in whole.items() if value}, indent=2, sort_keys=True, default=str)


def to_build(document: Document) -> str:
    """The compose file that images are built with."""
    kept = ("build", "image", "platform")
    services = {n: {k: document.services[n][k] for k in kept if k in document.services[n]} for n in built(document)}
    return json.dumps(
        {"services": services, **{k: document.raw[k] for k in ("secrets",) if document.raw.get(k)}}, indent=2
    )


def _apart(service: Mapping[str, Any]) -> dict[str, Any]:
    """A service that is not in the way of another stack of the same file. Who knows it by a fixed name still does."""
    own = {key: value for key, value in service.items() if key not in _OURS and value is not None}
    if (fixed := service.get("container_name")) and not service.get("network_mode"):
        networks = service.get("networks") or {"default": None}
        tables = networks if isinstance(networks, Mapping) else dict.fromkeys(networks)
        own["networks"] = {
            name: {**(options or {}), "aliases": [*((options or {}).get("aliases") or ()), fixed]}
            for name, options in tables.items()
        }
    return own


def _recorded(own: dict[str, Any], standing: StandIn, recorder: Recorder) -> dict[str, Any]:
    service = standing.service
    deploy = {key: value for key, value in (own.get("deploy") or {}).items() if key in _DEPLOYED}
    own = {key: value for key, value in own.items() if key not in _CHOSEN} | {
        "image": standing.image,
        "restart": "no",
        "volumes": [*(own.get("volumes") or ()), SENSOR_HOME],
        **({"deploy": deploy} if own.get("deploy") else {}),
    }
    if standing.ports and not service.options.shares_network:
        own["ports"] = [f"127.0.0.1::{port.removesuffix('/tcp')}" for port in standing.ports]
    config, options = service.config, service.options
    program = (*config.entrypoint, *config.cmd)
    if not recorder.recording:
        return own | {"entrypoint": _escaped(program)}
    added, _ = sensor_caps(options)
    own |= {
        "entrypoint": _escaped((*record_argv(config, options, recorder, MAIN), *program)),
        "user": "0:0",
        "cap_add": [*(own.get("cap_add") or ()), *added],
    }
    if config.healthcheck:
        # Everybody else waits for it, so it is made as the user that it is made as without the sensor.
        kind, *test = config.healthcheck
        argv = test if kind == "CMD" else [*config.shell, *test]
        wrapped = (*record_argv(config, options, recorder, HEALTH), *argv)
        own["healthcheck"] = {**(own.get("healthcheck") or {}), "test": ["CMD", *_escaped(wrapped)]}
    return own


def _escaped(argv: Collection[str]) -> list[str]:
    return [quoted(word) for word in argv]


def _labelled(made: Mapping[str, Any] | None, run: str) -> Mapping[str, Any]:
    """A network or a volume of this start alone; one that exists apart from any stack stays as it is."""
    own = dict(made or {})
    if own.get("external"):
        return own
    own.pop("name", None)
    return own | {"labels": table(own.get("labels")) | {RUN_LABEL: run}}


def original_name(service: Mapping[str, Any]) -> str:
    """The image of a service, by name; empty where it says none."""
    return plain(service.get("image") or "")
