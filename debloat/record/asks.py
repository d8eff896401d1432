"""What a scenario asks of its container: concrete probes, worked out from the recipe and the image's configuration."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from debloat.core.errors import OriginalFails, UsageError
from debloat.core.model import ImageConfig
from debloat.core.recipe import HttpProbe, Scenario

END_HINT = "name a probe (--http PATH, --exec CMD, --run HOSTCMD), EXPOSE its port, or raise `timeout`"


class NothingToAsk(OriginalFails):
    """The container stays up, and neither the user nor the image says what it should answer."""


class ListensElsewhere(OriginalFails):
    """The service listens, but not on a port that the image exposes, nor where others can reach it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: until a service is ready, and for one probe."""

    ready: float = 60.0
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One concrete probe. `kind` is `http`, `connect`, `exec`, `run` or `exit`; `name` tells it apart in reports."""

    kind: str
    name: str
    http: HttpProbe = HttpProbe()
    port: int = 0
    argv: tuple[str, ...] = ()
    command: str = ""


def published_ports(scenario: Scenario, config: ImageConfig, asked: Iterable[Ask] | None = None) -> tuple[str, ...]:
    """The ports of a scenario's container that are published: those that the image exposes over TCP or probes name."""
    named = {p.port for p in scenario.http} | {a.port for a in asked or ()}
    exposed = {p for p in config.ports if p.endswith("/tcp")}
    return tuple(sorted(exposed | {f"{port}/tcp" for port in named if port}))


def is_service(scenario: Scenario, config: ImageConfig, ports: Sequence[object]) -> bool | None:
    """Whether a scenario's container is asked (True) or run to its end (False); None if that is seen once it runs.

    A container that was given other arguments is a service if it listens on one of its ports.
    """
    if scenario.probes or (scenario.args is None and (config.healthcheck or ports)):
        return True
    return None if scenario.args is not None and ports else False


def first_asks(scenario: Scenario, config: ImageConfig, ports: Iterable[int]) -> list[Ask]:
    """What a scenario asks of a service, or the defaults: HEALTHCHECK, then HTTP or a connect on each port."""
    asks: list[Ask] = []
    if not scenario.probes:
        if config.healthcheck:
            asks.append(Ask("exec", "healthcheck", argv=healthcheck_command(config)))
        asks += [Ask("default", f"port {port}", port=port) for port in ports]
        if not asks:
            raise NothingToAsk("the container exposes no port and has no HEALTHCHECK", END_HINT)
        return asks
    asks += [Ask("http", probe.name, http=probe, port=probe.port) for probe in scenario.http]
    asks += [Ask("exec", f"exec {c}", argv=tuple(shlex.split(c))) for c in scenario.exec]
    asks += [Ask("run", f"run {c}", command=c) for c in scenario.run]
    return asks


def healthcheck_command(config: ImageConfig) -> tuple[str, ...]:
    """The HEALTHCHECK as an argument vector."""
    check = config.healthcheck
    return check[1:] if check[0] == "CMD" else (*config.shell, *check[1:])


def ports_of(ask: Ask, ports: Sequence[int]) -> Sequence[int]:
    """The ports that an HTTP probe is made on, of those that are published; UsageError where there is none."""
    if not (ask.port or ports):
        raise UsageError(
            f"{ask.name}: the image exposes no port", "write the port in the probe (--http :8080/), or EXPOSE it"
        )
    return [ask.port] if ask.port else ports


def run_to_the_end(scenario: Scenario) -> Ask:
    """What is asked of a container that is no service: its output and exit code."""
    return Ask("exit", f"run {scenario.name}" if scenario.args is not None else "run CMD")
