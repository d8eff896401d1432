"""Connections to ports of a container by its own address: nothing is published, and no program in it has to help."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable

from debloat.core.errors import EngineUnavailable
from debloat.engine.base import ChannelClosed
from debloat.engine.stream import ConnectedChannel

_LIMIT = 60.0
"""Seconds that a connection may take until it stands."""
_PIECE = 1 << 18

Ended = Callable[[], bool]
Opened = Callable[[socket.SocketKind], socket.socket]
"""Makes a socket of IPv4 in the network from which the container is reached."""


def opened_here(kind: socket.SocketKind) -> socket.socket:
    """One of this process's own network."""
    return socket.socket(socket.AF_INET, kind)


def at_once(connection: socket.socket) -> None:
    """Send small pieces as they come: what is passed on must not wait for the other end's delayed acknowledgement."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Connection(ConnectedChannel):
    """A `Channel` over a connection of TCP: what comes is standard output."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        connection.settimeout(None)
        self._socket = connection

    def close(self) -> None:
        # A thread that waits for more is woken by the shutdown, not by the close.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _fill(self, deadline: float) -> None:
        data = self._received(deadline)
        if not data:
            raise ChannelClosed("end of stream")
        self._out += data

    def _received(self, deadline: float) -> bytes:
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise TimeoutError("the port of the container does not answer")
            return self._socket.recv(_PIECE)
        except (TimeoutError, ConnectionRefusedError):
            raise
        except (OSError, ValueError) as error:
            raise ChannelClosed(str(error)) from error


class DatagramConnection(Connection):
    """A `Channel` of datagrams, each with its length before it in two bytes, the higher first; one is sent at a time.

    One that nobody takes ends nothing. `ended` tells when nothing may be sent any more.
    """

    def __init__(self, connection: socket.socket, ended: Ended) -> None:
        super().__init__(connection)
        self._ended = ended
        self._closed = False

    def send(self, data: bytes) -> None:
        if self._ended():
            raise ChannelClosed("the container has ended")
        try:
            # That an earlier one was refused is told to the next one, which is not sent then.
            self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._socket.send(data[2:])
        except ConnectionRefusedError:
            pass
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def close(self) -> None:
        self._closed = True
        super().close()

    def _fill(self, deadline: float) -> None:
        with contextlib.suppress(ConnectionRefusedError):
            data = self._received(deadline)
            if self._closed:
                raise ChannelClosed("closed")
            self._out += len(data).to_bytes(2, "big") + data


def connect(
    addresses: tuple[str, ...], port: int, ended: Ended = lambda: False, opened: Opened = opened_here
) -> Connection:
    """A connection to the first of the addresses that answers. EngineUnavailable where none does.

    So it is where the container has `ended`, whoever has its address now.
    """
    failure: object = "it has no address"
    for address in () if ended() else addresses:
        connection = opened(socket.SOCK_STREAM)
        try:
            at_once(connection)
            connection.settimeout(_LIMIT)
            connection.connect((address, port))
            if not ended():
                return Connection(connection)
        except OSError as error:
            failure = error.strerror or error
        connection.close()
    raise EngineUnavailable(f"cannot reach port {port} of the container: {'it has ended' if ended() else failure}")


def datagrams(
    addresses: tuple[str, ...], port: int, ended: Ended = lambda: False, opened: Opened = opened_here
) -> DatagramConnection:
    """Datagrams to and from a port at the first of the addresses, until the container has `ended`.

    EngineUnavailable where there is no way to it.
    """
    connection = opened(socket.SOCK_DGRAM)
    try:
        connection.connect((addresses[0], port))
    except OSError as error:
        connection.close()
        raise EngineUnavailable(f"cannot reach port {port} of the container: {error.strerror or error}") from error
    return DatagramConnection(connection, ended)
