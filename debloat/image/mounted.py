"""An image whose layers lie in directories of this machine, laid over each other by the sensor's `serve`.

It mounts them in a namespace of its own, which nobody else sees (docs/sensor.md), and lists them. The files are read
here, below a descriptor of that mount, which lasts as long as the descriptor.
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


@contextlib.contextmanager
def serving(sensor: bytes, layers: Sequence[str], view: Path) -> Iterator[tuple[SocketChannel, int]]:
    """`serve` on layers, uppermost first, mounted at `view`, a directory that is made for it; its channel and process.

    EngineUnavailable where no process can be started. What the kernel refuses it, it says when it is asked first.
    """
    view.mkdir(parents=True)
    ours, its = socket.socketpair()
    with contextlib.closing(SocketChannel(ours, framed=False)) as channel:
        try:
            # Not a file: temporary directories may lie where nothing may be executed.
            with _in_memory(sensor) as program, its:
                process = subprocess.Popen(
                    ["sensor", "serve", os.fspath(view), *layers],
                    executable=f"/proc/self/fd/{program}",
                    pass_fds=(program,),
                    stdin=its.fileno(),
                    stdout=its.fileno(),
                    stderr=subprocess.DEVNULL,
                    env={},
                    start_new_session=True,
                )
        except OSError as error:
            raise EngineUnavailable(f"cannot start the sensor here: {error.strerror}") from error
        with process:
            try:
                yield channel, process.pid
            finally:
                process.kill()


def root_of(process: int) -> int:
    """A descriptor of a process's root directory; EngineUnavailable where it is not to be seen."""
    try:
        return os.open(f"/proc/{process}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise EngineUnavailable(f"cannot see what the sensor mounted: {error.strerror}") from error


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
