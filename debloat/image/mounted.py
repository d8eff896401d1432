"""The sensor's `serve` as a process of this machine, on an image whose layers lie in directories of it.

It lays them over each other in mounts of its own, which nobody else sees and which end with it (docs/sensor.md).
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from debloat.core.errors import EngineUnavailable
from debloat.engine.stream import SocketChannel


def serve_layers(sensor: bytes, layers: Sequence[str], view: Path) -> ProcessChannel:
    """Start it on layers, uppermost first, which are mounted at `view`, a directory that is made for it.

    EngineUnavailable where no process can be started. What the kernel refuses it, it says when it is asked first.
    """
    view.mkdir(parents=True)
    ours, its = socket.socketpair()
    try:
        # Not a file: temporary directories may lie where nothing may be executed.
        with _in_memory(sensor) as program, its:
            argv = ["sensor", "serve", os.fspath(view), *layers]
            process = subprocess.Popen(
                argv,
                executable=f"/proc/self/fd/{program}",
                pass_fds=(program,),
                stdin=its.fileno(),
                stdout=its.fileno(),
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
    except OSError as error:
        ours.close()
        raise EngineUnavailable(f"cannot start the sensor here: {error.strerror}") from error
    return ProcessChannel(ours, process)


class ProcessChannel(SocketChannel):
    """Both directions of a process of this machine, which ends with the channel."""

    def __init__(self, connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
        super().__init__(connection, framed=False)
        self._process = process

    def close(self) -> None:
        super().close()
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def _in_memory(program: bytes) -> Iterator[int]:
    """A descriptor of a file that has no name, and these contents."""
    descriptor = os.memfd_create("sensor", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(program)
        yield descriptor
    finally:
        os.close(descriptor)
