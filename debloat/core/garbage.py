"""Python's garbage collector in a process that runs one command and ends."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

NEW_OBJECTS = 50_000
"""New objects that may refer to others before the collector looks at them: some megabytes."""


@contextlib.contextmanager
def seldom_collected() -> Iterator[None]:
    """A block in which the collector of cycles seldom looks through what there is.

    Nearly all that a run makes stays until its end: modules, the index of an image, what was found in it. By default
    Python looks through it each 700 objects, an eighth of a run's processor time; the few cycles there are may wait.
    """
    young, *older = gc.get_threshold()
    if young:
        gc.set_threshold(NEW_OBJECTS, *older)
    try:
        yield
    finally:
        gc.set_threshold(young, *older)
