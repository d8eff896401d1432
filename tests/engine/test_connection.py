"""Connections to a port by its address, against servers on the loopback."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from debloat.core.errors import EngineUnavailable
from debloat.engine.base import ChannelClosed
from debloat.engine.connection import connect, datagrams
from tests.support import servers

HERE = "127.0.0.1"
NOWHERE = "127.0.0.2"
"""An address at which nothing listens on the port of a server on `HERE`."""


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def framed(channel: object) -> bytes:
    size = int.from_bytes(channel.read(2, 20), "big")  # type: ignore[attr-defined]
    return bytes(channel.read(size, 20))  # type: ignore[attr-defined]


def test_the_first_address_that_answers() -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        with contextlib.closing(connect((NOWHERE, HERE), port)) as channel, server.accept()[0] as accepted:
            accepted.sendall(b"a line\nmore")
            assert channel.line(20) == "a line"
            assert channel.some(20) == b"more"
            channel.send(b"back")
            channel.end()
            assert accepted.recv(99) + accepted.recv(99) == b"back"
            accepted.close()
            with pytest.raises(ChannelClosed):
                channel.some(20)


def test_where_nothing_listens() -> None:
    with pytest.raises(EngineUnavailable, match="cannot reach port 1 of the container: Connection refused"):
        connect((HERE,), 1)
    with pytest.raises(EngineUnavailable, match="no address"):
        connect((), 1)


@pytest.mark.parametrize("looks", [0, 1])
def test_an_address_of_a_container_that_has_ended_is_somebody_else_s(looks: int) -> None:
    """Whether it had before the connection was made, or ended while that came to stand."""
    answers = iter([False] * looks + [True] * 9)
    with socket.create_server((HERE, 0)) as server:
        with pytest.raises(EngineUnavailable, match="it has ended"):
            connect((HERE,), server.getsockname()[1], lambda: next(answers))
        server.settimeout(20 if looks else 0)
        if looks:
            with server.accept()[0] as accepted:
                assert accepted.recv(1) == b""
        else:
            with pytest.raises(BlockingIOError):
                server.accept()


def test_datagrams_there_and_back() -> None:
    with servers.datagrams() as port, contextlib.closing(datagrams((HERE, NOWHERE), port)) as channel:
        for word in (b"one", b"", b"two" * 2_000):
            channel.send(frame(word))
            assert framed(channel) == word.upper()


def test_a_datagram_that_nobody_takes_ends_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
        late.bind((HERE, 0))
        port = late.getsockname()[1]
    with contextlib.closing(datagrams((HERE,), port)) as channel:
        channel.send(frame(b"lost"))
        channel.send(frame(b"lost as well"))
        with pytest.raises(TimeoutError):
            channel.read(1, 0.05)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.bind((HERE, port))
            late.settimeout(20)
            channel.send(frame(b"word"))
            data, sender = late.recvfrom(99)
            late.sendto(data.upper(), sender)
            assert framed(channel) == b"WORD"


def test_no_datagram_is_sent_to_who_has_the_address_next() -> None:
    ended = threading.Event()
    with servers.datagrams() as port, contextlib.closing(datagrams((HERE,), port, ended.is_set)) as channel:
        ended.set()
        with pytest.raises(ChannelClosed, match="ended"):
            channel.send(frame(b"word"))


def test_who_waits_is_woken_by_the_close() -> None:
    with servers.datagrams() as port:
        channel = datagrams((HERE,), port)
        woken = threading.Event()

        def wait() -> None:
            with pytest.raises(ChannelClosed):
                channel.read(1, 60)
            woken.set()

        thread = threading.Thread(target=wait)
        thread.start()
        channel.close()
        thread.join(20)
        assert woken.is_set()
