"""What is asked of a port where nothing is said, without an engine: real servers behind a scripted container."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest

from debloat.core.model import Image, ImageConfig
from debloat.core.protocol import ProtocolProbe
from debloat.core.recipe import RunOptions, Scenario
from debloat.engine.base import ContainerState, ExecResult
from debloat.record.concrete import Limits
from debloat.record.exercise import Exercise, _Run
from debloat.record.record import _coverage_notes
from debloat.record.session import Recorded, Session
from tests.support import servers


class Container:
    """As much of a session as probes ask of it: a server at `port` of this machine, which it calls `inside`.

    Of programs it has redis-cli.
    """

    container = "0" * 64

    def __init__(self, port: int, inside: int, *over: str) -> None:
        self.ports = MappingProxyType({f"{inside}/{protocol}": port for protocol in over or ("tcp",)})
        self._inside = inside
        self.executed: list[tuple[str, ...]] = []

    def command(self, *words: str, timeout: float = 60.0) -> str:
        return {"listen": f"listen {' '.join(self.ports)}", "await": f"ready {self._inside}"}.get(words[0], "ok 1")

    def execute(self, name: str, argv: tuple[str, ...], timeout: float) -> ExecResult:
        self.executed.append(argv)
        return ExecResult(0 if argv[0] == "redis-cli" else 127, b"PONG\n", b"")

    def state(self) -> ContainerState:
        return ContainerState(True, 0, "", 1, self.ports)

    def within(self, port: int) -> int:
        return port

    def mark(self, name: str) -> None: ...

    def stop(self) -> int:
        return 0


def exercised(
    container: Container, scenario: Scenario | None = None, env: tuple[str, ...] = (), timeout: float = 5.0
) -> Exercise:
    config = ImageConfig({"Env": list(env), "ExposedPorts": {port: {} for port in container.ports}})
    scenario = scenario or Scenario()
    run = _Run(cast(Session, container), config, scenario, Limits(timeout, timeout), container.ports)
    results = run.service(None)
    return Exercise(scenario, tuple(run.probes), tuple(results), Recorded())


def outcomes(exercise: Exercise) -> dict[str, str]:
    return {result.name: result.outcome() for result in exercise.results if result.name != "stop"}


def notes(exercise: Exercise) -> list[str]:
    ports: dict[str, Any] = {f"{probe.port}/tcp": {} for probe in exercise.probes if probe.port}
    config = ImageConfig({"ExposedPorts": ports})
    return _coverage_notes(Image("shop:1", "sha256:0", "linux", "amd64", "", "", config), exercise)


@pytest.fixture
def redis() -> Iterator[tuple[int, Path]]:
    with servers.place() as directory, servers.redis(directory, "--loglevel", "verbose") as port:
        yield port, directory


def test_a_port_is_asked_in_its_own_protocol_first(redis: tuple[int, Path]) -> None:
    port, directory = redis
    container = Container(port, 6379)
    first = exercised(container)
    assert outcomes(first) == {
        "probe redis://:6379": "answered",
        "program redis-cli -p 6379 PING": "exit code 0",
    }
    assert [probe.kind for probe in first.probes] == ["protocol", "program"]
    assert "Possible SECURITY ATTACK" not in (directory / "log").read_text(), "an HTTP request, as Redis calls it"
    assert not notes(first)


def test_an_unusual_port_is_told_by_its_handshake(redis: tuple[int, Path]) -> None:
    assert "probe redis://:7000" in outcomes(exercised(Container(redis[0], 7000)))


def test_the_same_is_asked_again(redis: tuple[int, Path]) -> None:
    first = exercised(Container(redis[0], 6379))
    run = _Run(cast(Session, Container(redis[0], 6379)), ImageConfig({}), Scenario(), Limits(5, 5), ("6379/tcp",))
    again = {result.name: result for result in run.service(first.probes)}
    assert all(not result.differs(again[result.name]) for result in first.results)


def test_a_server_may_be_left_alone(redis: tuple[int, Path]) -> None:
    assert outcomes(exercised(Container(redis[0], 6379), Scenario(talk=False))) == {"connect 6379": "connected"}


def test_a_client_library_that_is_missing_is_named(redis: tuple[int, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is connected to, and asked nothing else."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "redis" else real(name))
    unasked = exercised(Container(redis[0], 6379))
    assert outcomes(unasked) == {"connect 6379": "connected"}
    (note,) = notes(unasked)
    assert "port 6379 speaks redis" in note
    assert "debloat[protocols]" in note
    probe = ProtocolProbe.parse("redis://")
    (asked,) = exercised(Container(redis[0], 6379), Scenario(probe=(probe,))).failures
    assert "debloat[protocols]" in asked.detail


def test_the_password_is_the_containers() -> None:
    with servers.place() as directory, servers.redis(directory, "--requirepass", servers.PASSWORD) as port:
        without = exercised(Container(port, 6379))
        by_image = exercised(Container(port, 6379), env=(f"REDIS_PASSWORD={servers.PASSWORD}",))
        options = RunOptions(env=MappingProxyType({"REDIS_PASSWORD": servers.PASSWORD}))
        by_options = exercised(Container(port, 6379), Scenario(options=options))
    (note,) = notes(without)
    assert "REDIS_PASSWORD" in note
    assert not notes(by_image)
    assert by_image.results[0].shape == by_options.results[0].shape != without.results[0].shape


def test_programs_get_the_account() -> None:
    with servers.place() as directory, servers.postgres(directory) as port:
        container = Container(port, 5432)
        options = RunOptions(env=MappingProxyType({"POSTGRES_PASSWORD": servers.PASSWORD, "POSTGRES_DB": "template1"}))
        first = exercised(container, Scenario(options=options))
    assert list(outcomes(first)) == ["probe postgres://:5432"]
    (psql,) = (argv for argv in container.executed if argv[0] == "psql")
    assert psql[3:7] == ("-U", "postgres", "-d", "template1")
    assert not any(servers.PASSWORD in result.name for result in first.results)


def test_what_is_expected_and_does_not_come_fails(redis: tuple[int, Path]) -> None:
    def asked(line: str) -> str:
        probe = ProtocolProbe.parse(line)
        container, scenario = Container(redis[0], 6379), Scenario(probe=(probe,))
        return exercised(container, scenario, timeout=0.5).results[0].detail

    assert asked(r"tcp://:6379?send=PING\r\n&expect=PONG") == ""
    assert re.search("'PANG' was expected.*PONG", asked(r"tcp://:6379?send=PING\r\n&expect=PANG"))


@pytest.mark.parametrize("over", [("tcp", "udp"), ("udp",), ("tcp",)])
def test_names_are_asked_for_over_what_is_exposed(over: tuple[str, ...]) -> None:
    with servers.place() as directory, servers.unbound(directory) as port:
        first = exercised(Container(port, 53, *over))
        probe = ProtocolProbe.parse(f"udp://:53?send={_QUESTION}&expect=localhost")
        by_hand = exercised(Container(port, 53, *over), Scenario(probe=(probe,)), timeout=0.5)
    assert outcomes(first) == {"probe dns://:53": "answered"}
    assert all(f"over {way.upper()} -> " in first.results[0].text for way in over[:1])
    assert bool(by_hand.failures) == ("udp" not in over)


_QUESTION = r"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\tlocalhost\0\0\x01\0\x01"


def test_a_port_for_datagrams_that_nobody_answers() -> None:
    """It fails, where it is all that there is."""
    (failed,) = exercised(Container(servers.free_port(), 53, "udp"), timeout=0.2).failures
    assert failed.name == "probe dns://:53"
