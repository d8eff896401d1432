"""Work as a number of steps: the lines of Python that a call runs, the same on every machine however busy it is.

What one line does in C (a pattern that is matched, a text that is copied) counts as one step; how the time of that
grows is measured by `python -m bench hostile`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(call: Callable[[], object]) -> int:
    """How many lines are run by a call, in this thread."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def growth(prepare: Callable[[int], Callable[[], object]], size: int) -> float:
    """How many times the steps of an input of `size` one of twice the size takes: 2 is linear, 4 is quadratic.

    `prepare` makes an input of a size, and gives the call that is counted.
    """
    prepare(size // 2)()  # what the first call imports and compiles is no work on the input
    once, twice = (steps(prepare(n)) for n in (size, 2 * size))
    return twice / once
