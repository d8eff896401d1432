"""`--pause`: a session by hand. Ctrl-C ends it and the run goes on; the next one calls the run off, as ever."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Mapping

from debloat.report.terminal import console

_LOOK = 1.0
"""Seconds between two looks at whether the container is still there."""


def pause(ports: Mapping[str, int], running: Callable[[], bool]) -> None:
    """Say where the container's ports are reached, and wait: for Ctrl-C, or for the end of the container.

    To be called in the main thread, which gets the signals.
    """
    where = ", ".join(f"{port} at 127.0.0.1:{here}" for port, here in sorted(ports.items()))
    say, ended = console().print, threading.Event()
    before = signal.signal(signal.SIGINT, lambda number, frame: ended.set())
    try:
        say(f"it runs{f', {where}' if where else ''}: use it; Ctrl-C ends the session and goes on", markup=False)
        while not ended.wait(_LOOK) and running():
            pass
    finally:
        signal.signal(signal.SIGINT, before)
    say("the session has ended", markup=False)
