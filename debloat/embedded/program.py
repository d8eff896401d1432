"""A runtime's process and its streams: piped to a channel, or kept as bounded logs."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time

from debloat.engine.base import ChannelClosed
from debloat.engine.stream import BufferedChannel

TAIL = 1 << 20
"""Bytes of each stream that are kept of a container's output."""
_PIECE = 1 << 18


class Pipes:
    """Three pipes for a program that is to be started: our ends, and its own until it has them."""

    def __init__(self, *, stdin: bool = False, output: bool = True) -> None:
        """Without `stdin` it reads nothing, without `output` what it writes is lost."""
        self._theirs: list[int] = []
        read, self.stdin = os.pipe2(os.O_CLOEXEC) if stdin else (_nothing(), -1)
        self._theirs.append(read)
        self.stdout, write = os.pipe2(os.O_CLOEXEC) if output else (-1, _nothing())
        self._theirs.append(write)
        self.stderr, write = os.pipe2(os.O_CLOEXEC) if output else (-1, _nothing())
        self._theirs.append(write)

    def spawn(self, argv: list[str], cwd: str) -> subprocess.Popen[bytes]:
        """Start a program on the other ends, in a session of its own: a terminal's signals are not for it."""
        stdin, stdout, stderr = self._theirs
        try:
            return subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                cwd=cwd,
                env={"PATH": os.environ.get("PATH", os.defpath)},
                start_new_session=True,
            )
        finally:
            self.release()

    def release(self) -> None:
        """Close the ends that are the program's."""
        while self._theirs:
            os.close(self._theirs.pop())


def _nothing() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


class PipeChannel(BufferedChannel):
    """A `Channel` over pipes. `process` is the program, which ends with the channel; the attached one is None."""

    def __init__(self, pipes: Pipes, process: subprocess.Popen[bytes] | None = None) -> None:
        super().__init__()
        self._pipes = pipes
        self._process = process
        self._poll = select.poll()
        self._open = {pipes.stdout, pipes.stderr}
        for descriptor in self._open:
            self._poll.register(descriptor, select.POLLIN)
        self._stdin = pipes.stdin
        self._closing = threading.Lock()

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._stdin, view) :]
        except OSError as error:
            raise ChannelClosed(error.strerror) from error

    def end(self) -> None:
        with self._closing:
            if self._stdin >= 0:
                os.close(self._stdin)
                self._stdin = -1

    def close(self) -> None:
        self.end()
        self._pipes.release()
        with self._closing:
            closing = (self._pipes.stdout, self._pipes.stderr)
            self._pipes.stdout = self._pipes.stderr = -1
        for descriptor in closing:
            if descriptor >= 0:
                os.close(descriptor)
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _fill(self, deadline: float) -> None:
        if not self._open:
            raise ChannelClosed("end of stream")
        left = deadline - time.monotonic()
        ready = self._poll.poll(left * 1000) if left > 0 else []
        if not ready:
            raise TimeoutError("the program in the container does not answer")
        for descriptor, _ in ready:
            try:
                data = os.read(descriptor, _PIECE)
            except OSError as error:
                raise ChannelClosed(error.strerror) from error
            if not data:
                self._poll.unregister(descriptor)
                self._open.discard(descriptor)
            elif descriptor == self._pipes.stderr:
                self._note_errors(data)
            else:
                self._out += data


class Watch:
    """The runtime of a container as long as it runs: its output's end is kept, its exit code noted."""

    def __init__(self, process: subprocess.Popen[bytes], logs: Pipes | None) -> None:
        self._process = process
        self._logs = logs
        self._tails = (bytearray(), bytearray())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._ended.is_set()

    @property
    def exit_code(self) -> int:
        """Of the container's program; -1 while it runs. One that a signal ended is 128 and its number (runc(8))."""
        code = self._process.returncode if self._ended.is_set() else -1
        return code if code >= -1 else 128 - code

    def wait(self, timeout: float) -> bool:
        """Wait for the end; whether it has come."""
        return self._ended.wait(max(timeout, 0.0))

    def kill(self) -> None:
        self._process.kill()

    def output(self) -> tuple[bytes, bytes]:
        """The end of both streams."""
        if self._ended.is_set():
            self._thread.join(2.0)
        return bytes(self._tails[0][-TAIL:]), bytes(self._tails[1][-TAIL:])

    def _follow(self) -> None:
        process = os.pidfd_open(self._process.pid)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        streams: dict[int, bytearray] = {}
        if self._logs is not None:
            streams = dict(zip((self._logs.stdout, self._logs.stderr), self._tails, strict=True))
        for descriptor in streams:
            poll.register(descriptor, select.POLLIN)
        try:
            while streams or not self._ended.is_set():
                # What the program has started beside the container may keep a pipe open: nobody waits for it.
                ready = poll.poll(200 if self._ended.is_set() else None)
                if not ready:
                    break
                for descriptor, _ in ready:
                    if descriptor == process:
                        poll.unregister(process)
                        self._process.wait()
                        self._ended.set()
                    elif data := os.read(descriptor, _PIECE):
                        streams[descriptor] += data
                        if len(streams[descriptor]) > 2 * TAIL:
                            del streams[descriptor][:-TAIL]
                    else:
                        poll.unregister(descriptor)
                        del streams[descriptor]
        finally:
            os.close(process)
            if self._logs is not None:
                os.close(self._logs.stdout)
                os.close(self._logs.stderr)


class Handle:
    """A process by a descriptor, so that no other that gets its number is meant (pidfd_open(2))."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def send(self, number: int) -> None:
        """Send a signal; nothing happens where the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, number)

    def close(self) -> None:
        os.close(self._descriptor)
