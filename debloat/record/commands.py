"""Commands of an exercise, in the container and on this machine, and connections, and what they answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

from debloat.core.probes import Masked, ProbeResult, excerpt, shape
from debloat.record.client import run_client
from debloat.record.concrete import ConcreteProbe
from debloat.record.session import Session
from debloat.record.suites import judged, marking, patience_with

FURTHER_PORT_TIMEOUT = 3.0
"""Seconds within which a further port of a service comes up after the first."""

NO_PROGRAM = (126, 127)
"""Exit codes of a command that the container has not, or not as a program (POSIX, 2.8.2): time does not bring it."""

_POLL_INTERVAL = 0.025


class Commands:
    """Runs commands for an exercise. `ports` are the service's, `names` are masked in what is compared.

    `timeout` is in seconds, `deadline` the moment (monotonic) until which the service may be coming up.
    """

    def __init__(
        self, session: Session, ports: Sequence[int], names: tuple[Masked, ...], timeout: float, deadline: float
    ) -> None:
        self._session = session
        self._ports = ports
        self._names = names
        self._timeout = timeout
        self._deadline = deadline

    def on_host(self, probe: ConcreteProbe) -> ProbeResult:
        """Run a client on this machine; again where a further port of the service has come up since it failed."""
        while True:
            silent = [port for port in self._ports if not listening(self._session, port)]
            result = self._client(probe)
            if result.ok or not silent or not self._joined(silent):
                return result

    def _joined(self, silent: Sequence[int]) -> bool:
        """Wait for one of the ports that did not listen; whether one has come up."""
        deadline = min(self._deadline, time.monotonic() + FURTHER_PORT_TIMEOUT)
        while self._session.state().running:
            if any(listening(self._session, port) for port in silent):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_INTERVAL)
        return False

    def _client(self, probe: ConcreteProbe) -> ProbeResult:
        ports = {f"DEBLOAT_PORT_{p}": str(published(self._session, p)) for p in self._ports}
        first = published(self._session, self._ports[0]) if self._ports else 0
        env = {
            **ports,
            "DEBLOAT_HOST": "127.0.0.1",
            "DEBLOAT_PORT": str(first),
            "DEBLOAT_URL": f"http://127.0.0.1:{first}",
            "DEBLOAT_CONTAINER": self._session.container,
        }
        timeout = patience_with(probe, self._timeout)
        try:
            with marking(self._session.mark, env) as marked:
                code, stdout, stderr = run_client(probe.command, marked, timeout)
        except TimeoutError:
            return ProbeResult(probe.name, False, -1, detail=f"no end after {timeout:g} s")
        return judged(probe, self.result(probe, code, stdout, stderr))

    def in_container(self, probe: ConcreteProbe, *, is_first: bool) -> ProbeResult:
        """A command in the container; the first is tried again while a service without ports may be coming up."""
        pause = 0.02
        while True:
            try:
                executed = self._session.execute(probe.name, probe.argv, self._timeout)
            except TimeoutError:
                return ProbeResult(probe.name, False, -1, detail=f"no end after {self._timeout:g} s")
            result = self.result(probe, executed.exit_code, executed.stdout, executed.stderr)
            given_up = not is_first or result.status in NO_PROGRAM or time.monotonic() > self._deadline
            if result.ok or given_up or not self._session.state().running:
                return result
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def connect(self, probe: ConcreteProbe, patience: float) -> ProbeResult:
        """Connect to a port, which may be coming up until `patience` (monotonic)."""
        deadline = min(patience, time.monotonic() + self._timeout)
        while not listening(self._session, probe.port):
            if time.monotonic() > deadline:
                return ProbeResult(probe.name, False, detail=f"nothing listens on port {probe.port}")
            time.sleep(_POLL_INTERVAL)
        try:
            with socket.create_connection(("127.0.0.1", published(self._session, probe.port)), timeout=self._timeout):
                return ProbeResult(probe.name, True)
        except OSError as error:
            return ProbeResult(probe.name, False, detail=str(error))

    def bound(self, probe: ConcreteProbe, seconds: float) -> ProbeResult:
        """Whether the container has bound a port over UDP, waited for as long."""
        deadline = time.monotonic() + seconds
        while not (found := in_use(self._session, f"{probe.port}/udp")):
            if time.monotonic() > deadline or not self._session.state().running:
                break
            time.sleep(_POLL_INTERVAL)
        return ProbeResult(probe.name, found)

    def result(self, probe: ConcreteProbe, code: int, stdout: bytes, stderr: bytes) -> ProbeResult:
        """What a command answered."""
        detail = "" if code == 0 else f"exit code {code}: {excerpt(stderr or stdout, 600)}"
        text = excerpt(stdout or stderr)
        return ProbeResult(probe.name, code == 0, code, (), shape(stdout, *self._names), text, detail)


def listening(session: Session, port: int) -> bool:
    """Whether a port of the container is in LISTEN state, on whatever address."""
    return in_use(session, f"{port}/tcp")


def in_use(session: Session, *ports: str) -> bool:
    """Whether any of some ports of the container (`53/udp`) is open or bound, on whatever address."""
    words = session.command("listen").split()
    return any(port in words or f"{port}!" in words for port in ports)


def published(session: Session, port: int) -> int:
    """The port of this machine that leads to a port of the container."""
    return session.ports.get(f"{port}/tcp", port)
