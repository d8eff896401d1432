"""A TCP port on loopback that leads to a socket: an engine's socket as another machine would see it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def relay(path: Path) -> Iterator[int]:
    """The port while a block runs. The end of either direction is passed on, the other one stays open."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        threading.Thread(target=_accept, args=(listening, path), daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, path: Path) -> None:
    with contextlib.suppress(OSError):  # it has been closed
        while True:
            near, _ = listening.accept()
            far = socket.socket(socket.AF_UNIX)
            far.connect(str(path))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_copy, args=(one, other), daemon=True).start()


def _copy(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    with contextlib.suppress(OSError):
        other.shutdown(socket.SHUT_WR)
