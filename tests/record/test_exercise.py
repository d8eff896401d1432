"""What a port is found to speak, without an engine: a scripted container whose ports are sockets of this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest

from debloat.core import config
from debloat.core.errors import OriginalFails
from debloat.core.http import HttpProbe
from debloat.core.model import Image, ImageConfig
from debloat.core.probes import ProbeResult
from debloat.core.protocol import ProtocolProbe
from debloat.core.recipe import Scenario, recipe
from debloat.engine.base import ContainerState, EngineInfo, ExecResult
from debloat.engine.traits import PODMAN
from debloat.record import exercise, readiness
from debloat.record.concrete import (
    ConcreteProbe,
    Limits,
    ListensElsewhere,
    NothingToProbe,
    bound_ports,
    published_ports,
)
from debloat.record.exercise import Exercise, _Run
from debloat.record.http.plain import request
from debloat.record.record import _coverage_notes
from debloat.record.session import Recorded, Session
from tests.support.sessions import Container

HELLO = b"\x16"
"""First byte of a TLS ClientHello."""


class Server:
    """Gives each connection's first bytes to `answer`; None says nothing and keeps it open, b"" hangs up."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.heard: list[bytes] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            first = connection.recv(4096)
            self.heard.append(first[:1])
            said = self._answer(first)
            if said is not None:
                connection.sendall(said)
                connection.close()

    def close(self) -> None:
        self._socket.close()
        for connection in self._open:
            connection.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[bytes], bytes | None]], Server]]:
    servers: list[Server] = []

    def start(answer: Callable[[bytes], bytes | None]) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Starved(Container):
    """A container that ends under its first request, for want of memory."""

    engine: Any

    def __init__(self, port: int, *, killed: bool = True, running: bool = False) -> None:
        super().__init__({80: port})
        self.engine = self
        self._state = ContainerState(running, 137, "", 1, self.ports, oom_killed=killed)

    def command(self, *words: str, timeout: float = 60.0) -> str:
        return "gone" if words[0] == "await" and not self._state.running else super().command(*words)

    def state(self) -> ContainerState:
        return self._state

    def info(self) -> EngineInfo:
        return EngineInfo("Fake", "1", "1.41", "linux", "amd64", "6", "memory", "unix:///fake", True, PODMAN)

    def logs(self, container: str) -> tuple[bytes, bytes]:
        return b"reading all of it", b""

    def wait(self, container: str, timeout: float) -> int:
        return 137


def starved(session: Starved, *, exposes: bool = True) -> _Run:
    ports = {"80/tcp": 80} if exposes else {}
    return _Run(cast(Session, session), ImageConfig({}), Scenario(), Limits(5, 5), ports)


@pytest.mark.parametrize("killed", [True, False])
def test_a_container_without_memory_is_said_to_be(killed: bool) -> None:
    with pytest.raises(OriginalFails) as told:
        starved(Starved(1, killed=killed)).service(None)
    assert "exit code 137" in told.value.message
    assert ("want of memory" in told.value.message) is killed
    assert "does `podman run` of it work?" in told.value.hint
    (result,) = starved(Starved(1, killed=killed), exposes=False).to_the_end(first=False)
    assert "reading all of it" in result.detail
    assert ("want of memory" in result.detail) is killed


def test_a_failed_probe_says_that_memory_was_missing(serve: Any) -> None:
    """A worker is killed under the request; the master lives on."""
    server = serve(lambda first: b"HTTP/1.0 500 worker died\r\n\r\n")
    results = starved(Starved(server.port, running=True)).service(None)
    assert all("want of memory" in result.detail for result in results if not result.ok)
    assert [result.ok for result in results] == [False, False, True]


def asked(server: Server, scenario: Scenario | None = None) -> dict[str, str]:
    session = cast(Session, Container({80: server.port}))
    run = _Run(session, ImageConfig({}), scenario or Scenario(), Limits(5, 5), {"80/tcp": 80})
    return {result.name: result.outcome() for result in run.service(None) if result.name != "stop"}


def test_another_protocol_is_not_asked_in_tls(serve: Any) -> None:
    """A Redis answers a request with an error, and waits for more after a ClientHello."""
    server = serve(lambda first: None if first[:1] == HELLO else b"-ERR unknown command\r\n")
    assert asked(server) == {"connect 80": "connected"}
    assert HELLO not in server.heard


def test_a_port_that_says_nothing_is_given_up_once(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS over TCP takes any greeting for the length of a message that is still to come."""
    monkeypatch.setattr(exercise, "UNSOLICITED_HTTP_TIMEOUT", 0.2)
    monkeypatch.setattr(exercise, "TLS_HANDSHAKE_TIMEOUT", 0.2)
    server = serve(lambda first: None)
    assert asked(server) == {"connect 80": "connected"}
    assert server.heard.count(b"G") == 1
    assert server.heard.count(HELLO) == 1


def test_a_port_that_hangs_up_is_asked_again(serve: Any) -> None:
    replies = iter([b"", b"", b"HTTP/1.0 200 OK\r\n\r\nhi", b"HTTP/1.0 200 OK\r\n\r\nhi"])
    server = serve(lambda first: next(replies))
    assert asked(server) == {
        "http GET http://:80/": "status 200",
        "http GET http://:80/ (compressed)": "status 200",
    }


def test_a_port_that_opens_while_it_is_asked_is_asked_once_more(serve: Any) -> None:
    """Where ports are forwarded, one that nothing listens on hangs up too."""
    closed = 12

    class Opening(Container):
        def command(self, *words: str, timeout: float = 60.0) -> str:
            return "listen" if words[0] == "listen" and len(server.heard) < closed else super().command(*words)

    server: Server = serve(lambda first: b"" if len(server.heard) <= closed else b"HTTP/1.0 200 OK\r\n\r\nhi")
    session = cast(Session, Opening({80: server.port}))
    run = _Run(session, ImageConfig({}), Scenario(http=(HttpProbe(path="/", port=80),)), Limits(5, 5), {"80/tcp": 80})
    assert [result.outcome() for result in run.service(None) if result.name != "stop"] == ["status 200"] * 2


def test_a_tls_alert_is_no_other_protocol(serve: Any) -> None:
    """What a TLS server says to plain HTTP: alert, version, length, fatal, unexpected message."""
    server = serve(lambda first: b"\x15\x03\x03\x00\x02\x02\x0a")
    asked(server)
    assert HELLO in server.heard


def test_a_path_beyond_ascii_is_sent_as_browsers_do(serve: Any) -> None:
    asked_for = []

    def answer(first: bytes) -> bytes:
        asked_for.append(first.split(b" ")[1])
        return b"HTTP/1.0 200 OK\r\n\r\n"

    server = serve(answer)
    probe = HttpProbe(path="/\u00fc/%41?q=\u2603&r=a+b\udcff", port=80)
    assert request(server.port, probe, "x", "", 5, ()).result.ok
    assert asked_for == [b"/%C3%BC/%41?q=%E2%98%83&r=a+b%FF"]


def test_a_named_probe_is_answered_by_what_came(serve: Any) -> None:
    server = serve(lambda first: b"220 mail.example ESMTP\r\n")
    probe = HttpProbe(path="/x", port=80)
    session = cast(Session, Container({80: server.port}))
    run = _Run(session, ImageConfig({}), Scenario(http=(probe,)), Limits(5, 5), {"80/tcp": 80})
    (result, _) = run.service(None)
    assert not result.ok
    assert "BadStatusLine" in result.detail


def test_an_answer_without_an_end_is_one_by_its_status(serve: Any) -> None:
    """A stream of events: bytes come for ever, one at a time."""

    def forever(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        with contextlib.suppress(OSError):
            while not closed.wait(0.01):
                connection.sendall(b":\n")

    closed = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=lambda: forever(server.accept()[0]), daemon=True).start()
        result = request(port, HttpProbe(), "events", "", 0.2, ()).result
        closed.set()
    assert (result.ok, result.status, result.shape) == (True, 200, "without an end")


def test_a_signal_at_the_start_of_a_client_ends_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """It arrives when the client runs and nobody knows it yet."""
    started = []

    class Popen(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self)
            os.kill(os.getpid(), signal.SIGTERM)

    class Came(Exception): ...

    def caught(number: int, frame: object) -> None:
        raise Came

    monkeypatch.setattr(subprocess, "Popen", Popen)
    before = signal.signal(signal.SIGTERM, caught)
    try:
        session = cast(Session, Container({80: 1}))
        run = _Run(session, ImageConfig({}), Scenario(run=("exec sleep 600",)), Limits(5, 60), {"80/tcp": 80})
        with pytest.raises(Came):
            run.service(None)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert started[0].poll() == -signal.SIGKILL


def test_a_note_on_what_was_only_connected_to() -> None:
    config = ImageConfig({"ExposedPorts": {"25/tcp": {}, "80/tcp": {}, "143/tcp": {}, "53/udp": {}}})
    image = Image("i", "sha256:0", "linux", "amd64", "", "", config)
    asked = (ConcreteProbe("connect", "connect 25", port=25), ConcreteProbe("http", "GET /", port=80))
    notes = _coverage_notes(image, Exercise(Scenario("default"), asked, (), Recorded()))
    assert notes[0] == "nothing listens on the exposed port 143: it was not asked"
    assert notes[1].startswith("port 25 speaks no HTTP and was only connected to")
    assert "--exec" in notes[1]
    assert len(notes) == 2


def test_a_service_on_udp_alone_is_asked_when_its_port_is_bound() -> None:
    answers = iter(["", "68/udp", "1812/udp 1813/udp", "never asked"])
    session = Container({80: 1})
    session.command = lambda *words, timeout=60.0: next(answers)  # type: ignore[method-assign]
    config = ImageConfig({"ExposedPorts": {"1812/udp": {}}})
    run = _Run(cast(Session, session), config, Scenario("default"), Limits(), {})
    assert run._startup.wait() == ""
    assert next(answers) == "never asked"


class Datagrams(Container):
    """A service of which these ports are bound."""

    within = None

    def __init__(self, *words: str) -> None:
        super().__init__({})
        self._words = words

    def command(self, *words: str, timeout: float = 60.0) -> str:
        return " ".join(["listen", *self._words]) if words[0] == "listen" else "ok 1"


RADIUS = ImageConfig({"ExposedPorts": {"1812/udp": {}, "1813/udp": {}}})


def test_ports_for_datagrams_that_nobody_knows_how_to_ask_are_seen_to_be_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that exposes such ports alone was taken for one that runs to its end, and refused after a minute."""
    monkeypatch.setattr(exercise, "SILENT_PORT_TIMEOUT", 0.0)
    monkeypatch.setattr(exercise, "UDP_BIND_TIMEOUT", 0.0)
    run = _Run(cast(Session, Datagrams("1812/udp", "9/tcp")), RADIUS, Scenario(), Limits(5, 5), {})
    assert not run.finite(None)
    results = run.service(None)
    assert [(r.name, r.ok, r.outcome()) for r in results[:-1]] == [("bound 1812/udp", True, "bound")]
    image = Image("a", "sha256:0", "linux", "amd64", "", "", RADIUS)
    told = _coverage_notes(image, Exercise(Scenario(), tuple(run.probes), tuple(results), Recorded()))
    assert any("1812/udp was only seen to be bound" in note for note in told)
    assert published_ports(Scenario(), RADIUS, run.probes) == ()
    again = _Run(cast(Session, Datagrams("1813/udp")), RADIUS, Scenario(), Limits(5, 5), {})
    (lost, _) = again.service(tuple(run.probes))
    assert (lost.ok, lost.outcome()) == (False, "not bound")


def test_what_is_used_by_hand_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an image that exposes nothing, all there is to repeat is the stop; of one with ports for datagrams, these."""
    monkeypatch.setattr(exercise, "SILENT_PORT_TIMEOUT", 0.0)
    for config_, asked in ((ImageConfig({}), []), (RADIUS, ["bound 1812/udp"])):
        session = Datagrams("1812/udp")
        session.by_hand = lambda use: None  # type: ignore[attr-defined]
        run = _Run(cast(Session, session), config_, Scenario(), Limits(5, 5), {}, lambda *_: None)
        assert [result.name for result in run.service(None)] == [*asked, "stop"]
        again = _Run(cast(Session, session), config_, Scenario(), Limits(5, 5), {})
        assert [result.name for result in again.service(tuple(run.probes))] == [*asked, "stop"]


def test_many_ports_that_are_not_in_use_cost_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = list[float]()
    many = ImageConfig({"ExposedPorts": {f"{port}/udp": {} for port in range(5000, 5100)}})
    run = _Run(cast(Session, Datagrams("5000/udp")), many, Scenario(), Limits(5, 5), {})

    def bound(probe: ConcreteProbe, seconds: float) -> ProbeResult:
        waited.append(seconds)
        return ProbeResult(probe.name, False)

    monkeypatch.setattr(run._commands, "bound", bound)
    with pytest.raises(NothingToProbe):
        run.service(None)
    assert (len(waited), waited) == (100, sorted(waited, reverse=True))


def test_a_service_without_any_of_its_ports_for_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercise, "SILENT_PORT_TIMEOUT", 0.0)
    monkeypatch.setattr(readiness, "UDP_BIND_TIMEOUT", 0.0)
    run = _Run(cast(Session, Datagrams("9/udp")), RADIUS, Scenario(), Limits(5, 5), {})
    with pytest.raises(NothingToProbe, match="nobody takes datagrams on any of its exposed ports"):
        run.service(None)


@pytest.mark.parametrize(
    ("exposed", "health", "probes", "bound"),
    [
        ("514/udp 500/udp", (), "", (500, 514)),
        ("514/udp 80/tcp", (), "", ()),
        ("514/udp 53/udp", (), "", ()),
        ("514/udp", ("CMD", "true"), "", ()),
        ("514/udp", (), "udp://:514?send=x", ()),
        ("", (), "", ()),
    ],
)
def test_when_a_bound_port_is_all_there_is_to_see(
    exposed: str, health: tuple[str, ...], probes: str, bound: tuple[int, ...]
) -> None:
    health_of = {"Healthcheck": {"Test": [*health]}} if health else {}
    config = ImageConfig({"ExposedPorts": {port: {} for port in exposed.split()}, **health_of})
    assert bound_ports(Scenario(probe=(ProtocolProbe.parse(probes),) if probes else ()), config) == bound


@pytest.mark.parametrize(
    ("probes", "exec_", "first"),
    [("udp://:5353?send=x", (), "listen"), ("udp://:5353?send=x", ("true",), "await"), ("redis://", (), "await")],
    ids=["datagrams", "and-a-command", "a-stream"],
)
def test_who_asks_in_datagrams_alone_waits_for_no_other_port(probes: str, exec_: tuple[str, ...], first: str) -> None:
    """An image exposes what its base exposed; a command may want a port that no probe names."""
    asked = list[str]()

    def command(*words: str, timeout: float = 60.0) -> str:
        asked.append(words[0])
        return "8080" if words[0] == "await" else "5353/udp"

    session = Container({8080: 1})
    session.command = command  # type: ignore[method-assign]
    session.ports = MappingProxyType({"8080/tcp": 1, "5353/udp": 2})
    config = ImageConfig({"ExposedPorts": {"8080/tcp": {}, "5353/udp": {}}})
    scenario = Scenario("default", probe=(ProtocolProbe.parse(probes),), exec=exec_)
    ports = published_ports(scenario, config)
    assert _Run(cast(Session, session), config, scenario, Limits(), ports)._startup.wait() == ""
    assert asked[0] == first


@pytest.mark.parametrize(("port", "silence"), [(53, exercise.NON_HTTP_TIMEOUT), (8080, 9.0), (2222, 9.0)])
def test_a_port_of_another_protocol_is_given_up_sooner(port: int, silence: float) -> None:
    assert _Run._silence(port, 9.0) == silence


class Ports(Container):
    """A service whose ports come up one after another: `opens` are how many looks it takes until each listens."""

    def __init__(self, opens: dict[int, int], *words: str) -> None:
        super().__init__({80: 1})
        self._opens, self._looks, self._words = opens, 0, words
        self.probes = list[str]()

    def command(self, *words: str, timeout: float = 60.0) -> str:
        if words[0] == "await":
            return "timeout"
        if words[0] == "listen":
            self._looks += 1
            there = [f"{port}/tcp" for port, looks in self._opens.items() if looks <= self._looks]
            return " ".join(["listen", *there, *self._words])
        return "ok 1"


def test_a_client_is_asked_again_when_a_further_port_comes_up(tmp_path: Path) -> None:
    """A server opens its second port a moment after the first; a client that came in between is no failure."""
    marker = tmp_path / "tried"
    session = Ports({2000: 0, 1000: 3})
    scenario = Scenario(run=(f"test -e {marker} || {{ touch {marker}; exit 1; }}",))
    run = _Run(cast(Session, session), ImageConfig({}), scenario, Limits(5, 5), {"1000/tcp": 1000, "2000/tcp": 2000})
    (result,) = run._answers(ConcreteProbe("run", "run x", command=scenario.run[0]))
    assert result.ok


def test_a_client_that_fails_with_all_ports_open_has_failed(tmp_path: Path) -> None:
    count = tmp_path / "count"
    session = Ports({80: 0})
    run = _Run(cast(Session, session), ImageConfig({}), Scenario(run=("x",)), Limits(5, 5), {"80/tcp": 80})
    (result,) = run._answers(ConcreteProbe("run", "run x", command=f"echo x >>{count}; exit 3"))
    assert (result.ok, result.status, count.read_text()) == (False, 3, "x\n")


@pytest.mark.parametrize(
    ("opens", "words", "said"),
    [
        ({8080: 0}, (), "it listens on port 8080"),
        ({}, ("80/tcp!",), "port 80 is bound to 127.0.0.1"),
    ],
)
def test_a_service_that_listens_elsewhere_is_said_to(
    monkeypatch: pytest.MonkeyPatch, opens: dict[int, int], words: tuple[str, ...], said: str
) -> None:
    monkeypatch.setattr(readiness, "LISTENS_ELSEWHERE_TIMEOUT", 0.0)
    run = _Run(cast(Session, Ports(opens, *words)), ImageConfig({}), Scenario(), Limits(60, 5), {"80/tcp": 80})
    with pytest.raises(ListensElsewhere, match=said) as raised:
        run.service(None)
    assert ("EXPOSE" in raised.value.hint) != bool(words)
    assert "0.0.0.0" in raised.value.hint


@pytest.mark.parametrize("health", [(), ("CMD", "true")])
def test_a_port_that_nobody_can_reach_is_not_waited_for_to_the_end(
    monkeypatch: pytest.MonkeyPatch, health: tuple[str, ...]
) -> None:
    """Requests were repeated until the readiness limit, though the port was bound to 127.0.0.1 all the while."""
    monkeypatch.setattr(readiness, "LISTENS_ELSEWHERE_TIMEOUT", 0.0)
    config = ImageConfig({"Healthcheck": {"Test": [*health]}} if health else {})
    asks = Scenario(http=(HttpProbe(),))
    run = _Run(cast(Session, Ports({}, "80/tcp!")), config, asks, Limits(3600, 5), {"80/tcp": 80})
    with pytest.raises(ListensElsewhere, match=r"port 80 is bound to 127\.0\.0\.1"):
        run.service(None)


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (("80/tcp!",), {"http": ["/"], "run_options": {"network": "host"}}),
        (("80/tcp!",), {"http": ["/"], "run_options": {"network": "none"}}),
        (("80/tcp!",), {"run": ["./client.sh"]}),
        (("80/tcp!",), {"tests": ["./suite.sh"]}),
        (("81/tcp!",), {"http": [":80/"]}),
        (("82/tcp",), {"http": [":80/"]}),
    ],
    ids=str,
)
def test_a_port_that_may_be_reached_yet_is_waited_for(words: tuple[str, ...], settings: dict[str, Any]) -> None:
    """Where the network is another's or none, a client is patient by itself, or one of two ports is not there yet."""
    (scenario,) = recipe(config.settings(settings)).scenarios
    ports = {"80/tcp": 80, "81/tcp": 81}
    run = _Run(cast(Session, Ports({}, *words)), ImageConfig({}), scenario, Limits(1, 1), ports)
    assert not run._startup._is_hopeless(run._startup.elsewhere())
    assert run._startup._is_hopeless(readiness.Elsewhere("x", True)) == ("http" in settings and len(settings) == 1)


def test_in_a_replay_the_probes_of_a_port_that_nobody_can_reach_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what is missing is healed, or the minimal image is said to differ: the original was all right."""
    monkeypatch.setattr(readiness, "LISTENS_ELSEWHERE_TIMEOUT", 0.0)
    asks = Scenario(http=(HttpProbe(),))
    run = _Run(cast(Session, Ports({}, "80/tcp!")), ImageConfig({}), asks, Limits(3600, 5), {"80/tcp": 80})
    (answer,) = run.ask((ConcreteProbe("http", "http GET http://:80/", port=80),))
    assert not answer.ok
    assert "bound to 127.0.0.1" in answer.detail


def test_a_service_whose_ports_nobody_can_reach_is_asked_from_within(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LISTENS_ELSEWHERE_TIMEOUT", 0.0)
    asks = Scenario(exec=("true",))
    run = _Run(cast(Session, Ports({}, "80/tcp!")), ImageConfig({}), asks, Limits(3600, 5), {"80/tcp": 80})
    assert run._startup.wait() == ""


@pytest.mark.parametrize(
    "settings",
    [
        {"http": [":81/"]},
        {"http": [":80/", ":81/"]},
        {"probe": ["redis://:81"]},
        {"probe": ["tcp://:81"]},
        {"request": [{"http": ":81/"}]},
        {"websocket": [{"url": ":81/"}]},
        {"grpc": [":81"]},
        {"ready": {"port": 81, "seconds": 1}},
    ],
    ids=str,
)
def test_a_named_port_that_nobody_listens_on_is_no_fault_of_the_recording(serve: Any, settings: dict[str, Any]) -> None:
    """So it is not tried once more unrecorded; the port that is open is named."""
    server, closed = serve(lambda first: b"HTTP/1.0 204 well\r\n\r\n"), socket.create_server(("127.0.0.1", 0))
    session = Listening({80: server.port, 81: closed.getsockname()[1]})
    closed.close()
    asks = recipe(config.settings(settings))
    (scenario,) = asks.scenarios
    run = _Run(cast(Session, session), ImageConfig({}), scenario, Limits(1, 1), {"80/tcp": 80, "81/tcp": 81})
    with pytest.raises(ListensElsewhere, match=r"nothing listens on port 81.*: it listens on port 80") as raised:
        run.service(None)
    assert "name it (`--http :PORT/`)" in raised.value.hint


class Listening(Container):
    """A container in which only the first of its published ports is open."""

    within = None

    @property
    def engine(self) -> Any:
        return self

    def command(self, *words: str, timeout: float = 60.0) -> str:
        return "listen 80/tcp" if words[0] == "listen" else super().command(*words)

    def logs(self, container: str) -> tuple[bytes, bytes]:
        return b"serving", b""


class Healthy(Ports):
    """A service whose HEALTHCHECK succeeds, and whose exposed port nobody serves."""

    def execute(self, name: str, argv: tuple[str, ...], timeout: float) -> ExecResult:
        self.probes.append(name)
        return ExecResult(0, b"well", b"")


def test_a_healthcheck_says_that_a_service_is_ready_whatever_it_exposes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercise, "SILENT_PORT_TIMEOUT", 0.0)
    config = ImageConfig({"Healthcheck": {"Test": ["CMD", "check"]}})
    session = Healthy({})
    run = _Run(cast(Session, session), config, Scenario(), Limits(600, 5), {"80/tcp": 80})
    results = {result.name: result.ok for result in run.service(None)}
    assert results == {"healthcheck": True, "stop": True}


@pytest.mark.parametrize(
    ("statuses", "note"),
    [((301, 302), "status 301, 302"), ((404,), "status 404"), ((200, 404), ""), ((), "")],
)
def test_a_note_where_no_page_was_seen(statuses: tuple[int, ...], note: str) -> None:
    results = tuple(ProbeResult(f"http GET :80/{s}", True, s) for s in statuses)
    done = Exercise(Scenario(http=(HttpProbe(),)), (), results, Recorded())
    notes = " ".join(_coverage_notes(Image("a:1", "sha256:1", "linux", "amd64", "", "", ImageConfig({})), done))
    assert note in notes
    assert bool(note) is bool(notes)


def test_a_note_where_the_command_is_a_bare_shell() -> None:
    image = Image("a:1", "sha256:1", "linux", "amd64", "", "", ImageConfig({"Cmd": ["bash"]}))
    shell = Exercise(Scenario(), (ConcreteProbe("exit", "run CMD"),), (ProbeResult("run CMD", True),), Recorded())
    assert "bare shell" in _coverage_notes(image, shell)[0]
    told = Exercise(Scenario(args=("bash", "-c", "x")), (ConcreteProbe("exit", "run x"),), (), Recorded())
    assert _coverage_notes(image, told) == []
