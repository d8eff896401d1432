"""When a service is ready, by what the user says: each condition on a scripted container, then what comes of it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from debloat.core.errors import OriginalFails, UsageError
from debloat.core.http import HttpProbe
from debloat.core.model import ImageConfig
from debloat.core.protocol import ProtocolProbe
from debloat.core.recipe import Readiness, Scenario
from debloat.engine.base import ContainerState, EngineInfo, ExecResult
from debloat.engine.traits import DOCKER
from debloat.record import readiness
from debloat.record.concrete import ConcreteProbe, Limits, concrete_probes, is_service, published_ports
from debloat.record.exercise import _Run
from debloat.record.session import Session

CHECKED = ImageConfig({"Healthcheck": {"Test": ["CMD", "check"]}})


class Service:
    """A container that gets ready step by step: each look at it (`listen`, its output, a command) is a step."""

    container = "0" * 64

    def __init__(self, ready_at: int, *, ends_at: int = 1000) -> None:
        self.engine: Any = self
        self.ports = dict[str, int]()
        self.steps = 0
        self.executed: list[tuple[str, tuple[str, ...]]] = []
        self._ready_at, self._ends_at = ready_at, ends_at

    def _step(self) -> bool:
        self.steps += 1
        return self.steps >= self._ready_at

    def command(self, *words: str, timeout: float = 60.0) -> str:
        return f"listen {'5432/tcp' if self._step() else ''}" if words[0] == "listen" else "ok 1"

    def logs(self, container: str) -> tuple[bytes, bytes]:
        return b"starting\n", b"LOG: ready to accept\n" if self._step() else b""

    def execute(self, name: str, argv: tuple[str, ...], timeout: float) -> ExecResult:
        self.executed.append((name, argv))
        return ExecResult(0 if self._step() else 1, b"", b"")

    def info(self) -> EngineInfo:
        return EngineInfo("Fake", "1", "1.41", "linux", "amd64", "6", "memory", "unix:///fake", True, DOCKER)

    def state(self) -> ContainerState:
        return ContainerState(self.steps < self._ends_at, 3, "", 1, {})

    def mark(self, name: str) -> None: ...

    def stop(self) -> int:
        return 0


def run_of(service: Service, until: Readiness, config: ImageConfig = CHECKED, seconds: float = 30) -> _Run:
    return _Run(cast(Session, service), config, Scenario(until=until), Limits(seconds, 5), {})


@pytest.mark.parametrize(
    "until",
    [Readiness(port=5432), Readiness(log="^LOG: +ready"), Readiness(exec="pg_isready -q"), Readiness(healthcheck=True)],
    ids=str,
)
def test_it_is_asked_until_it_is_ready(until: Readiness) -> None:
    service = Service(ready_at=4)
    assert run_of(service, until)._startup.wait() == ""
    assert service.steps == 4


def test_a_command_is_recorded_for_the_replay() -> None:
    service = Service(ready_at=2)
    run_of(service, Readiness(exec="pg_isready -d 'a b'"))._startup.wait()
    assert service.executed == [("ready", ("pg_isready", "-d", "a b"))] * 2


@pytest.mark.parametrize(
    ("until", "missing"),
    [
        (Readiness(port=5432), "nothing listens on port 5432"),
        (Readiness(log="never"), "no line of its output matches 'never'"),
        (Readiness(exec="false"), "'false' does not succeed"),
        (Readiness(healthcheck=True), "its HEALTHCHECK does not succeed"),
    ],
    ids=str,
)
def test_what_has_not_come_is_said_with_its_last_output(until: Readiness, missing: str) -> None:
    with pytest.raises(OriginalFails) as told:
        run_of(Service(ready_at=1000), until, seconds=0.1).service(None)
    assert told.value.message.startswith(f"not ready after 0.1 s: {missing}; its last output was")
    assert "`ready` in debloat.toml" in told.value.hint
    with pytest.raises(OriginalFails, match=f"ended before it was ready: {missing}.*exit code 3"):
        run_of(Service(ready_at=1000, ends_at=2), until).service(None)


def test_a_replay_that_does_not_get_ready_fails_every_probe() -> None:
    until = Readiness(port=5432)
    probes = tuple(concrete_probes(Scenario(until=until), CHECKED, ()))
    assert [probe.name for probe in probes] == ["ready: port 5432", "healthcheck"]
    results = run_of(Service(ready_at=1000), until, seconds=0.1).service(probes)
    assert [result.ok for result in results] == [False, False, True]
    assert results[0].outcome() == "not ready"


def test_http_is_ready_with_a_status_below_400(monkeypatch: pytest.MonkeyPatch) -> None:
    from debloat.core.probes import ProbeResult
    from debloat.record.http.plain import Response

    statuses = iter((0, 503, 404, 204))
    asked = []

    def request(port: int, probe: HttpProbe, *more: object) -> Response:
        asked.append((port, probe.path))
        return Response(ProbeResult("ready", True, next(statuses)))

    monkeypatch.setattr(readiness, "request", request)
    until = Readiness(http=HttpProbe("GET", "/health", 8080))
    assert run_of(Service(1), until)._startup.wait() == ""
    assert asked == [(8080, "/health")] * 4


def test_a_worker_without_ports_is_a_service_when_it_says_when_it_is_ready() -> None:
    bare = ImageConfig({})
    scenario = Scenario(until=Readiness(log="ready"))
    assert is_service(scenario, bare, ())
    results = run_of(Service(ready_at=2), Readiness(log="ready"), bare).service(None)
    assert [(result.name, result.ok) for result in results] == [("ready: log ready", True), ("stop", True)]
    assert concrete_probes(scenario, bare, ()) == [ConcreteProbe("ready", "ready: log ready")]


def test_ports_that_are_named_are_published() -> None:
    until = Readiness(port=5432, http=HttpProbe("GET", "/health", 8080))
    assert published_ports(Scenario(until=until), ImageConfig({})) == ("5432/tcp", "8080/tcp")


@pytest.mark.parametrize(
    ("exposed", "probes", "talk", "published"),
    [
        ("53/udp 53/tcp", "", True, "53/tcp 53/udp"),
        ("53/udp", "", True, "53/udp"),
        ("53/udp 53/tcp", "", False, "53/tcp"),
        ("53/udp 514/udp 80/tcp", "redis://", True, "6379/tcp 80/tcp"),
        ("514/udp 80/tcp", "", True, "80/tcp"),
        ("514/udp", "udp://:514?send=x", True, "514/udp"),
        ("", "dns://", True, "53/tcp 53/udp"),
        ("53/udp", "dns://", True, "53/udp"),
        ("53/udp", "dot://", True, "853/tcp"),
    ],
)
def test_ports_for_datagrams_are_published_where_they_are_asked(
    exposed: str, probes: str, talk: bool, published: str
) -> None:
    scenario = Scenario(probe=tuple(map(ProtocolProbe.parse, probes.split())), talk=talk)
    config = ImageConfig({"ExposedPorts": {port: {} for port in exposed.split()}})
    assert published_ports(scenario, config) == tuple(published.split())


def test_a_healthcheck_that_the_image_has_not() -> None:
    with pytest.raises(UsageError, match="the image has no HEALTHCHECK"):
        run_of(Service(1), Readiness(healthcheck=True), ImageConfig({})).service(None)
