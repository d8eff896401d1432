"""Tunnels to ports of a container, where they are not published on this machine.

They need not be where the engine dials them (`Engine.dial`), and to publish one takes the engine a while. An engine
behind TCP or SSH, or behind a socket that is mounted into the container in which debloat itself runs, publishes on its
own 127.0.0.1. There the sensor's `relay`, run in the container, reaches the port from within.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading

from debloat.core.errors import DebloatError
from debloat.engine.base import Channel, ChannelClosed, Engine
from debloat.engine.connection import at_once
from debloat.image.reader import SENSOR

_LOOPBACK = "127.0.0.1"
_CHUNK_BYTES = 1 << 16
_IDLE_TIMEOUT = 3600.0
"""Seconds that either side of a connection may stay silent; probes have limits of their own."""
_CONVERSATIONS = 64
"""Clients that are held in mind as senders of datagrams, those that came last."""

_Client = tuple[str, int]
_EVERYBODY: _Client = ("", 0)


def published_here(port: int, *, datagrams: bool = False) -> bool:
    """Whether something on this machine is bound to 127.0.0.1:`port`, found out without connecting to it.

    A connection would reach the service, and might be the one that it serves.
    """
    with socket.socket(type=socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM) as attempt:
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


class Tunnel:
    """A port on 127.0.0.1 (`port`) that forwards connections to a port of a container, until it is closed."""

    def __init__(self, engine: Engine, container: str, addresses: tuple[str, ...], port: int) -> None:
        self._engine = engine
        self._container = container
        self._addresses = addresses
        self._target = port
        self._argv = (SENSOR, "relay", ",".join(addresses), str(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: list[socket.socket | Channel] = []
        self._closed = False
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(connection,), daemon=True).start()

    def _join(self, connection: socket.socket) -> None:
        """Carry one connection to its end. Where the container does not answer it is closed, as if reset."""
        with contextlib.closing(connection):
            at_once(connection)
            try:
                channel = self._dialled()
            except DebloatError:
                return
            with contextlib.closing(channel):
                if not self._held(connection, channel):
                    return
                threading.Thread(target=_send, args=(connection, channel), daemon=True).start()
                with contextlib.suppress(ChannelClosed, OSError):
                    while True:
                        connection.sendall(channel.some(_IDLE_TIMEOUT))
                # The other thread may still wait for the client, which has all that there is.
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _dialled(self) -> Channel:
        """A connection to the port: the engine's where it makes such, else that of a program in the container."""
        direct = self._engine.dial(self._container, self._addresses, self._target)
        return direct or self._engine.execute(self._container, self._argv, user="0:0")

    def _held(self, *open_: socket.socket | Channel) -> bool:
        with self._lock:
            self._open += open_
            return not self._closed

    def close(self) -> None:
        with self._lock:
            self._closed = True
            ends = list(self._open)
        # A thread that waits in accept() is woken by the shutdown, not by the close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in ends:
            end.close()


class DatagramTunnel:
    """A port on 127.0.0.1 (`port`) that forwards datagrams to a port of a container, until it is closed.

    Where the engine dials, each client has a conversation of its own. Else there is one for all, and answers go to
    whoever sent last.
    """

    def __init__(self, engine: Engine, container: str, addresses: tuple[str, ...], port: int) -> None:
        self._engine = engine
        self._container = container
        self._addresses = addresses
        self._target = port
        self._argv = (SENSOR, "relay", addresses[0], f"{port}/udp")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_LOOPBACK, 0))
        self._channels: dict[_Client, Channel] = {}
        self._last: _Client = _EVERYBODY
        self._closed = False
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._closed:
            try:
                data, self._last = self._socket.recvfrom(_CHUNK_BYTES)
            except OSError:
                return
            if self._closed:
                return
            with contextlib.suppress(ChannelClosed, DebloatError, OSError):
                self._channel(self._last).send(len(data).to_bytes(2, "big") + data)

    def _channel(self, client: _Client) -> Channel:
        """What leads a client's datagrams to the container."""
        if known := self._channels.get(_EVERYBODY) or self._channels.get(client):
            return known
        channel = self._engine.dial(self._container, self._addresses, self._target, datagrams=True)
        if channel is None:
            client = _EVERYBODY
            channel = self._engine.execute(self._container, self._argv, user="0:0")
        for oldest in list(self._channels)[: 1 - _CONVERSATIONS]:
            self._channels.pop(oldest).close()
        self._channels[client] = channel
        threading.Thread(target=self._answer, args=(client, channel), daemon=True).start()
        return channel

    def _answer(self, client: _Client, channel: Channel) -> None:
        with contextlib.suppress(ChannelClosed, OSError):
            while True:
                size = int.from_bytes(channel.read(2, _IDLE_TIMEOUT), "big")
                data = channel.read(size, _IDLE_TIMEOUT)
                self._socket.sendto(data, self._last if client == _EVERYBODY else client)
        if self._channels.get(client) is channel:
            del self._channels[client]

    def close(self) -> None:
        self._closed = True
        # A thread that waits in recvfrom() is woken by a datagram, not by the close.
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (_LOOPBACK, self.port))
        for channel in list(self._channels.values()):
            channel.close()
        self._socket.close()


def _send(connection: socket.socket, channel: Channel) -> None:
    """Client to container; the end of what the client sends is passed on."""
    with contextlib.suppress(ChannelClosed, OSError):
        while data := connection.recv(_CHUNK_BYTES):
            channel.send(data)
        channel.end()
