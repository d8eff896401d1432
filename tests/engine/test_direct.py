"""Whether containers are reached by their own addresses: what tells that they are, and everything that does not."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from debloat.core.errors import EngineUnavailable
from debloat.engine import direct
from debloat.engine.base import RUN_LABEL, ContainerSpec
from debloat.engine.docker import DockerEngine, connect
from debloat.engine.endpoint import Endpoint
from debloat.engine.run_id import new_run
from tests.support.echo import ECHO, ECHO_READY, echoed


def network(gateway: object = "192.0.2.1", **more: object) -> dict[str, Any]:
    """The answer to `GET /networks/X`; by default the gateway is no machine's (RFC 5737)."""
    return {"Driver": "bridge", "Scope": "local", "IPAM": {"Config": [{"Gateway": gateway}]}, **more}


@pytest.mark.parametrize("gateway", ["192.0.2.1", "127.0.0.1", "0.0.0.0", "", None, "localhost", "::1", "192.0.2.1/24"])
def test_a_gateway_that_is_not_this_machine(gateway: object) -> None:
    assert not direct.has_bridge(network(gateway))


@pytest.mark.parametrize(
    ("subnet", "gateway"),
    [
        ("172.17.0.0/16", "172.17.0.1"),
        ("192.0.2.128/25", "192.0.2.129"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("192.0.2.1/16", ""),
        ("2001:db8::/64", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_gateway_that_is_not_said(monkeypatch: pytest.MonkeyPatch, subnet: object, gateway: str) -> None:
    """The first address of the subnet, as an engine has it that was started for the first time."""
    asked: list[str] = []

    def is_ours(address: str) -> bool:
        asked.append(address)
        return bool(address)

    monkeypatch.setattr(direct, "_is_ours", is_ours)
    assert direct.has_bridge(network(IPAM={"Config": [{"Subnet": subnet}]})) == bool(gateway)
    assert asked == [gateway]


@pytest.fixture
def every_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every address is this machine's."""
    monkeypatch.setattr(direct, "_is_ours", bool)


@pytest.mark.parametrize(
    ("answer", "here"),
    [
        (network(), True),
        (network(Driver="overlay"), False),
        (network(Driver="macvlan"), False),
        (network(Driver="host"), False),
        (network(Scope="swarm"), False),
        (network(IPAM={}), False),
        (network(IPAM={"Config": None}), False),
        (network(IPAM={"Config": [{"Subnet": "2001:db8::/64"}, {"Gateway": "192.0.2.1"}]}), True),
        ({}, False),
    ],
)
@pytest.mark.usefixtures("every_address")
def test_a_bridge_of_this_machine(answer: dict[str, Any], here: bool) -> None:
    assert direct.has_bridge(answer) == here


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[str]:
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        yield path


def test_who_listens_has_to_be_docker_itself(listener: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What forwards to one is a process of this machine too."""
    assert not direct.is_beside(listener)
    monkeypatch.setattr(direct, "_DAEMON", Path("/proc/self/comm").read_text().strip())
    assert direct.is_beside(listener)
    monkeypatch.setattr(direct, "_numbers_of", lambda pid: [str(pid), "7"])
    assert not direct.is_beside(listener)


def test_who_listens_has_to_be_in_this_network(listener: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_DAEMON", Path("/proc/self/comm").read_text().strip())
    monkeypatch.setattr(direct, "_network_of", lambda pid: (1, 1 if pid == "self" else 2))
    assert not direct.is_beside(listener)


def test_where_nobody_listens(tmp_path: Path) -> None:
    assert not direct.is_beside(str(tmp_path / "nothing"))
    assert not direct.is_beside("")


def test_a_process_of_another_container() -> None:
    assert direct.process(os.getpid(), secrets.token_hex(32)) is None
    assert direct.process(0, secrets.token_hex(32)) is None


def test_the_end_of_a_process() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        process = direct.process(child.pid, "")
        assert process is not None
        assert not process.ended()
        child.kill()
    assert process.ended()


# --------------------------------------------------------------------------------------------------------- the engine


class Client:
    """As much of a client as it is asked for; `asked` are the networks."""

    api_version = "1.41"

    def __init__(self, answer: object, **info: object) -> None:
        self._answer, self._info = answer, info
        self.asked: list[str] = []

    def version(self) -> dict[str, Any]:
        return {"Version": "1", **({"Components": [{"Name": "Podman Engine"}]} if "podman" in self._info else {})}

    def info(self) -> dict[str, Any]:
        return {"Driver": "overlay2", **self._info}

    def inspect_network(self, name: str) -> object:
        self.asked.append(name)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every socket is that of a Docker in this network."""
    monkeypatch.setattr(direct, "is_beside", lambda path: path == "/run/docker.sock")


def engine_of(client: Client, url: str = "unix:///run/docker.sock") -> DockerEngine:
    return DockerEngine(cast(Any, client), Endpoint(url))


@pytest.mark.usefixtures("every_address", "beside")
def test_an_engine_is_asked_once_for_each_network() -> None:
    client = Client(network())
    engine = engine_of(client)
    assert [engine.reaches(name) for name in ("", "own", "", "own")] == [True] * 4
    assert client.asked == ["bridge", "own"]


@pytest.mark.parametrize("answer", [OSError("gone"), {"Driver": 7}, {"Driver": "bridge", "Scope": "local", "IPAM": 3}])
@pytest.mark.usefixtures("every_address", "beside")
def test_an_answer_that_is_none(answer: object) -> None:
    assert not engine_of(Client(answer)).reaches("")


@pytest.mark.parametrize(
    ("url", "info"),
    [
        ("tcp://127.0.0.1:2375", {}),
        ("ssh://far", {}),
        ("unix:///home/me/.docker/desktop/docker.sock", {}),
        ("unix:///run/docker.sock", {"SecurityOptions": ["name=rootless"]}),
        ("unix:///run/docker.sock", {"podman": True}),
    ],
)
@pytest.mark.usefixtures("every_address", "beside")
def test_engines_that_are_elsewhere(url: str, info: dict[str, object]) -> None:
    client = Client(network(), **info)
    assert not engine_of(client, url).reaches("")
    assert not client.asked


# -------------------------------------------------------------------------------------------------------- of Docker


@pytest.fixture
def docker() -> Iterator[DockerEngine]:
    engine = connect()
    with contextlib.closing(engine):
        yield engine


@pytest.mark.engine
def test_a_container_of_docker(docker: DockerEngine) -> None:
    """In a network of its own, with nothing published, it sees the peer that it sees behind a published port."""
    assert docker.reaches("")
    assert not any(docker.reaches(name) for name in ("host", "none", "container:other", "no-such-network"))
    run, name = new_run(), f"debloat-test-{secrets.token_hex(4)}"
    made = subprocess.check_output(["docker", "network", "create", "--label", f"{RUN_LABEL}={run}", name], text=True)
    container = ""
    try:
        assert docker.reaches(name)
        shown = subprocess.check_output(
            ["docker", "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", name], text=True
        )
        spec = ContainerSpec("debian:bookworm-slim", run, entrypoint=("perl", "-e", ECHO), network=name, init=True)
        container = docker.create(spec)
        docker.start(container)
        assert docker.run(container, ECHO_READY).exit_code == 0
        state = docker.state(container)
        assert not state.ports
        assert echoed(docker, container, state.addresses) == (shown.strip(),) * 2
        with pytest.raises(EngineUnavailable, match="refused"):
            docker.dial(container, state.addresses, 81)
        assert docker.dial(container, ("127.0.0.1",), 80) is None
        docker.kill(container, "SIGKILL")
        assert docker.wait(container, 20) is not None
        with pytest.raises(EngineUnavailable, match="ended"):
            docker.dial(container, state.addresses, 80)
    finally:
        if container:
            docker.remove(container)
        docker.remove_shared("network", made.strip())
