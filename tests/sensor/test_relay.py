"""`relay`: one TCP connection joined to standard input and output."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sensor.harness import TIMEOUT


def serve(answer: Callable[[socket.socket], None]) -> int:
    """A server for one connection; the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with server, server.accept()[0] as connection:
            answer(connection)

    threading.Thread(target=run, daemon=True).start()
    port: int = server.getsockname()[1]
    return port


def everything(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(1 << 16), b""))


@pytest.fixture
def relay(sensor_binary: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    def run(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        argv = [str(sensor_binary), "relay", *arguments]
        return subprocess.run(argv, input=data, capture_output=True, timeout=TIMEOUT, check=False)

    return run


Relay = Callable[..., subprocess.CompletedProcess[bytes]]


def test_both_directions_and_the_half_close(relay: Relay) -> None:
    sent = os.urandom(3 << 20)
    port = serve(lambda connection: connection.sendall(everything(connection)[::-1]))
    done = relay("127.0.0.1", str(port), data=sent)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == sent[::-1]


def test_a_server_that_ends_first(sensor_binary: Path) -> None:
    port = serve(lambda connection: connection.sendall(b"hello"))
    argv = [str(sensor_binary), "relay", "127.0.0.1", str(port)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read() == b"hello"
        assert process.wait(TIMEOUT) == 0


def test_both_at_once(relay: Relay) -> None:
    """Neither side reads before it has sent everything it has, beyond what buffers hold."""

    def chatter(connection: socket.socket) -> None:
        sender = threading.Thread(target=lambda: connection.sendall(b"s" * (8 << 20)))
        sender.start()
        assert len(everything(connection)) == 8 << 20
        sender.join()

    done = relay("127.0.0.1", str(serve(chatter)), data=b"c" * (8 << 20))
    assert done.stdout == b"s" * (8 << 20)


def test_the_next_address_is_tried(relay: Relay) -> None:
    port = serve(lambda connection: connection.sendall(b"here"))
    assert relay("127.9.9.9,127.0.0.1", str(port)).stdout == b"here"


@pytest.fixture
def nobody() -> Iterator[int]:
    """A port that nobody listens on, and that nobody else gets meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_nobody_listens(relay: Relay, nobody: int) -> None:
    done = relay("127.0.0.1", str(nobody))
    assert done.returncode == 125
    assert done.stderr == f"sensor: cannot connect to port {nobody}: ECONNREFUSED\n".encode()


@pytest.mark.parametrize(
    ("address", "port"), [("127.0.0", "80"), ("1.2.3.4.5", "80"), ("1.2.3.256", "80"), ("", "80"), ("1.2.3.4", "0")]
)
def test_usage(relay: Relay, address: str, port: str) -> None:
    assert relay(address, port).returncode == 2


def test_usage_without_a_port(relay: Relay) -> None:
    assert relay("127.0.0.1").returncode == 2


def test_datagrams(sensor_binary: Path) -> None:
    """Each with its length before it; one that nobody takes ends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(TIMEOUT)
        argv = [str(sensor_binary), "relay", "127.0.0.1", f"{_bound(server)}/udp"]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for sent in (b"", b"hello", os.urandom(60_000)):
                process.stdin.write(len(sent).to_bytes(2, "big") + sent)
                process.stdin.flush()
                got, client = server.recvfrom(1 << 16)
                assert got == sent
                server.sendto(sent[::-1], client)
                assert process.stdout.read(2 + len(sent)) == len(sent).to_bytes(2, "big") + sent[::-1]
            process.stdin.close()
            assert process.wait(TIMEOUT) == 0


def test_datagrams_to_a_port_that_is_bound_later(sensor_binary: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unbound:
        port = _bound(unbound)
    argv = [str(sensor_binary), "relay", "127.0.0.1", f"{port}/udp"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"\0\4lost")
        process.stdin.flush()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", port))
            server.settimeout(TIMEOUT)
            process.stdin.write(b"\0\4kept" * 2)
            process.stdin.flush()
            assert server.recv(100) in (b"lost", b"kept")
        process.stdin.close()
        assert process.wait(TIMEOUT) == 0


def _bound(server: socket.socket) -> int:
    server.bind(("127.0.0.1", 0))
    port: int = server.getsockname()[1]
    return port
