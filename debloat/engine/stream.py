"""Streams of a program as they come: buffered, for whoever reads a number of bytes, a line, or to the end.

`SocketChannel` is a hijacked engine connection: standard output and error come framed, standard input goes raw.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import Any

from debloat.engine.base import ChannelClosed

HEADER = 8
"""A frame: stream number (1 stdout, 2 stderr), three zero bytes, big-endian length (Engine API, `attach`)."""

MAX_ERRORS = 1 << 20


class BufferedChannel:
    """What channels have in common: `_fill` brings more, the rest hands it out."""

    def __init__(self) -> None:
        self._out = bytearray()
        self._err = bytearray()

    def read(self, size: int, timeout: float = 60.0) -> bytes:
        deadline = time.monotonic() + timeout
        while len(self._out) < size:
            self._fill(deadline)
        data = bytes(memoryview(self._out)[:size])
        del self._out[:size]
        return data

    def some(self, timeout: float = 60.0) -> bytes:
        deadline = time.monotonic() + timeout
        while not self._out:
            self._fill(deadline)
        data = bytes(self._out)
        self._out.clear()
        return data

    def line(self, timeout: float = 60.0) -> str:
        deadline = time.monotonic() + timeout
        while (end := self._out.find(b"\n")) < 0:
            self._fill(deadline)
        data = bytes(memoryview(self._out)[:end])
        del self._out[: end + 1]
        return data.decode("utf-8", "surrogateescape")

    def errors(self) -> bytes:
        return bytes(self._err)

    def drain(self, timeout: float) -> tuple[bytes, bytes]:
        """All of both streams to their end, each bounded."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self._fill(deadline)
                del self._out[MAX_ERRORS:]
        except ChannelClosed:
            return bytes(self._out), bytes(self._err)

    def _note_errors(self, data: bytes | memoryview) -> None:
        self._err += data[: MAX_ERRORS - len(self._err)]

    def _fill(self, deadline: float) -> None:
        """Bring more of either stream; blocks until something has come. ChannelClosed at the end of both."""
        raise NotImplementedError


class ConnectedChannel(BufferedChannel):
    """A channel whose other end, a program or a port, is behind a socket."""

    _socket: socket.socket

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ChannelClosed(str(error)) from error

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)


class SocketChannel(ConnectedChannel):
    """A `Channel` over the socket of an attach or exec call; that of a terminal is not framed."""

    def __init__(self, holder: Any, framed: bool = True) -> None:
        super().__init__()
        self._framed = framed
        # urllib3 hands out a file object around the socket; the object must stay alive, or the socket closes.
        self._holder = holder
        self._socket = getattr(holder, "_sock", holder)
        # poll(2), for select(2) takes no descriptor beyond 1023.
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._raw = bytearray()

    def close(self) -> None:
        try:
            self._socket.close()
            self._holder.close()
        except OSError:
            pass

    def _fill(self, deadline: float) -> None:
        """Take what has come on the connection apart; blocks until something has."""
        left = deadline - time.monotonic()
        if left <= 0 or not self._poll.poll(left * 1000):
            raise TimeoutError("the program in the container does not answer")
        try:
            data = self._socket.recv(1 << 18)
        except OSError as error:
            raise ChannelClosed(str(error)) from error
        if not data:
            raise ChannelClosed("end of stream")
        if not self._framed:
            self._out += data
            return
        self._raw += data
        raw, start = self._raw, 0
        while len(raw) - start >= HEADER:
            end = start + HEADER + int.from_bytes(raw[start + 4 : start + HEADER], "big")
            if end > len(raw):
                break
            body = memoryview(raw)[start + HEADER : end]
            if raw[start] == 2:
                self._note_errors(body)
            else:
                self._out += body
            body.release()
            start = end
        del raw[:start]
