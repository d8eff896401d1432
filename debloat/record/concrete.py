"""Concrete probes: what a recipe and the image's configuration come to for the container of one scenario."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Iterable, Sequence
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.apis import WebSocketProbe
from debloat.core.errors import OriginalFails, UsageError
from debloat.core.http import HttpProbe
from debloat.core.model import ImageConfig
from debloat.core.probes import ProbeResult
from debloat.core.protocol import DATAGRAMS, ProtocolProbe
from debloat.core.recipe import Recipe, Scenario
from debloat.engine import volumes
from debloat.record.protocols import table

END_HINT = "name a probe (--http PATH, --probe URL, --exec CMD, --run HOSTCMD), EXPOSE its port, or raise `timeout`"

DATAGRAM_HINT = "EXPOSE the port it takes them on, or name a client (--exec, --run) or a datagram (--probe udp://:PORT)"


class NothingToProbe(OriginalFails):
    """The container stays up, and neither the user nor the image says what it should answer."""


class ListensElsewhere(OriginalFails):
    """The service listens, but not on a port that the image exposes, nor where others can reach it."""


class Limits(Struct, frozen=True):
    """Limits in seconds: until a service is ready, and for the answer to one probe."""

    ready: float = 60.0
    timeout: float = 60.0


class ConcreteProbe(Struct, frozen=True):
    """A probe with all that it takes to make it; `name` is its name in reports.

    `kind` is `ready` (it became so), `http` (`http`, `port`), `request` (the same, one of those that share cookies),
    `crawl` (at most `pages` that links from `start` lead to, each of which becomes a `request`), `har` (`requests`,
    which become such too), `openapi` (the same; without any what the document leads to that `http` asks for),
    `websocket` (`socket`), `grpc` (`http` is where), `call` (one over gRPC: `http`), `connect` (`port`), `bound`
    (`port`, for datagrams: it is only seen that somebody takes them),
    `protocol` (`ask`), `exec` (`argv`, in the container), `program` (the same, of one that belongs to a protocol),
    `run` (`command`, on this machine), `test` (the same, of which the exit code alone is the answer), `exit` (the
    program runs to its end) or `default` (`port`, of which it is not known yet what it speaks, or with `ask` that it
    does).
    """

    kind: str
    name: str
    http: HttpProbe = HttpProbe()
    port: int = 0
    argv: tuple[str, ...] = ()
    command: str = ""
    pages: int = 0
    start: tuple[str, ...] = ()
    requests: tuple[HttpProbe, ...] = ()
    socket: WebSocketProbe | None = None
    ask: ProtocolProbe | None = None


Answers: TypeAlias = list[tuple[ConcreteProbe, ProbeResult]]
"""Probes as they turned out to be, and as they are to be repeated, each with an answer."""


def published_ports(
    scenario: Scenario, config: ImageConfig, probes: Iterable[ConcreteProbe] | None = None
) -> tuple[str, ...]:
    """The ports to publish (`80/tcp`), sorted: those that the image exposes over TCP, and those that probes name.

    Ports for datagrams (`53/udp`) are those whose protocol is spoken in them, if a probe asks for it or, where there is
    no probe, the image exposes them.
    """
    others = [probe for probe in probes or () if probe.ask is None and probe.kind != "bound"]
    asked = [*scenario.probe, *(probe.ask for probe in probes or () if probe.ask is not None)]
    named = {probe.port for probe in (*scenario.http, *scenario.requests, *scenario.grpc)}
    named |= {probe.port for probe in scenario.websockets} | {probe.port for probe in others}
    named |= {scenario.openapi.where.port} if scenario.openapi else set()
    named |= {ask.port for ask in asked if not _by_datagrams_alone(ask, config)}
    datagrams = {ask.port for ask in (*scenario.probe, *_unasked(scenario, config)) if ask.datagrams}
    named |= scenario.until.ports if scenario.until else set()
    exposed = {port for port in config.ports if port.endswith("/tcp")}
    exposed |= {f"{port}/udp" for port in datagrams}
    return tuple(sorted(exposed | {f"{port}/tcp" for port in named if port}))


def asks_in_datagrams_alone(scenario: Scenario, config: ImageConfig) -> bool:
    """Whether all of a scenario's probes are held in datagrams: an exposed port over TCP is then nobody's concern."""
    others = replace(scenario, probe=()).probes
    return bool(scenario.probe) and not others and all(_by_datagrams_alone(ask, config) for ask in scenario.probe)


def stream_ports(ports: Iterable[str]) -> tuple[int, ...]:
    """The numbers of the ports over TCP, of `80/tcp` and so on, in order."""
    return tuple(sorted(int(port.partition("/")[0]) for port in ports if port.endswith("/tcp")))


def _by_datagrams_alone(ask: ProtocolProbe, config: ImageConfig) -> bool:
    """Whether a conversation is held in datagrams and never over TCP."""
    exposed = f"{ask.port}/udp" in config.ports and f"{ask.port}/tcp" not in config.ports
    return ask.datagrams and (exposed or ask.protocol == "udp")


def _unasked(scenario: Scenario, config: ImageConfig) -> tuple[ProtocolProbe, ...]:
    """The protocols of datagrams that exposed ports have by their number, where no probe is given."""
    if scenario.probes or not scenario.talk:
        return ()
    usual = (ProtocolProbe.of(name, port) for name, port in DATAGRAMS.items() if f"{port}/udp" in config.ports)
    return tuple(probe for probe in usual if table.available(probe))


def bound_ports(scenario: Scenario, config: ImageConfig) -> tuple[int, ...]:
    """The ports over UDP of an image that exposes no others, of which is only seen that they are bound.

    That is where no protocol is known for them. An image may expose some that are not in use.
    """
    if scenario.options.shares_network:
        return ()  # there they may be bound by another
    if scenario.probes or config.healthcheck or any(not port.endswith("/udp") for port in config.ports):
        return ()
    if _unasked(scenario, config):
        return ()
    return tuple(sorted(int(port.removesuffix("/udp")) for port in config.ports))


def is_service(scenario: Scenario, config: ImageConfig, ports: Sequence[object]) -> bool | None:
    """Whether a scenario's container is probed (True) or run to its end (False); None if only its run can show it.

    A container with other arguments than the image's is a service if it listens on one of its ports.
    """
    said = config.healthcheck or ports or scenario.until
    said = said or _unasked(scenario, config) or bound_ports(scenario, config)
    if scenario.probes or (scenario.args is None and said):
        return True
    return None if scenario.args is not None and ports else False


def described_probes(scenario: Scenario) -> tuple[ConcreteProbe, ...]:
    """The probes that files lead to (HAR, OpenAPI), and a document of the service.

    UsageError for a file that cannot be read, or is none of its kind.
    """
    if not scenario.har and scenario.openapi is None:
        return ()
    # What it takes is loaded only here.
    from debloat.record.http.described import described

    return tuple(
        ConcreteProbe(kind, f"{kind} {source}", http=http, port=http.port, requests=requests)
        for kind, source, http, requests in described(scenario)
    )


_LIBRARIES: tuple[tuple[str, str, str], ...] = (("websockets", "websockets", "http"), ("grpc", "grpc", "grpc"))
"""What a scenario says -> the module that it takes, and the extra that brings that."""


def must_be_usable(recipe: Recipe) -> None:
    """UsageError, before anything is started, for what a run of a recipe would end by.

    That is a file that its probes come from, and that cannot be read or is none of its kind, a volume that is none, and
    a library of a protocol that is not installed.
    """
    for scenario in recipe.scenarios:
        for volume in scenario.options.volumes:
            volumes.parse(volume)
        described_probes(scenario)
        for probe in scenario.probe:
            if not table.available(probe):
                raise UsageError(f"cannot make the {probe.name}: its client library is not installed", table.EXTRA)
        for said, module, extra in _LIBRARIES:
            if getattr(scenario, said) and importlib.util.find_spec(module) is None:
                raise UsageError(f"cannot ask {said}: {module} is not installed", f'pip install "debloat[{extra}]"')


def concrete_probes(
    scenario: Scenario, config: ImageConfig, ports: Iterable[int], described: Iterable[ConcreteProbe] = ()
) -> list[ConcreteProbe]:
    """The probes of a service: the scenario's, or by default HEALTHCHECK, then what each port speaks.

    `described` are those of `described_probes`.

    Where the scenario says when it is ready, that it gets there is one more. NothingToProbe where there are none.
    """
    probes = [ConcreteProbe("ready", f"ready: {scenario.until}")] if scenario.until else []
    if not scenario.probes:
        if config.healthcheck:
            probes.append(ConcreteProbe("exec", "healthcheck", argv=healthcheck_command(config)))
        probes += [ConcreteProbe("default", f"port {port}", port=port) for port in ports]
        alone = [ask for ask in _unasked(scenario, config) if _by_datagrams_alone(ask, config)]
        probes += [ConcreteProbe("default", f"port {ask.port}/udp", port=ask.port, ask=ask) for ask in alone]
        probes += [ConcreteProbe("bound", f"bound {port}/udp", port=port) for port in bound_ports(scenario, config)]
        if not probes:
            raise NothingToProbe("the container exposes no port and has no HEALTHCHECK", END_HINT)
        return probes
    probes += [ConcreteProbe("http", probe.name, http=probe, port=probe.port) for probe in scenario.http]
    probes += [ConcreteProbe("request", probe.name, http=probe, port=probe.port) for probe in scenario.requests]
    probes += [ConcreteProbe("websocket", s.name, port=s.port, socket=s) for s in scenario.websockets]
    for where in scenario.grpc:
        name = f"grpc :{where.port}" if where.port else "grpc"
        probes.append(ConcreteProbe("grpc", name, http=where, port=where.port))
    if crawl := scenario.crawl:
        name = f"crawl, at most {crawl.pages} pages"
        probes.append(ConcreteProbe("crawl", name, pages=crawl.pages, start=crawl.start))
    probes += [protocol_probe(probe) for probe in scenario.probe]
    probes += described
    probes += [ConcreteProbe("exec", f"exec {c}", argv=tuple(shlex.split(c))) for c in scenario.exec]
    probes += [ConcreteProbe("run", f"run {c}", command=c) for c in scenario.run]
    probes += [ConcreteProbe("test", f"test {c}", command=c) for c in scenario.tests]
    return probes


def protocol_probe(ask: ProtocolProbe) -> ConcreteProbe:
    """A conversation with a server of another protocol than HTTP."""
    return ConcreteProbe("protocol", ask.name, port=ask.port, ask=ask)


def healthcheck_command(config: ImageConfig) -> tuple[str, ...]:
    """The HEALTHCHECK as an argument vector."""
    check = config.healthcheck
    return check[1:] if check[0] == "CMD" else (*config.shell, *check[1:])


def ports_of(probe: ConcreteProbe, ports: Sequence[int]) -> Sequence[int]:
    """The ports that an HTTP probe is made on, of those that are published; UsageError where there is none."""
    if not (probe.port or ports):
        raise UsageError(
            f"{probe.name}: the image exposes no port", "write the port in the probe (--http :8080/), or EXPOSE it"
        )
    return [probe.port] if probe.port else ports


def run_to_end_probe(scenario: Scenario) -> ConcreteProbe:
    """The probe of a container that is not a service: its output and exit code."""
    return ConcreteProbe("exit", f"run {scenario.name}" if scenario.args is not None else "run CMD")
