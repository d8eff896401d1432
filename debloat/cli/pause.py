"""`--pause`: a session by hand. Ctrl-C ends it and the run goes on; a second one calls the run off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType, TracebackType

from debloat.report.terminal import console

_LOOK = 1.0
"""Seconds between two looks at whether the container is still there."""


class Pause:
    """Waits until the user has done what a user does. To be entered in the main thread, which gets the signals."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._waiting = False
        self._before: Callable[[int, FrameType | None], object] | int | None = None

    def __enter__(self) -> Pause:
        self._before = signal.signal(signal.SIGINT, self._caught)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        if self._waiting and not self._ended.is_set():
            self._ended.set()
        elif callable(self._before):
            self._before(number, frame)

    def __call__(self, ports: Mapping[str, int], running: Callable[[], bool]) -> None:
        """Say where the container's ports are reached, and wait: for Ctrl-C, or for the end of the container."""
        where = ", ".join(f"{port} at 127.0.0.1:{here}" for port, here in sorted(ports.items()))
        self._waiting = True
        say = console().print
        say(f"it runs{f', {where}' if where else ''}: use it; Ctrl-C ends the session and goes on", markup=False)
        while not self._ended.wait(_LOOK) and running():
            pass
        self._waiting = False
        say("the session has ended", markup=False)
