"""Signals at bad moments: held back where an exception out of nowhere would break what cannot be mended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that end a run."""


def hold_back() -> Callable[[], None]:
    """Hold signals back until the function that is returned is called, which then delivers them.

    Nothing happens outside the main thread, for no signal interrupts another, nor to a signal that is ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    numbers: list[int] = []
    handlers = {number: signal.getsignal(number) for number in ENDING}
    before = {number: h for number, h in handlers.items() if h not in (signal.SIG_IGN, None)}

    def release() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        while numbers:
            os.kill(os.getpid(), numbers.pop())

    for number in before:
        signal.signal(number, lambda caught, frame: numbers.append(caught))
    return release


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """A block at whose end signals arrive that came in it."""
    release = hold_back()
    try:
        yield
    finally:
        release()


MAX = 64
"""The number of the last signal (signal(7))."""


def signal_number(name: str) -> int:
    """`SIGTERM`, `TERM`, `15` or `SIGRTMIN+3` as a number; SIGTERM where it says nothing known."""
    text = name.upper().removeprefix("SIG")
    if text.isdigit():
        number = int(text)
    elif text.startswith("RTMIN"):
        offset = text.removeprefix("RTMIN").lstrip("+")
        number = 34 + (int(offset) if offset.isdigit() else 0)
    else:
        number = int(getattr(signal, f"SIG{text}", signal.SIGTERM))
    return number if 0 < number <= MAX else int(signal.SIGTERM)


_PR_SET_PDEATHSIG = 1
"""<linux/prctl.h>"""


def end_with_parent(parent: int) -> bool:
    """Get SIGTERM when the thread that started this process ends (prctl(2)); False where that was before the call.

    `parent` is the process that is to be the parent's still.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    return os.getppid() == parent
