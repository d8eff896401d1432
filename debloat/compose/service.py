"""A service as debloat sees it: what its container is started with, and what is asked of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from debloat.compose.document import EXTENSION, plain, table, target_ports, words
from debloat.core import config
from debloat.core.errors import UsageError
from debloat.core.model import ImageConfig
from debloat.core.recipe import Readiness, Recipe, RunOptions, Scenario, Settings, recipe
from debloat.core.table import merged

_ELSEWHERE = ("args", "scenario", "run_options")
"""Keys of debloat.toml that say how a container is started; in a stack the compose file does."""


class Service(Struct, frozen=True):
    """A chosen service. `raw` is its part of the document, `image` what its containers are made of, by name.

    `config` is that image's configuration with what the compose file puts in its place.
    """

    name: str
    raw: Mapping[str, Any]
    image: str
    config: ImageConfig
    options: RunOptions
    recipe: Recipe

    @property
    def scenario(self) -> Scenario:
        """How it is exercised; a service whose health is checked is ready when that succeeds."""
        said = self.recipe.scenarios[0]
        until = said.until or (Readiness(healthcheck=True) if self.config.healthcheck else None)
        return replace(said, name=self.name, options=self.options, until=until)


def recipe_of(name: str, raw: Mapping[str, Any], given: Settings) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe of a service, and notes on it: debloat.toml in its build context, `x-debloat` over it, then `given`.

    UsageError for keys that say how a container is started.
    """
    own = raw.get(EXTENSION) or {}
    if said := sorted(set(_ELSEWHERE) & set(own if isinstance(own, Mapping) else ())):
        raise UsageError(
            f"{EXTENSION} of {name}: {', '.join(said)} cannot be said here", "the compose file says how it is started"
        )
    settings, notes = Settings(), tuple[str, ...]()
    if found := _configuration(raw):
        settings = config.read(found)
        if left := [key for key in _ELSEWHERE if getattr(settings, key) != getattr(Settings(), key)]:
            notes = (f"{name}: {', '.join(left)} in {found} not used: the compose file says how it is started",)
        settings = dataclasses.replace(settings, **{key: getattr(Settings(), key) for key in left})
    settings = merged(settings, config.settings(_plain(own), f"{EXTENSION} of {name}"))
    return recipe(merged(settings, given)), notes


def _configuration(raw: Mapping[str, Any]) -> Path | None:
    """The configuration in the build context of a service, if there is one."""
    build = raw.get("build") or {}
    context = build.get("context") if isinstance(build, Mapping) else build
    directory = Path(str(context)) if context else None
    return config.find(directory) if directory is not None and directory.is_dir() else None


def _plain(value: object) -> object:
    """A part of the document with `$` as it is meant."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return plain(value) if isinstance(value, str) else value


def config_of(raw: Mapping[str, Any], image: ImageConfig) -> ImageConfig:
    """The configuration of an image with what a service puts in its place.

    An `entrypoint` takes the image's CMD away, as Compose has it.
    """
    entrypoint, command = words(raw.get("entrypoint")), words(raw.get("command"))
    over: dict[str, Any] = {
        "Env": [f"{key}={value}" for key, value in (image.env | environment_of(raw)).items()],
        "ExposedPorts": {port: {} for port in (*image.ports, *target_ports(raw))},
    }
    if entrypoint is not None:
        over |= {"Entrypoint": list(entrypoint), "Cmd": []}
    if command is not None:
        over["Cmd"] = list(command)
    for key, field in (("user", "User"), ("working_dir", "WorkingDir"), ("stop_signal", "StopSignal")):
        if raw.get(key) is not None:
            over[field] = plain(raw[key])
    if check := raw.get("healthcheck"):
        test = check.get("test")
        if check.get("disable"):
            over["Healthcheck"] = {"Test": ["NONE"]}
        elif test:
            over["Healthcheck"] = {"Test": ["CMD-SHELL", plain(test)] if isinstance(test, str) else list(_plain(test))}  # type: ignore[call-overload]
    return ImageConfig(MappingProxyType({**image.raw, **over}))


def environment_of(raw: Mapping[str, Any]) -> dict[str, str]:
    """The variables that a service sets; one that Compose should have found in its own environment may be missing."""
    return {key: plain(value) for key, value in table(raw.get("environment")).items() if value is not None}


def options_of(raw: Mapping[str, Any]) -> RunOptions:
    """What a service says of how it is run, as far as recording it depends on that."""
    shared = str(raw.get("network_mode") or "").partition(":")
    network = {"host": "host", "service": f"container:{shared[2]}", "container": f"container:{shared[2]}"}.get(
        shared[0]
    )
    security = [str(option).replace("=", ":") for option in raw.get("security_opt") or ()]
    return RunOptions(
        env=MappingProxyType(environment_of(raw)),
        network=network or "",
        user=plain(raw.get("user") or ""),
        read_only=bool(raw.get("read_only")),
        init=bool(raw.get("init")),
        cap_add=(*_texts(raw.get("cap_add")), *(("ALL",) if raw.get("privileged") else ())),
        cap_drop=_texts(raw.get("cap_drop")),
        group_add=_texts(raw.get("group_add")),
        no_new_privs=any(option in ("no-new-privileges", "no-new-privileges:true") for option in security),
    )


def _texts(value: Iterable[object] | None) -> tuple[str, ...]:
    return tuple(map(plain, value or ()))
