"""Exercising a container: waiting until it is ready, making the probes, stopping it, and the answers.

The first exercise of an image finds out what its probes are exactly (which port speaks HTTP, which TLS). Every further
exercise, of the minimal image too, makes exactly these (`Exercise.probes`).
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import OriginalFails
from debloat.core.http import HttpProbe
from debloat.core.model import Image, ImageConfig
from debloat.core.probes import Masked, ProbeResult
from debloat.core.recipe import DEFAULT, Scenario
from debloat.engine.workspace import Workspace
from debloat.record.commands import Commands, listening, published
from debloat.record.concrete import (
    DATAGRAM_HINT,
    END_HINT,
    Answers,
    ConcreteProbe,
    Limits,
    ListensElsewhere,
    NothingToProbe,
    bound_ports,
    concrete_probes,
    described_probes,
    is_service,
    ports_of,
    published_ports,
    run_to_end_probe,
    stream_ports,
)
from debloat.record.http.plain import NON_HTTP_PORTS, Response, may_speak_tls, request
from debloat.record.http.sequence import FURTHER_KINDS, KINDS, RequestSequence
from debloat.record.protocols.talk import Talk
from debloat.record.readiness import LOOPBACK_HINT, OUT_OF_MEMORY, PORT_HINT, UDP_BIND_TIMEOUT, Startup
from debloat.record.session import STOP_GRACE, ByHand, Recorded, Recorder, Session, started

ENCODINGS = ("", "gzip, deflate, br")
"""Values of Accept-Encoding; each HTTP probe is made with each. Empty sends no header: a server may use sendfile."""

NOT_READY_STATUSES = (502, 503, 504)
"""Statuses of a service that is still starting: the request is repeated until the readiness limit."""

SILENT_PORT_TIMEOUT = 3.0
"""Seconds that an exposed port may stay silent once another has answered: images expose ports that are not in use."""
UNSOLICITED_HTTP_TIMEOUT = 20.0
"""Seconds that a port that need not speak HTTP may stay silent on a request: many protocols wait for more input."""
TLS_HANDSHAKE_TIMEOUT = 5.0
"""Seconds within which a port that speaks TLS answers a ClientHello. Other protocols may wait for more for ever."""
NON_HTTP_TIMEOUT = 2.0
"""Seconds that a port in `NON_HTTP_PORTS` may stay silent on an HTTP request."""
_MIN_PAUSE, _MAX_PAUSE = 0.005, 0.25


def beginning(scenario: Scenario) -> str:
    """What traces call the time before the first probe: scenarios of an image are told apart by it."""
    return "start" if scenario.name == DEFAULT else f"start of {scenario.name}"


class Exercise(Struct, frozen=True):
    """A finished exercise of a scenario: its probes, the results in their order, and what was recorded.

    `ready` is the seconds until it was ready, `mechanism` how it was to be recorded.
    """

    scenario: Scenario
    probes: tuple[ConcreteProbe, ...]
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
    probes: tuple[ConcreteProbe, ...] | None = None,
) -> Exercise:
    """Start `reference` as `scenario` says, make the probes, stop it, and collect answers and trace.

    `probes` are those of an earlier exercise; None finds them out. OriginalFails when the container cannot be exercised
    at all: it never gets ready, or stays up with nothing to probe.
    """
    config = image.config
    described = described_probes(scenario) if probes is None else ()
    ports = published_ports(scenario, config, probes)
    by_hand = recorder.by_hand if recorder.recording and probes is None else None
    with started(workspace, image, reference, scenario.args, scenario.options, recorder, ports) as session:
        run = begin(session, config, scenario, limits, ports, by_hand, described)
        with contextlib.closing(run):
            results = run.to_the_end(first=probes is None) if run.finite(probes) else run.service(probes)
        recorded = session.recorded(beginning(scenario))
        return Exercise(scenario, tuple(run.probes), tuple(results), recorded, run.ready, recorder.mechanism)


def begin(
    session: Session,
    config: ImageConfig,
    scenario: Scenario,
    limits: Limits,
    ports: Sequence[str],
    by_hand: ByHand | None = None,
    described: Sequence[ConcreteProbe] = (),
) -> _Run:
    """An exercise of a started container on these ports (`80/tcp`), to be carried out step by step, and closed.

    `described` are the probes of `described_probes`.
    """
    return _Run(session, config, scenario, limits, ports, by_hand, described)


class _Run:
    """One exercise under way."""

    def __init__(
        self,
        session: Session,
        config: ImageConfig,
        scenario: Scenario,
        limits: Limits,
        ports: Iterable[str],
        by_hand: ByHand | None = None,
        described: Sequence[ConcreteProbe] = (),
    ) -> None:
        self._session = session
        self._config = config
        self._scenario = scenario
        self._limits, self._by_hand = limits, by_hand
        self._described = described
        self._ports = stream_ports(ports)
        self._begun = time.monotonic()
        self._deadline = self._begun + limits.ready
        self._names: tuple[Masked, ...] = (
            *(session.container[:12], *(str(p) for p in session.ports.values())),
            *map(re.compile, scenario.masks),
        )
        self._commands = Commands(session, self._ports, self._names, limits.timeout, self._deadline)
        self._sequence = RequestSequence(
            session, self._on_port, self._open_first, self._names, limits.timeout, self._deadline
        )
        env = {**config.env, **scenario.options.env}
        self._talk = Talk(session, env, limits, self._names, unasked=scenario.talk)
        self._answered = self._binds_until = 0.0
        self._startup = Startup(session, config, scenario, limits, self._ports, self._names)
        self.probes: list[ConcreteProbe] = []

    @property
    def ready(self) -> float:
        """Seconds until it was ready."""
        return self._startup.seconds

    def close(self) -> None:
        self._sequence.close()

    def finite(self, probes: tuple[ConcreteProbe, ...] | None) -> bool:
        """Whether the container is run to its end instead of being probed."""
        if self._by_hand is not None and self._scenario.args is None:
            return False
        if probes is not None:
            return any(probe.kind == "exit" for probe in probes)
        service = is_service(self._scenario, self._config, self._ports)
        return not (self._serves() if service is None else service)

    def _serves(self) -> bool:
        """Whether a container with other arguments turns out to be a service: it listens on an exposed port."""
        return self._startup.until_open(self._limits.ready).startswith("ready")

    def to_the_end(self, *, first: bool) -> list[ProbeResult]:
        """Wait for the program to finish; its output and exit code are the answer."""
        probe = run_to_end_probe(self._scenario)
        self.probes.append(probe)
        engine, container = self._session.engine, self._session.container
        code = engine.wait(container, self._limits.timeout)
        if code is None:
            if first:
                raise NothingToProbe(
                    f"the container stays up after {self._limits.timeout:g} s, and there is nothing to ask it",
                    END_HINT,
                )
            engine.kill(container, "SIGKILL")
            engine.wait(container, STOP_GRACE)
            return [ProbeResult(probe.name, False, -1, detail=f"no end after {self._limits.timeout:g} s")]
        stdout, stderr = engine.logs(container)
        return self._with_cause([self._commands.result(probe, code, stdout, stderr)])

    def service(self, probes: tuple[ConcreteProbe, ...] | None) -> list[ProbeResult]:
        """Wait until it is ready, make the probes, and stop it while it is still recorded."""
        return [*self.ask(probes), self.stop()]

    def ask(self, probes: tuple[ConcreteProbe, ...] | None) -> list[ProbeResult]:
        """Wait until it is ready, and make the probes; it stays up."""
        try:
            problem = self._startup.wait()
        except ListensElsewhere as error:
            if probes is None:
                raise
            problem = error.message
        if problem and probes is None:
            until = self._scenario.until
            if until is None or until.ports:
                self._must_not_listen_elsewhere(problem, sorted(until.ports) if until else self._ports)
            traits = self._session.engine.info().traits
            runs = "does it run elsewhere?" if traits.own else f"does `{traits.command} run` of it work?"
            needs = "set what it needs with -e, -v or --network, or `ready` in debloat.toml"
            raise OriginalFails(problem, f"{runs} {needs}")
        results: list[ProbeResult] = []
        for probe in probes if probes is not None else self._scenario_probes():
            self._session.mark(probe.name)
            if problem:
                answers = [(probe, ProbeResult(probe.name, False, detail=problem))]
            else:
                answers = self._resolve(probe) if probes is None else [(probe, r) for r in self._answers(probe)]
            self._note_answer(answers)
            if probes is None and self._scenario.probes:
                self._must_be_heard(answers)
            for concrete in answers if probe.kind == "http" else ():
                self._sequence.note(concrete[0].name)
            self.probes += [a for a in dict.fromkeys(concrete for concrete, _ in answers) if a not in self.probes]
            results += [result for _, result in answers]
        if probes is None and not results and self._by_hand is None:
            raise NothingToProbe("nobody takes datagrams on any of its exposed ports", DATAGRAM_HINT)
        if self._by_hand is not None:
            self._session.by_hand(self._by_hand)
        return self._with_cause(results)

    def _must_be_heard(self, answers: Answers) -> None:
        """ListensElsewhere where nobody answered because nothing listens on a port, and others are open."""
        for probe, result in answers:
            status = result.status and probe.kind != "call"  # of gRPC that is UNAVAILABLE
            by_datagrams = probe.ask is not None and probe.ask.datagrams
            if probe.port and not (result.ok or status or by_datagrams):
                waited = time.monotonic() - self._begun
                problem = f"{result.name}: nothing listens on port {probe.port} after {waited:.0f} s"
                self._must_not_listen_elsewhere(problem, (probe.port,))

    def _must_not_listen_elsewhere(self, problem: str, ports: Sequence[int]) -> None:
        """ListensElsewhere, with the problem, where the container has other ports open than these: it got ready, and
        would open no more of them if it ran unrecorded."""
        own_network = not self._scenario.options.shares_network
        if own_network and self._session.state().running and (where := self._startup.elsewhere(ports)):
            said = problem if where.phrase in problem else f"{problem}: {where}"
            raise ListensElsewhere(said, LOOPBACK_HINT if where.loopback else PORT_HINT)

    def stop(self) -> ProbeResult:
        """Stop it as its engine would; how it ended is the answer."""
        self._session.mark("stop")
        code = self._session.stop()
        return ProbeResult("stop", True, -1 if code is None else code)

    def _with_cause(self, results: list[ProbeResult]) -> list[ProbeResult]:
        """The results, failed ones with what the engine knows of the cause."""
        if all(result.ok for result in results) or not self._session.state().oom_killed:
            return results
        return [
            result if result.ok else replace(result, detail="; ".join(filter(None, (result.detail, OUT_OF_MEMORY))))
            for result in results
        ]

    def _scenario_probes(self) -> list[ConcreteProbe]:
        ports = () if self._scenario.probes else self._open_first(self._ports)
        others = self._scenario.probes or self._config.healthcheck or bound_ports(self._scenario, self._config)
        if self._by_hand is not None and not (others or ports):
            return []
        return concrete_probes(self._scenario, self._config, ports, self._described)

    def _resolve(self, probe: ConcreteProbe) -> Answers:
        """Make a probe for the first time, and with it find out port and scheme, and what the port speaks."""
        if probe.kind == "default":
            unknown = ConcreteProbe("http", "", http=HttpProbe(), port=probe.port)
            patience = self._answered + SILENT_PORT_TIMEOUT if self._answered else self._deadline
            answers = self._talk.datagrams(probe, patience)
            answers = answers or self._talk.usual(probe.port) or self._on_port(unknown, or_connect=True)
            return answers if answers[0][1].ok or answers[0][1].status or not self._answered else []
        if probe.kind == "bound":
            # One that is not in use is no fault of the image; one of them is, when the container counts as ready.
            self._binds_until = self._binds_until or time.monotonic() + SILENT_PORT_TIMEOUT
            result = self._commands.bound(probe, self._binds_until - time.monotonic())
            return [(probe, result)] if result.ok else []
        if probe.kind in KINDS:
            return self._sequence.resolve(probe, self._ports)
        if probe.kind == "protocol":
            return self._talk.everything(probe, self._patience(probe.port))
        if probe.kind != "http":
            return [(probe, r) for r in self._answers(probe)]
        by_port: list[Answers] = []
        for port in self._open_first(ports_of(probe, self._ports)):
            by_port.append(self._on_port(replace(probe, port=port)))
            self._note_answer(by_port[-1])
        answered = [f for f in by_port if f[0][1].status]
        return [pair for f in answered or by_port[:1] for pair in f]

    def _open_first(self, ports: Sequence[int]) -> list[int]:
        """Ports in ascending order, those that listen before those that do not, or not yet."""
        return sorted(ports, key=lambda port: (not self._listening(port), port)) if len(ports) > 1 else list(ports)

    def _note_answer(self, answers: Answers) -> None:
        """Note when the service answered for the first time."""
        if not self._answered and any(r.ok for _, r in answers):
            self._answered = time.monotonic()

    def _patience(self, port: int) -> float:
        """The moment (monotonic) until which a silent port is waited for."""
        has_others = len(self._ports) > 1 or self._config.healthcheck
        answered_elsewhere = self._answered and port in self._ports and has_others
        return min(self._deadline, self._answered + SILENT_PORT_TIMEOUT) if answered_elsewhere else self._deadline

    def _on_port(self, probe: ConcreteProbe, *, or_connect: bool = False) -> Answers:
        best: Answers = []
        for scheme in (probe.http.scheme,) if probe.http.scheme else ("http", "https"):
            http_probe = replace(probe.http, port=probe.port, scheme=scheme)
            kind = "request" if probe.kind == "request" else "http"
            concrete = replace(probe, kind=kind, http=http_probe, name=http_probe.name)
            response = self._request(concrete, ENCODINGS[0], guess=or_connect)
            first = [response.result]
            if response.result.status and kind == "http":
                first += [self._http(concrete, encoding) for encoding in ENCODINGS[1:]]
            # A TLS port answers plain HTTP with 400, if at all.
            if first[0].status and first[0].status != 400:
                if kind == "request" and first[0].status not in NOT_READY_STATUSES:
                    self._answered = self._answered or time.monotonic()
                return [(concrete, r) for r in first]
            if not best or first[0].status:
                best = [(concrete, r) for r in first]
            if response.foreign or (not probe.http.scheme and scheme == "http" and not self._may_speak_tls(probe.port)):
                break
        if or_connect and not best[0][1].status:
            connect = ConcreteProbe("connect", f"connect {probe.port}", port=probe.port)
            answers = [(connect, r) for r in self._answers(connect)]
            return (answers[0][1].ok and self._talk.guessed(probe.port)) or answers
        return best

    def _may_speak_tls(self, port: int) -> bool:
        return may_speak_tls(
            self._published(port), min(self._silence(port, TLS_HANDSHAKE_TIMEOUT), self._limits.timeout)
        )

    @staticmethod
    def _silence(port: int, timeout: float) -> float:
        return min(timeout, NON_HTTP_TIMEOUT) if port in NON_HTTP_PORTS else timeout

    def _answers(self, probe: ConcreteProbe) -> list[ProbeResult]:
        if probe.kind == "ready":
            return [ProbeResult(probe.name, True)]
        if probe.kind == "http":
            return [self._http(probe, encoding) for encoding in ENCODINGS]
        if probe.kind == "bound":
            return [self._commands.bound(probe, UDP_BIND_TIMEOUT)]
        if probe.kind == "connect":
            return [self._commands.connect(probe, self._patience(probe.port))]
        if probe.kind == "request":
            return [self._request(probe, "").result]
        if probe.kind in FURTHER_KINDS:
            return [self._sequence.answer(probe)]
        if probe.kind in ("protocol", "program"):
            return [self._talk.answer(probe, self._patience(probe.port))]
        if probe.kind in ("run", "test"):
            return [self._commands.on_host(probe)]
        return [self._commands.in_container(probe, is_first=not self.probes)]

    def _published(self, port: int) -> int:
        return published(self._session, port)

    def _http(self, probe: ConcreteProbe, encoding: str) -> ProbeResult:
        return self._request(probe, encoding).result

    def _request(self, probe: ConcreteProbe, encoding: str, *, guess: bool = False) -> Response:
        """One request, repeated while the service may be starting: refused, reset, or a "not ready" status.

        A `guess` (the port need not speak HTTP) is given up as soon as a port that listens stays silent. A port that
        hangs up is given up only where it listened before it was asked: what forwards ports hangs up for a closed one.
        """
        timeout = (
            min(self._silence(probe.port, UNSOLICITED_HTTP_TIMEOUT), self._limits.timeout)
            if guess
            else self._limits.timeout
        )
        name = probe.name + (" (compressed)" if encoding else "")
        pause, patience, listened = _MIN_PAUSE, self._patience(probe.port), False
        # What the user did not ask for may be unavailable for good.
        until = min(self._deadline, time.monotonic() + SILENT_PORT_TIMEOUT) if probe.http.found else self._deadline
        while True:
            response = self._asked(probe, name, encoding, timeout)
            result = response.result
            not_ready = result.status in NOT_READY_STATUSES and not result.ok
            retry = not result.status or (not_ready and not (probe.http.found and self._answered))
            deadline = until if result.status else patience
            if not retry or time.monotonic() > deadline or not self._session.state().running:
                return response
            listens = not result.status and self._listening(probe.port)
            spoke = response.foreign or (guess and response.silent)
            if listens and (spoke or (listened and pause >= _MAX_PAUSE)):
                return response  # it listens, and does not speak HTTP
            listened = listens
            time.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE)

    def _asked(self, probe: ConcreteProbe, name: str, encoding: str, timeout: float) -> Response:
        port = self._published(probe.port)
        if probe.kind == "request":
            return self._sequence.ask(port, probe.http, name, timeout, self._names)
        return request(port, probe.http, name, encoding, timeout, self._names)

    def _listening(self, port: int) -> bool:
        return listening(self._session, port)
