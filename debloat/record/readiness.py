"""Waiting until a container is ready by what the user says that readiness is: a port, HTTP, its output, a command."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from debloat.core.errors import UsageError
from debloat.core.http import HttpProbe
from debloat.core.model import ImageConfig
from debloat.core.recipe import Readiness, split
from debloat.record.concrete import healthcheck_command
from debloat.record.session import Session

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two looks at a condition, twice as many each time: commands cost the container something."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that has to hold once; `missing` says, after "not ready: ", that it never did."""

    missing: str
    holds: Callable[[], bool]


def conditions_of(
    until: Readiness,
    session: Session,
    config: ImageConfig,
    timeout: float,
    listens: Callable[[int], bool],
    answers: Callable[[HttpProbe], bool],
) -> tuple[Condition, ...]:
    """The conditions in the order in which a service meets them; UsageError for a HEALTHCHECK that is not there.

    `timeout` is what one command may take, in seconds. `listens` asks for a port, `answers` makes a request.
    """

    def found() -> Iterator[Condition]:
        if until.port:
            yield Condition(f"nothing listens on port {until.port}", lambda: listens(until.port))
        if until.log:
            yield Condition(f"no line of its output matches {until.log!r}", lambda: _printed(session, until.log))
        if until.healthcheck:
            if not config.healthcheck:
                raise UsageError("ready.healthcheck: the image has no HEALTHCHECK", "name a port, http, log or exec")
            words = healthcheck_command(config)
            yield Condition("its HEALTHCHECK does not succeed", lambda: _succeeds(session, words, timeout))
        if until.exec:
            argv = split(until.exec)
            yield Condition(f"{until.exec!r} does not succeed", lambda: _succeeds(session, argv, timeout))
        if (probe := until.http) is not None:
            yield Condition(f"{probe.name} is not answered with a status from 200 to 399", lambda: answers(probe))

    return tuple(found())


def wait_for(conditions: Sequence[Condition], running: Callable[[], bool], seconds: float) -> str:
    """Wait until each has held, one after the other: empty, or the one that did not within all these seconds."""
    deadline = time.monotonic() + seconds
    for condition in conditions:
        pause = _FIRST_PAUSE
        while not condition.holds():
            if not running():
                return f"the container ended before it was ready: {condition.missing}"
            if time.monotonic() > deadline:
                return f"not ready after {seconds:g} s: {condition.missing}"
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
    return "" if running() else "the container ended when it was ready"


def _printed(session: Session, expression: str) -> bool:
    """Whether a line of the container's output so far matches."""
    text = b"\n".join(session.engine.logs(session.container)).decode("utf-8", "replace")
    return any(re.search(expression, line) for line in text.splitlines())


def _succeeds(session: Session, argv: tuple[str, ...], timeout: float) -> bool:
    """Whether a command ends with 0 in the container; it is recorded, for the replay needs it too."""
    try:
        return session.execute("ready", argv, timeout).exit_code == 0
    except TimeoutError:
        return False
