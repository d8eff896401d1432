"""Ports brought here through the engine: what leads where, and that nothing stays open."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import cast

import pytest

from debloat.core.errors import EngineUnavailable
from debloat.core.model import ImageConfig
from debloat.core.recipe import RunOptions
from debloat.engine import connection
from debloat.engine.base import Channel, ChannelClosed, ContainerState, Engine, EngineInfo
from debloat.record.session import Recorder, Session
from debloat.record.tunnel import DatagramTunnel, Tunnel, published_here
from tests.support import servers


class Wire:
    """A channel whose other end is the server itself, as `relay` makes it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self.ended = threading.Event()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def some(self, timeout: float = 60.0) -> bytes:
        data = self._socket.recv(1 << 16)
        if not data:
            raise ChannelClosed("end of stream")
        return data

    def end(self) -> None:
        self.ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class DatagramWire:
    """The same for datagrams: frames from here to the server and back."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._come = b""

    def send(self, data: bytes) -> None:
        assert int.from_bytes(data[:2], "big") == len(data) - 2
        self._socket.send(data[2:])

    def read(self, size: int, timeout: float = 60.0) -> bytes:
        if not self._come:
            try:
                data = self._socket.recv(1 << 16)
            except OSError as error:
                raise ChannelClosed(str(error)) from error
            self._come = len(data).to_bytes(2, "big") + data
        got, self._come = self._come[:size], self._come[size:]
        return got

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Remote:
    """As much of an engine as tunnels ask of it; port 80 of its container is `served` on this machine."""

    def __init__(self, served: int, published: int = 0, *, local: bool = False) -> None:
        self._served, self._published, self._local = served, published, local
        self.argv: list[tuple[str, ...]] = []
        self.wires: list[Wire] = []

    def execute(self, container: str, argv: Iterable[str], user: str = "") -> Channel:
        self.argv.append(tuple(argv))
        if not self._served:
            raise EngineUnavailable("the container is not running")
        if self.argv[-1][-1].endswith("/udp"):
            return cast(Channel, DatagramWire(self._served))
        self.wires.append(Wire(self._served))
        return cast(Channel, self.wires[-1])

    def dial(self, container: str, addresses: tuple[str, ...], port: int, *, datagrams: bool = False) -> Channel | None:
        return None

    def info(self) -> EngineInfo:
        return EngineInfo("Far", "1", "1.41", "linux", "amd64", "6", "memory", "tcp://far:2375", self._local)

    def state(self, container: str) -> ContainerState:
        return ContainerState(True, 0, "", 1, {"80/tcp": self._published}, addresses=("10.0.0.2", "10.1.0.2"))


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body.upper())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def served() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def post(port: int, body: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/", body)
    with contextlib.closing(connection):
        return connection.getresponse().read().decode()


def session(remote: Remote, network: str = "") -> Session:
    return Session(cast(Engine, remote), "box", ImageConfig({}), RunOptions(network=network), Recorder(b""))


def test_requests_go_through(served: int) -> None:
    remote = Remote(served)
    with contextlib.closing(Tunnel(cast(Engine, remote), "box", ("10.0.0.2",), 80)) as tunnel:
        assert [post(tunnel.port, word) for word in ("one", "two" * 100_000)] == ["ONE", "TWO" * 100_000]
        assert remote.argv[0] == ("/.debloat/sensor", "relay", "10.0.0.2", "80")


def test_the_end_of_the_input_is_passed_on(served: int) -> None:
    remote = Remote(served)
    with contextlib.closing(Tunnel(cast(Engine, remote), "box", ("10.0.0.2",), 80)) as tunnel:
        with socket.create_connection(("127.0.0.1", tunnel.port), timeout=20) as client:
            client.sendall(b"nonsense")
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100)
        assert remote.wires[0].ended.wait(20)


def test_a_container_that_has_gone_hangs_up() -> None:
    with (
        contextlib.closing(Tunnel(cast(Engine, Remote(0)), "box", ("10.0.0.2",), 80)) as tunnel,
        pytest.raises((http.client.RemoteDisconnected, ConnectionError)),
    ):
        post(tunnel.port, "x")


def test_nothing_listens_once_it_is_closed(served: int) -> None:
    tunnel = Tunnel(cast(Engine, Remote(served)), "box", ("10.0.0.2",), 80)
    tunnel.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", tunnel.port), timeout=20)


def test_who_holds_a_port_is_told_without_a_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert published_here(port)
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert not published_here(port)


def test_a_port_published_here_is_used_as_it_is(served: int) -> None:
    with contextlib.closing(session(Remote(0, served, local=True))) as here:
        here.reach(("80/tcp",))
        assert dict(here.ports) == {"80/tcp": served}


@pytest.mark.parametrize("local", [True, False])
def test_a_port_published_elsewhere_is_brought_here(served: int, local: bool) -> None:
    """Elsewhere is told from the endpoint, or from nobody here holding the port: a socket mounted into a container."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        unused = free.getsockname()[1]
    remote = Remote(served, unused if local else served, local=local)
    with contextlib.closing(session(remote)) as there:
        there.reach(("80/tcp",))
        assert post(there.ports["80/tcp"], "word") == "WORD"
        assert remote.argv == [("/.debloat/sensor", "relay", "10.0.0.2,10.1.0.2", "80")]


def test_the_network_of_the_machine_itself_needs_no_publishing(served: int) -> None:
    with contextlib.closing(session(Remote(served, local=True), network="host")) as here:
        here.reach((f"{served}/tcp",))
        assert dict(here.ports) == {f"{served}/tcp": served}


def shouted(port: int, words: Iterable[bytes]) -> list[bytes]:
    """What comes back of each datagram, sent by a client of its own."""
    answers = []
    for word in words:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(20)
            client.sendto(word, ("127.0.0.1", port))
            answers.append(client.recv(1 << 16))
    return answers


def test_datagrams_go_through() -> None:
    with servers.datagrams() as port:
        remote = Remote(port)
        with contextlib.closing(DatagramTunnel(cast(Engine, remote), "box", ("10.0.0.2",), 53)) as tunnel:
            assert shouted(tunnel.port, [b"one", b"two" * 2_000]) == [b"ONE", b"TWO" * 2_000]
    assert remote.argv == [("/.debloat/sensor", "relay", "10.0.0.2", "53/udp")]
    assert not published_here(tunnel.port, datagrams=True)


def test_datagrams_published_here_or_elsewhere() -> None:
    with servers.datagrams() as port:
        here, there = Remote(0, port, local=True), Remote(port, port)
        for remote, by_tunnel in ((here, False), (there, True)):
            remote.state = lambda container: ContainerState(True, 0, "", 1, {"53/udp": port}, addresses=("10.0.0.2",))  # type: ignore[method-assign]
            with contextlib.closing(session(remote)) as reached:
                reached.reach(("53/udp",))
                assert (reached.ports["53/udp"] != port) == by_tunnel
                assert shouted(reached.ports["53/udp"], [b"word"]) == [b"WORD"]


def test_a_port_that_is_not_published_is_reached_from_within(served: int) -> None:
    with contextlib.closing(session(Remote(served, local=True))) as here:
        assert post(here.within(80), "word") == "WORD"
        assert here.within(80) == here.within(80)
    with contextlib.closing(session(Remote(0, local=True), network="host")) as here:
        assert here.within(served) == served


class Dialling(Remote):
    """An engine that makes the connections itself."""

    def dial(self, container: str, addresses: tuple[str, ...], port: int, *, datagrams: bool = False) -> Channel | None:
        where = ("127.0.0.1",), self._served
        return connection.datagrams(*where) if datagrams else connection.connect(*where)


def test_what_the_engine_dials_needs_no_program_in_the_container(served: int) -> None:
    dialling = Dialling(served, local=True)
    dialling.state = lambda container: ContainerState(True, 0, "", 1, {}, addresses=("10.0.0.2",))  # type: ignore[method-assign]
    with contextlib.closing(session(dialling)) as reached:
        reached.reach(("80/tcp",))
        assert [post(reached.ports["80/tcp"], word) for word in ("one", "two" * 100_000)] == ["ONE", "TWO" * 100_000]
    assert not dialling.argv


def test_clients_that_send_datagrams_at_the_same_time() -> None:
    """Each gets its own answers, though there are more of them than are held in mind."""
    with servers.datagrams() as port, contextlib.ExitStack() as clients:
        dialling = Dialling(port)
        tunnel = clients.enter_context(contextlib.closing(DatagramTunnel(cast(Engine, dialling), "box", ("x",), 53)))
        for _ in range(2):
            two = [clients.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
            for number, client in enumerate(two):
                client.settimeout(20)
                client.sendto(b"word %d" % number, ("127.0.0.1", tunnel.port))
            assert [client.recv(99) for client in two] == [b"WORD 0", b"WORD 1"]
            assert shouted(tunnel.port, [b"x"] * 70) == [b"X"] * 70
    assert not dialling.argv
