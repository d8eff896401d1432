"""As much of a session as probes ask of it: a container whose ports are sockets of this machine."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from debloat.core import config
from debloat.core.model import ImageConfig
from debloat.core.recipe import Scenario, recipe
from debloat.engine.base import ContainerState
from debloat.record.concrete import ConcreteProbe, Limits, described_probes
from debloat.record.exercise import _Run
from debloat.record.session import Session


class Container:
    """A container whose ports, all in LISTEN state, lead to these of the machine."""

    container = "0" * 64

    def __init__(self, ports: Mapping[int, int]) -> None:
        self.ports = MappingProxyType({f"{port}/tcp": local for port, local in ports.items()})
        self.marks: list[str] = []

    def command(self, *words: str, timeout: float = 60.0) -> str:
        first = next(iter(self.ports), "").partition("/")[0]
        return {"listen": " ".join(["listen", *self.ports]), "await": f"ready {first}"}.get(words[0], "ok 1")

    def state(self) -> ContainerState:
        return ContainerState(True, 0, "", 1, self.ports)

    def mark(self, name: str) -> None:
        self.marks.append(name)

    def stop(self) -> int:
        return 0


class Exercised:
    """What a scenario of a `debloat.toml` comes to on servers of this machine, `ports` by those of the container."""

    def __init__(
        self,
        ports: Mapping[int, int],
        text: str = "",
        probes: tuple[ConcreteProbe, ...] | None = None,
        scenario: Scenario | None = None,
        timeout: float = 10,
    ) -> None:
        scenario = scenario or recipe(config.settings(tomllib.loads(text))).scenarios[0]
        self.container = Container(ports)
        described = described_probes(scenario) if probes is None else ()
        numbers = {f"{p}/tcp": p for p in ports}
        run = _Run(
            cast(Session, self.container), ImageConfig({}), scenario, Limits(10, timeout), numbers, None, described
        )
        try:
            self.results = [result for result in run.service(probes) if result.name != "stop"]
        finally:
            run.close()
        self.probes = tuple(run.probes)

    @property
    def answers(self) -> dict[str, int]:
        return {result.name: result.status for result in self.results}

    @property
    def problems(self) -> dict[str, str]:
        return {result.name: result.detail for result in self.results if not result.ok}
