"""Waiting until a container is ready: by what the user says that readiness is (a port, HTTP, its output, a command), or
by what its image tells (an exposed port, HEALTHCHECK)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.core.http import HttpProbe
from debloat.core.model import ImageConfig
from debloat.core.probes import Masked, excerpt
from debloat.core.recipe import Readiness, Scenario, split
from debloat.record.commands import in_use, listening, published
from debloat.record.concrete import (
    ConcreteProbe,
    Limits,
    ListensElsewhere,
    asks_in_datagrams_alone,
    bound_ports,
    healthcheck_command,
    ports_of,
)
from debloat.record.http.plain import request
from debloat.record.session import Session

UDP_BIND_TIMEOUT = 10.0
"""Seconds after which a service that exposes only UDP ports is probed even if it has bound none of them."""

OUT_OF_MEMORY = "the kernel killed a process of the container for want of memory"

LISTENS_ELSEWHERE_TIMEOUT = 20.0
"""Seconds that a service may listen on other ports only before its exposed ones are given up: some open others first.
"""
LISTEN_POLL_INTERVAL = 2.0
"""Seconds between checks on a service that does not listen on any port of its image yet."""

PORT_HINT = "EXPOSE the port that it serves, name it (`--http :PORT/`), or let the service listen on 0.0.0.0"
LOOPBACK_HINT = "let the service listen on 0.0.0.0, or ask it from within the container (`--exec COMMAND`)"

_BIND_POLL = 0.025
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two looks at a condition, twice as many each time: commands cost the container something."""


class Elsewhere(Struct, frozen=True):
    """Where a service listens instead of on a port, as a phrase; `loopback` is that port where nobody can reach it."""

    phrase: str
    loopback: bool

    def __str__(self) -> str:
        return self.phrase


class Condition(Struct, frozen=True):
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


class Startup:
    """A container of a scenario that gets ready: by `until` where the scenario has one, else by what the image tells.

    `ports` are its published TCP ports, sorted; `names` are masked in answers.
    """

    def __init__(
        self,
        session: Session,
        config: ImageConfig,
        scenario: Scenario,
        limits: Limits,
        ports: Sequence[int],
        names: tuple[Masked, ...],
    ) -> None:
        self._session = session
        self._config = config
        self._scenario = scenario
        self._limits = limits
        self._ports = ports
        self._names = names
        self._begun = time.monotonic()
        self.seconds = 0.0

    def wait(self) -> str:
        """Wait until a port of the image is open, or HEALTHCHECK succeeds: empty, or why it will not be ready.

        ListensElsewhere where it serves ports that nobody can reach.
        """
        start = time.monotonic()
        if self._scenario.until is not None:
            problem = self._until_said(self._scenario.until)
            self.seconds = time.monotonic() - start
            ports = sorted(self._scenario.until.ports) if problem and self._session.state().running else ()
            elsewhere = self.elsewhere(ports) if ports else None
            return f"{problem}{f': {elsewhere}' if elsewhere else ''}{last_words(self._session)}" if problem else ""
        streams = self._ports and not asks_in_datagrams_alone(self._scenario, self._config)
        answer = self._until_listening() if streams else ""
        self.seconds = time.monotonic() - start
        if answer == "gone" or not self._session.state().running:
            return f"the container ended before it was ready{last_words(self._session)}"
        waits = not self._scenario.probes and not self._config.healthcheck
        elsewhere = self.elsewhere() if answer == "timeout" else None
        if answer == "timeout" and (waits or (self._is_hopeless(elsewhere) and not self._scenario.commands)):
            names = ", ".join(map(str, self._ports))
            if elsewhere:
                raise ListensElsewhere(
                    f"nothing listens on port {names} after {self.seconds:.0f} s: {elsewhere}",
                    LOOPBACK_HINT if elsewhere.loopback else PORT_HINT,
                )
            return f"nothing listens on port {names} after {self._limits.ready:g} s{last_words(self._session)}"
        published = [p for p in self._session.ports if p.endswith("/udp")]
        exposed = [p for p in self._config.ports if p.endswith("/udp") and not self._ports]
        self._until_bound(published or exposed)
        return ""

    def _until_said(self, until: Readiness) -> str:
        """Wait for what the user says that readiness is: empty, or what has not come."""
        http, timeout = until.http, self._limits.timeout
        ports = ports_of(ConcreteProbe("http", f"ready.http {http.path}", port=http.port), self._ports) if http else ()

        def listens(port: int) -> bool:
            return listening(self._session, port)

        def answers(probe: HttpProbe) -> bool:
            at = (published(self._session, port) for port in ports)
            made = (request(port, probe, "ready", "", timeout, self._names) for port in at)
            return any(200 <= response.result.status < 400 for response in made)

        conditions = conditions_of(until, self._session, self._config, timeout, listens, answers)
        return wait_for(conditions, lambda: self._session.state().running, self._limits.ready)

    def _until_listening(self) -> str:
        """Wait for an open port: the sensor's answer, `healthy` or `timeout`.

        It ends early where no port will open. A HEALTHCHECK that succeeds means that the service is ready, whatever
        ports the image exposes, where no probes are given; a service that has listened only on other ports for a while,
        or where nobody can reach it, will not open these. Probes given may be of the other ports.
        """
        deadline, since = time.monotonic() + self._limits.ready, 0.0
        while (left := deadline - time.monotonic()) > 0:
            answer = self.until_open(min(LISTEN_POLL_INTERVAL, left))
            if answer != "timeout":
                return answer
            if not self._scenario.probes and self._config.healthcheck and self._is_healthy():
                return "healthy"
            since = (since or time.monotonic()) if self._is_hopeless(self.elsewhere()) else 0.0
            if since and time.monotonic() - since >= LISTENS_ELSEWHERE_TIMEOUT:
                break
        return "timeout"

    def _is_hopeless(self, elsewhere: Elsewhere | None) -> bool:
        """Whether a service that listens there will not open a port that is waited for.

        Probes may be of other ports, and clients bring their own patience; a port on 127.0.0.1 is within reach where
        the container has another's network, or none.
        """
        scenario = self._scenario
        if elsewhere is None or scenario.options.shares_network or scenario.options.network == "none":
            return False
        if scenario.probes:
            return elsewhere.loopback and not (scenario.run or scenario.tests)
        return not self._config.healthcheck

    def _is_healthy(self) -> bool:
        try:
            return (
                self._session.execute("healthcheck", healthcheck_command(self._config), self._limits.timeout).exit_code
                == 0
            )
        except TimeoutError:
            return False

    def elsewhere(self, ports: Sequence[int] = ()) -> Elsewhere | None:
        """Where the service listens instead of on some ports, by default on its exposed ones.

        None where it listens on all of them, or nowhere.
        """
        listeners = [listener for listener in self._session.command("listen").split() if "/tcp" in listener]
        open_ports = [int(listener.partition("/")[0]) for listener in listeners if not listener.endswith("!")]
        silent = [port for port in ports or self._ports if port not in open_ports]
        loopback = [port for port in silent if f"{port}/tcp!" in listeners]
        if loopback and len(loopback) == len(silent):
            return Elsewhere(f"port {loopback[0]} is bound to 127.0.0.1, where nobody else can reach it", True)
        if silent and open_ports:
            return Elsewhere(f"it listens on port {', '.join(map(str, open_ports))}", False)
        return None

    def until_open(self, seconds: float) -> str:
        """Wait for an open port: the sensor's answer, `timeout` after these seconds."""
        ports = ",".join(map(str, self._ports))
        return self._session.command("await", ports, str(int(seconds * 1000)), timeout=seconds + 10)

    def _until_bound(self, ports: Sequence[str]) -> None:
        """Wait until an exposed UDP port is bound: datagrams that are sent before are lost.

        That none is bound in time is not a failure: an image may expose ports that are not in use.
        """
        deadline = self._begun + self._limits.ready
        if not bound_ports(self._scenario, self._config):
            deadline = min(deadline, time.monotonic() + UDP_BIND_TIMEOUT)
        while ports and time.monotonic() < deadline and self._session.state().running:
            if in_use(self._session, *ports):
                return
            time.sleep(_BIND_POLL)


def last_words(session: Session) -> str:
    """How a container that is not ready ended, and what it printed last, to end a sentence with."""
    stdout, stderr = session.engine.logs(session.container)
    state = session.state()
    code = "" if state.running else f" with exit code {state.exit_code}"
    code += "".join(f" ({why})" for why in (state.error, OUT_OF_MEMORY * state.oom_killed) if why)
    text = excerpt(stderr or stdout, 600)
    return f"{code}; its last output was:\n{text}" if text else f"{code}; it printed nothing"
