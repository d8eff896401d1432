"""Talking to the servers of a container under exercise in other protocols than HTTP."""

from __future__ import annotations

import time
from collections.abc import Mapping

from debloat.core.probes import Masked, ProbeResult, excerpt
from debloat.core.protocol import ProtocolProbe
from debloat.record.commands import NO_PROGRAM, listening, published
from debloat.record.concrete import Answers, ConcreteProbe, Limits, protocol_probe
from debloat.record.protocols import table
from debloat.record.session import Session

PROGRAM_TIMEOUT = 60.0
"""Seconds that a program of a protocol's may take."""
_MIN_PAUSE, _MAX_PAUSE = 0.01, 0.25


class Talk:
    """The servers of a container. `env` is its environment, `names` are masked in what is compared.

    Unless `unasked`, servers are left alone that no probe names.
    """

    def __init__(
        self,
        session: Session,
        env: Mapping[str, str],
        limits: Limits,
        names: tuple[Masked, ...],
        *,
        unasked: bool = True,
    ) -> None:
        self._session = session
        self._env = env
        self._limits = limits
        self._names = names
        self._may = unasked
        self._run: set[tuple[str, ...]] = set()

    def usual(self, port: int) -> Answers:
        """The protocol whose port this usually is, where the port listens and speaks it; nothing where it does not."""
        usual = table.usual(port) if self._may else None
        if usual is None or not listening(self._session, port):
            return []
        speaks = table.speaks(usual, published(self._session, port), min(table.GREETING, self._limits.timeout))
        return self._unasked(protocol_probe(usual)) if speaks else []

    def datagrams(self, probe: ConcreteProbe, patience: float) -> Answers:
        """What is spoken in datagrams alone, waited for until `patience` (monotonic); nothing for other probes."""
        return self.everything(protocol_probe(probe.ask), patience) if probe.ask else []

    def guessed(self, port: int) -> Answers:
        """The protocol that a port speaks by its handshake alone; nothing where it is none that is known."""
        spoken = table.guessed(port, published(self._session, port), self._limits.timeout) if self._may else None
        return self._unasked(protocol_probe(spoken)) if spoken else []

    def _unasked(self, probe: ConcreteProbe) -> Answers:
        """All of a protocol that nobody named: nothing but a connect where its client library is missing."""
        assert probe.ask is not None
        if table.available(probe.ask):
            return self.everything(probe, time.monotonic() + self._limits.timeout)
        advice = f"port {probe.port} speaks {probe.ask.protocol}: {table.EXTRA} brings what talks to it"
        name = f"connect {probe.port}"
        return [(ConcreteProbe("connect", name, port=probe.port), ProbeResult(name, True, detail=advice))]

    def everything(self, probe: ConcreteProbe, patience: float) -> Answers:
        """A conversation, and what the protocol's own programs say, each once, of those that the image brings.

        Until the moment `patience` (monotonic) the service may be starting.
        """
        assert probe.ask is not None
        answers = [(probe, self.answer(probe, patience))]
        if not answers[0][1].ok:
            return answers
        for name, argv in table.programs(probe.ask, self._env):
            if argv in self._run:
                continue
            self._run.add(argv)
            program = ConcreteProbe("program", f"program {name}", argv=argv)
            self._session.mark(program.name)
            result = self._program(program)
            if result.ok:
                answers.append((program, result))
        return answers

    def answer(self, probe: ConcreteProbe, patience: float) -> ProbeResult:
        """One conversation, or one program's exit code."""
        return self._program(probe) if probe.ask is None else self._conversation(probe, patience)

    def _conversation(self, probe: ConcreteProbe, patience: float) -> ProbeResult:
        assert probe.ask is not None
        pause, timeout, hopeless = _MIN_PAUSE, self._limits.timeout, not table.available(probe.ask)
        while True:
            result = table.converse(probe.ask, self._ways(probe.ask), self._env, timeout, self._names)
            running = self._session.state().running
            if result.ok or hopeless or not running or time.monotonic() > patience:
                return result
            time.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE)

    def _ways(self, ask: ProtocolProbe) -> table.Ways:
        """Where a conversation goes to. Containers in a network of their own may listen where nothing is published."""
        reached, port = self._session.ports, ask.port
        stream = 0 if f"{port}/tcp" not in reached and f"{port}/udp" in reached else published(self._session, port)
        udp = reached.get(f"{port}/udp", 0) if ask.datagrams else 0
        return table.Ways(stream, udp, self._session.within)

    def _program(self, probe: ConcreteProbe) -> ProbeResult:
        """Run a program in the container. Its exit code is compared, whatever it is: it need not be set up for use."""
        limit = min(PROGRAM_TIMEOUT, self._limits.timeout)
        try:
            executed = self._session.execute(probe.name, probe.argv, limit)
        except TimeoutError:
            return ProbeResult(probe.name, False, -1, detail=f"no end after {limit:g} s")
        code, text = executed.exit_code, excerpt(executed.stdout or executed.stderr)
        there = code >= 0 and code not in NO_PROGRAM
        return ProbeResult(probe.name, there, code, text=text, detail="" if there else f"exit code {code}: {text}")
