"""Exercising a container: readiness, probes, the stop, and what each answered.

The first exercise of an image finds out what its probes are (which port speaks HTTP, which TLS); what it found is a
`Plan`, and every further exercise, of the minimal image too, asks exactly the same.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from debloat.core.errors import OriginalFails
from debloat.core.model import Image, ImageConfig
from debloat.core.probes import ProbeResult, excerpt, shape
from debloat.core.recipe import HttpProbe, Scenario
from debloat.engine.workspace import Workspace
from debloat.record.asks import (
    END_HINT,
    Ask,
    Limits,
    ListensElsewhere,
    NothingToAsk,
    first_asks,
    healthcheck_command,
    is_service,
    ports_of,
    published_ports,
    run_to_the_end,
)
from debloat.record.client import run_client
from debloat.record.session import STOP_GRACE, Recorded, Recorder, Session, started
from debloat.record.web import Heard, may_speak_tls, request

ENCODINGS = ("", "gzip, deflate, br")
"""Each HTTP probe is made with each of these as Accept-Encoding; empty sends none (a server may then use sendfile)."""

COMING_UP = (502, 503, 504)
"""Statuses of a service that is still starting: asked again until the readiness limit."""

SILENT = 3.0
"""Seconds that an exposed port may stay silent once something else has answered: images expose ports that are off."""
UNASKED = 20.0
"""Seconds that a port nobody said speaks HTTP may stay silent on a request: many protocols wait for more to come."""
HANDSHAKE = 5.0
"""Seconds within which a port that speaks TLS answers a first message; any other may wait for more for ever."""
OTHERS = frozenset(
    {
        *(21, 22, 23, 25, 53, 88, 110, 111, 119, 139, 143, 389, 445, 465, 514, 587, 636, 853, 873, 990, 993, 995),
        *(1433, 1521, 1883, 3260, 3306, 4369, 5060, 5222, 5269, 5432, 5672, 6379, 6432, 6667, 8883, 9092, 11211),
        *(26379, 27017, 33060),
    }
)
"""Ports at which by custom another protocol is spoken (IANA's registry; 6432, 26379 and 27017 by their servers)."""
IMPATIENT = 2.0
"""Seconds that such a port may keep silent on a request that it was asked all the same."""
BOUND = 10.0
"""Seconds until a service that exposes UDP ports alone is asked, whether it has bound one or not."""

OUT_OF_MEMORY = "the kernel killed a process of the container for want of memory"

ELSEWHERE = 20.0
"""Seconds that a service may listen elsewhere before its exposed ports are given up: some open others first."""
LOOK = 2.0
"""Seconds between looks at a service that does not listen on any port of its image yet."""
JOINS = 3.0
"""Seconds within which a further port of a service comes up, once one has."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25
_PORT_HINT = "EXPOSE the port that it serves, name it (`--http :PORT/`), or let the service listen on 0.0.0.0"


@dataclass(frozen=True, slots=True)
class Exercise:
    """A scenario exercised: what was asked, what was answered, what was recorded, and by which mechanism."""

    scenario: Scenario
    asked: tuple[Ask, ...]
    results: tuple[ProbeResult, ...]
    recorded: Recorded
    ready: float = 0.0
    mechanism: str = "auto"

    @property
    def failures(self) -> tuple[ProbeResult, ...]:
        return tuple(r for r in self.results if not r.ok)


def exercise(
    workspace: Workspace,
    image: Image,
    reference: str,
    scenario: Scenario,
    limits: Limits,
    recorder: Recorder,
    asked: tuple[Ask, ...] | None = None,
) -> Exercise:
    """Start `reference` as `scenario` says, ask, stop, and collect.

    `asked` are the probes of an earlier exercise; None finds them out. OriginalFails when the container cannot be
    exercised at all: it never gets ready, or stays up with nothing to ask.
    """
    config = image.config
    ports = published_ports(scenario, config, asked)
    with started(workspace, image, reference, scenario.args, scenario.options, recorder, ports) as session:
        run = _Run(session, config, scenario, limits, {p: int(p.partition("/")[0]) for p in ports})
        results = run.to_the_end(first=asked is None) if run.finite(asked) else run.service(asked)
        recorded = session.recorded()
        return Exercise(scenario, tuple(run.asked), tuple(results), recorded, run.ready, recorder.mechanism)


class _Run:
    """One exercise under way."""

    def __init__(
        self, session: Session, config: ImageConfig, scenario: Scenario, limits: Limits, ports: Mapping[str, int]
    ) -> None:
        self._session = session
        self._config = config
        self._scenario = scenario
        self._limits = limits
        self._ports = sorted(ports.values())
        self._deadline = time.monotonic() + limits.ready
        self._names = (session.container[:12], *(str(p) for p in session.ports.values()))
        self._answered = 0.0
        self.asked: list[Ask] = []
        self.ready = 0.0

    def finite(self, asked: tuple[Ask, ...] | None) -> bool:
        """Whether the container is run to its end instead of being asked."""
        if asked is not None:
            return any(a.kind == "exit" for a in asked)
        service = is_service(self._scenario, self._config, self._ports)
        return not (self._serves() if service is None else service)

    def _serves(self) -> bool:
        """Whether a container that was given other arguments turns out to be a service: it listens on a known port."""
        answer = self._await(self._limits.ready)
        return answer.startswith("ready")

    def _await(self, seconds: float) -> str:
        ports = ",".join(map(str, self._ports))
        return self._session.command("await", ports, str(int(seconds * 1000)), timeout=seconds + 10)

    def to_the_end(self, *, first: bool) -> list[ProbeResult]:
        """Wait for the program to finish; its output and exit code are the answer."""
        ask = run_to_the_end(self._scenario)
        self.asked.append(ask)
        engine, container = self._session.engine, self._session.container
        code = engine.wait(container, self._limits.timeout)
        if code is None:
            if first:
                raise NothingToAsk(
                    f"the container stays up after {self._limits.timeout:g} s, and there is nothing to ask it",
                    END_HINT,
                )
            engine.kill(container, "SIGKILL")
            engine.wait(container, STOP_GRACE)
            return [ProbeResult(ask.name, False, -1, detail=f"no end after {self._limits.timeout:g} s")]
        stdout, stderr = engine.logs(container)
        return self._with_cause([self._result(ask, code, stdout, stderr)])

    def service(self, asked: tuple[Ask, ...] | None) -> list[ProbeResult]:
        """Wait until it is ready, ask, and stop it while it is still recorded."""
        trouble = self._until_ready()
        if trouble and asked is None:
            if self._session.state().running and self._elsewhere():
                raise ListensElsewhere(trouble, _PORT_HINT)
            traits = self._session.engine.info().traits
            runs = "does it run elsewhere?" if traits.own else f"does `{traits.command} run` of it work?"
            needs = "set what it needs with -e, -v or --network, or `ready` in debloat.toml"
            raise OriginalFails(trouble, f"{runs} {needs}")
        results: list[ProbeResult] = []
        for ask in asked if asked is not None else self._first_asks():
            self._session.mark(ask.name)
            if trouble:
                found = [(ask, ProbeResult(ask.name, False, detail=trouble))]
            else:
                found = self._find_out(ask) if asked is None else [(ask, r) for r in self._answers(ask)]
            self._note_answer(found)
            self.asked += [a for a in dict.fromkeys(concrete for concrete, _ in found) if a not in self.asked]
            results += [result for _, result in found]
        results = self._with_cause(results)
        self._session.mark("stop")
        code = self._session.stop()
        return [*results, ProbeResult("stop", True, -1 if code is None else code)]

    def _until_ready(self) -> str:
        """Wait for the first known port; what is wrong when nothing will come, or empty."""
        begun = time.monotonic()
        answer = self._until_listening() if self._ports else ""
        self.ready = time.monotonic() - begun
        if answer == "gone" or not self._session.state().running:
            return f"the container ended before it was ready{self._last_words()}"
        if answer == "timeout" and not self._scenario.probes and not self._config.healthcheck:
            ports = ", ".join(map(str, self._ports))
            if elsewhere := self._elsewhere():
                raise ListensElsewhere(
                    f"nothing listens on port {ports} after {self.ready:.0f} s: {elsewhere}", _PORT_HINT
                )
            return f"nothing listens on port {ports} after {self._limits.ready:g} s{self._last_words()}"
        if not self._ports:
            self._until_bound([p for p in self._config.ports if p.endswith("/udp")])
        return ""

    def _until_listening(self) -> str:
        """Wait for a known port, and no longer than it takes to see that none will come.

        A HEALTHCHECK that succeeds says that the service is ready, whatever ports the image exposes; and a service that
        has listened elsewhere for a while has its ports there.
        """
        deadline, elsewhere = time.monotonic() + self._limits.ready, 0.0
        while (left := deadline - time.monotonic()) > 0:
            answer = self._await(min(LOOK, left))
            if answer != "timeout" or self._scenario.probes:
                if answer != "timeout":
                    return answer
                continue
            if self._config.healthcheck and self._is_healthy():
                return "healthy"
            if self._elsewhere():
                elsewhere = elsewhere or time.monotonic()
                if time.monotonic() - elsewhere >= ELSEWHERE and not self._config.healthcheck:
                    break
        return "timeout"

    def _is_healthy(self) -> bool:
        try:
            return (
                self._session.execute("healthcheck", healthcheck_command(self._config), self._limits.timeout).exit_code
                == 0
            )
        except TimeoutError:
            return False

    def _elsewhere(self) -> str:
        """Where the service listens instead of on its known ports, in words; empty where it does not listen at all."""
        heard = [word for word in self._session.command("listen").split() if "/tcp" in word]
        own = [word for word in heard if word.endswith("!") and int(word.partition("/")[0]) in self._ports]
        others = [word.partition("/")[0] for word in heard if not word.endswith("!")]
        if own:
            return f"port {own[0].partition('/')[0]} is bound to 127.0.0.1, where nobody else can reach it"
        return f"it listens on port {', '.join(others)}" if others else ""

    def _until_bound(self, ports: Sequence[str]) -> None:
        """Wait for the first exposed UDP port: words that are sent before are lost, and a client sends them again.

        An image may expose ports that are off, and one may be bound elsewhere: that is no failure.
        """
        deadline = min(self._deadline, time.monotonic() + BOUND)
        while ports and time.monotonic() < deadline and self._session.state().running:
            words = self._session.command("listen").split()
            if any(port in words or f"{port}!" in words for port in ports):
                return
            time.sleep(_LONGEST_PAUSE / 10)

    def _with_cause(self, results: list[ProbeResult]) -> list[ProbeResult]:
        """The results, failed ones with what the engine knows of the cause."""
        if all(result.ok for result in results) or not self._session.state().oom_killed:
            return results
        return [
            result if result.ok else replace(result, detail="; ".join(filter(None, (result.detail, OUT_OF_MEMORY))))
            for result in results
        ]

    def _last_words(self) -> str:
        stdout, stderr = self._session.engine.logs(self._session.container)
        state = self._session.state()
        code = "" if state.running else f" with exit code {state.exit_code}"
        code += "".join(f" ({why})" for why in (state.error, OUT_OF_MEMORY * state.oom_killed) if why)
        text = excerpt(stderr or stdout, 600)
        return f"{code}; its last output was:\n{text}" if text else f"{code}; it printed nothing"

    def _first_asks(self) -> list[Ask]:
        ports = () if self._scenario.probes else self._open_first(self._ports)
        return first_asks(self._scenario, self._config, ports)

    def _find_out(self, ask: Ask) -> list[tuple[Ask, ProbeResult]]:
        """Ask for the first time: settle which port and scheme an HTTP probe means, and whether a port speaks HTTP."""
        if ask.kind == "default":
            heard = self._on_port(Ask("http", "", http=HttpProbe(), port=ask.port), or_connect=True)
            return heard if heard[0][1].ok or heard[0][1].status or not self._answered else []
        if ask.kind != "http":
            return [(ask, r) for r in self._answers(ask)]
        found: list[list[tuple[Ask, ProbeResult]]] = []
        for port in self._open_first(ports_of(ask, self._ports)):
            found.append(self._on_port(replace(ask, port=port), or_connect=False))
            self._note_answer(found[-1])
        answered = [f for f in found if f[0][1].status]
        return [pair for f in answered or found[:1] for pair in f]

    def _open_first(self, ports: Sequence[int]) -> list[int]:
        """Ports in ascending order, those that listen before those that do not, or not yet."""
        return sorted(ports, key=lambda port: (not self._listening(port), port)) if len(ports) > 1 else list(ports)

    def _note_answer(self, found: list[tuple[Ask, ProbeResult]]) -> None:
        """Note when the service answered for the first time."""
        if not self._answered and any(r.ok for _, r in found):
            self._answered = time.monotonic()

    def _patience(self, port: int) -> float:
        """Until when a silent port is waited for."""
        others = len(self._ports) > 1 or self._config.healthcheck
        known = self._answered and port in self._ports and others
        return min(self._deadline, self._answered + SILENT) if known else self._deadline

    def _on_port(self, ask: Ask, *, or_connect: bool) -> list[tuple[Ask, ProbeResult]]:
        best: list[tuple[Ask, ProbeResult]] = []
        for scheme in (ask.http.scheme,) if ask.http.scheme else ("http", "https"):
            probe = replace(ask.http, port=ask.port, scheme=scheme)
            concrete = replace(ask, kind="http", http=probe, name=probe.name)
            heard = self._heard(concrete, ENCODINGS[0], guess=or_connect)
            first = [heard.result]
            if heard.result.status:
                first += [self._http(concrete, encoding) for encoding in ENCODINGS[1:]]
            # A TLS port answers plain HTTP with 400, if at all.
            if first[0].status and first[0].status != 400:
                return [(concrete, r) for r in first]
            if not best or first[0].status:
                best = [(concrete, r) for r in first]
            if heard.foreign or (not ask.http.scheme and scheme == "http" and not self._may_speak_tls(ask.port)):
                break
        if or_connect and not best[0][1].status:
            connect = Ask("connect", f"connect {ask.port}", port=ask.port)
            return [(connect, r) for r in self._answers(connect)]
        return best

    def _may_speak_tls(self, port: int) -> bool:
        return may_speak_tls(self._published(port), min(self._silence(port, HANDSHAKE), self._limits.timeout))

    @staticmethod
    def _silence(port: int, usual: float) -> float:
        return min(usual, IMPATIENT) if port in OTHERS else usual

    def _answers(self, ask: Ask) -> list[ProbeResult]:
        if ask.kind == "http":
            return [self._http(ask, encoding) for encoding in ENCODINGS]
        if ask.kind == "connect":
            return [self._connect(ask)]
        if ask.kind == "run":
            return [self._client(ask)]
        return [self._in_container(ask)]

    def _client(self, ask: Ask) -> ProbeResult:
        """A client of this machine; asked again where a further port of the service has come up since it failed."""
        while True:
            silent = [port for port in self._ports if not self._listening(port)]
            result = self._host_command(ask)
            if result.ok or not silent or not self._joined(silent):
                return result

    def _joined(self, silent: Sequence[int]) -> bool:
        """Wait for one of the ports that did not listen; whether one has come up."""
        deadline = min(self._deadline, time.monotonic() + JOINS)
        while self._session.state().running:
            if any(self._listening(port) for port in silent):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_LONGEST_PAUSE / 10)
        return False

    def _published(self, port: int) -> int:
        return self._session.ports.get(f"{port}/tcp", port)

    def _http(self, ask: Ask, encoding: str) -> ProbeResult:
        return self._heard(ask, encoding).result

    def _heard(self, ask: Ask, encoding: str, *, guess: bool = False) -> Heard:
        """One request. Refused, reset and "not yet" statuses are asked again while the service may be coming up.

        A guess is given up as soon as a port that listens says nothing.
        """
        timeout = min(self._silence(ask.port, UNASKED), self._limits.timeout) if guess else self._limits.timeout
        name = ask.name + (" (compressed)" if encoding else "")
        pause, patience = _FIRST_PAUSE, self._patience(ask.port)
        while True:
            heard = request(self._published(ask.port), ask.http, name, encoding, timeout, self._names)
            result = heard.result
            again = not result.status or result.status in COMING_UP
            deadline = self._deadline if result.status else patience
            if not again or time.monotonic() > deadline or not self._session.state().running:
                return heard
            given_up = pause >= _LONGEST_PAUSE or heard.foreign or (guess and heard.silent)
            if not result.status and given_up and self._listening(ask.port):
                return heard  # it listens, and does not speak HTTP
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _listening(self, port: int) -> bool:
        words = self._session.command("listen").split()
        return f"{port}/tcp" in words or f"{port}/tcp!" in words

    def _connect(self, ask: Ask) -> ProbeResult:
        deadline = min(self._patience(ask.port), time.monotonic() + self._limits.timeout)
        while not self._listening(ask.port):
            if time.monotonic() > deadline:
                return ProbeResult(ask.name, False, detail=f"nothing listens on port {ask.port}")
            time.sleep(_LONGEST_PAUSE / 10)
        try:
            with socket.create_connection(("127.0.0.1", self._published(ask.port)), timeout=self._limits.timeout):
                return ProbeResult(ask.name, True)
        except OSError as error:
            return ProbeResult(ask.name, False, detail=str(error))

    def _in_container(self, ask: Ask) -> ProbeResult:
        """A command in the container; tried again while a service without ports may still be coming up."""
        pause = 0.02
        while True:
            try:
                done = self._session.execute(ask.name, ask.argv, self._limits.timeout)
            except TimeoutError:
                return ProbeResult(ask.name, False, -1, detail=f"no end after {self._limits.timeout:g} s")
            result = self._result(ask, done.exit_code, done.stdout, done.stderr)
            first = not self.asked
            if result.ok or not first or time.monotonic() > self._deadline or not self._session.state().running:
                return result
            time.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _host_command(self, ask: Ask) -> ProbeResult:
        ports = {f"DEBLOAT_PORT_{p}": str(self._published(p)) for p in self._ports}
        first = self._published(self._ports[0]) if self._ports else 0
        env = {
            **ports,
            "DEBLOAT_HOST": "127.0.0.1",
            "DEBLOAT_PORT": str(first),
            "DEBLOAT_URL": f"http://127.0.0.1:{first}",
            "DEBLOAT_CONTAINER": self._session.container,
        }
        try:
            code, stdout, stderr = run_client(ask.command, env, self._limits.timeout)
        except TimeoutError:
            return ProbeResult(ask.name, False, -1, detail=f"no end after {self._limits.timeout:g} s")
        return self._result(ask, code, stdout, stderr)

    def _result(self, ask: Ask, code: int, stdout: bytes, stderr: bytes) -> ProbeResult:
        detail = "" if code == 0 else f"exit code {code}: {excerpt(stderr or stdout, 600)}"
        text = excerpt(stdout or stderr)
        return ProbeResult(ask.name, code == 0, code, (), shape(stdout, *self._names), text, detail)
