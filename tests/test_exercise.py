"""What an exercise asks of a port of which nothing is known."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest

from debloat import exercise
from debloat.exercise import Ask, Exercise, Limits
from debloat.model import Image, ImageConfig
from debloat.recipe import Scenario
from debloat.record import _silent
from debloat.session import Recorded, Session


class _State:
    running = True


class _Session:
    """A container that listens on one published port."""

    container = "0123456789ab"

    def __init__(self, port: int) -> None:
        self.ports = {"53/tcp": port}

    def command(self, *words: str, timeout: float = 60.0) -> str:
        return "53/tcp"

    def state(self) -> _State:
        return _State()


@contextmanager
def _service(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A TCP service that reads what it is sent and gives one answer to HTTP, or keeps silent; what it was sent."""
    heard: list[bytes] = []
    open_: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                open_.append(connection)
                heard.append(connection.recv(4096))
                if answer and heard[-1].startswith(b"GET"):
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], heard
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in open_:
            connection.close()


def _run(port: int) -> exercise._Run:
    session = cast(Session, _Session(port))
    return exercise._Run(session, ImageConfig({}), Scenario("default"), Limits(), {"53/tcp": 53})


def test_a_silent_port_is_asked_once_and_then_only_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercise, "GUESS", 0.1)
    monkeypatch.setattr(exercise, "HANDSHAKE", 0.1)
    with _service(b"") as (port, heard):
        found = _run(port)._find_out(Ask("default", "port 53", port=53))
        # To speak HTTP, to speak TLS; the connect sends nothing.
        assert [words[:3] for words in heard[:2]] == [b"GET", b"\x16\x03\x01"]
        assert len(heard) <= 3
    assert [(ask.kind, result.ok) for ask, result in found] == [("connect", True)]


def test_a_port_that_speaks_http_is_asked_in_each_encoding() -> None:
    with _service(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as (port, heard):
        found = _run(port)._find_out(Ask("default", "port 53", port=53))
    assert [(ask.kind, result.status) for ask, result in found] == [("http", 200), ("http", 200)]
    assert [b"Accept-Encoding" in words for words in heard] == [False, True]


def test_a_note_on_what_was_only_connected_to() -> None:
    config = ImageConfig({"ExposedPorts": {"25/tcp": {}, "80/tcp": {}, "143/tcp": {}, "53/udp": {}}})
    image = Image("i", "sha256:0", "linux", "amd64", "", "", config)
    asked = (Ask("connect", "connect 25", port=25), Ask("http", "GET /", port=80))
    notes = _silent(image, Exercise(Scenario("default"), asked, (), Recorded()))
    assert notes[0] == "nothing listens on the exposed port 143: it was not asked"
    assert notes[1].startswith("port 25 speaks no HTTP and was only connected to")
    assert "--exec" in notes[1]
    assert len(notes) == 2


def test_a_service_on_udp_alone_is_asked_when_its_port_is_bound() -> None:
    answers = iter(["", "68/udp", "1812/udp 1813/udp", "never asked"])
    session = _Session(1)
    session.command = lambda *words, timeout=60.0: next(answers)  # type: ignore[method-assign, assignment]
    config = ImageConfig({"ExposedPorts": {"1812/udp": {}}})
    run = exercise._Run(cast(Session, session), config, Scenario("default"), Limits(), {})
    assert run._until_ready() == ""
    assert next(answers) == "never asked"
