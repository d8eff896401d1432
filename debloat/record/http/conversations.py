"""Conversations over WebSocket and gRPC within one exercise: which port they go to, and when it is ready for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from debloat.core.apis import WebSocketProbe
from debloat.core.http import HttpProbe
from debloat.core.probes import Masked, ProbeResult
from debloat.record.commands import listening, published
from debloat.record.concrete import Answers, ConcreteProbe, ports_of
from debloat.record.http.plain import NON_HTTP_PORTS

if TYPE_CHECKING:
    from debloat.record.http.browser import Browser
    from debloat.record.http.rpc import Service
    from debloat.record.session import Session

RPC_TIMEOUT = 20.0
"""Seconds for a call over gRPC: a port that speaks something else may stay silent."""

_HTTP = {"ws": "http", "wss": "https"}
_SOCKET = {scheme: socket for socket, scheme in _HTTP.items()}
_PAUSE = 0.1


class Conversations:
    """Holds the conversations of an exercise.

    `browser` gives the user agent whose cookies and values are sent. `open_first` orders ports, `names` are masked in
    what is compared. `timeout` is in seconds, `deadline` the moment (monotonic) until which the service may be coming
    up.
    """

    def __init__(
        self,
        session: Session,
        browser: Callable[[], Browser],
        open_first: Callable[[Sequence[int]], Sequence[int]],
        names: tuple[Masked, ...],
        timeout: float,
        deadline: float,
    ) -> None:
        self._session = session
        self._browser = browser
        self._open_first = open_first
        self._names = names
        self._timeout = timeout
        self._deadline = deadline
        self._services: dict[tuple[int, str], Service] = {}

    def close(self) -> None:
        for service in self._services.values():
            service.close()

    def answer(self, probe: ConcreteProbe) -> ProbeResult:
        """Hold a conversation whose port and scheme are known."""
        return self._talk(probe, probe.socket) if probe.socket else self._call(probe)

    def websocket(self, probe: ConcreteProbe, ports: Sequence[int], http_at: Mapping[str, tuple[int, str]]) -> Answers:
        """Hold a conversation over WebSocket for the first time.

        Where it names no port it goes to the first that speaks HTTP: those of `http_at` (port and scheme, by the
        scheme that was wanted) are known to.
        """
        asked = probe.socket or WebSocketProbe()
        wanted = _HTTP.get(asked.scheme, "")
        known = None if probe.port else http_at.get(wanted)
        schemes = [asked.scheme] if wanted else [_SOCKET[known[1]]] if known and known[1] else list(_HTTP)
        tried: Answers = []
        for port in [known[0]] if known else self._open_first(ports_of(probe, ports)):
            for scheme in schemes:
                socket = replace(asked, port=port, scheme=scheme)
                concrete = replace(probe, port=port, socket=socket, name=socket.name)
                tried.append((concrete, self._talk(concrete, socket)))
                if tried[-1][1].ok:
                    return tried[-1:]
        # What was answered says more than that nothing was.
        return [next((one for one in tried if one[1].status), tried[0])]

    def _talk(self, probe: ConcreteProbe, socket: WebSocketProbe) -> ProbeResult:
        from debloat.record.http.websocket import converse

        browser = self._browser()
        socket = replace(
            socket,
            path=browser.filled_in(socket.path),
            headers=tuple((name, browser.filled_in(value)) for name, value in socket.headers),
            send=tuple(map(browser.filled_in, socket.send)),
        )
        port = published(self._session, probe.port)
        cookie = browser.cookies(f"{_HTTP[socket.scheme]}://127.0.0.1:{port}/")

        def once() -> tuple[ProbeResult, bool]:
            answer = converse(port, socket, probe.name, self._timeout, self._names, cookie)
            return answer.result, not answer.result.status

        return self._patiently(probe.port, once)

    def grpc(self, probe: ConcreteProbe, ports: Sequence[int]) -> Answers:
        """Ask for health and by reflection, and make the calls that this leads to, on each port that speaks gRPC."""
        from debloat.record.http.rpc import FOREIGN, HEALTH, REFLECTION

        answers, silent = Answers(), Answers()
        candidates = self._open_first(ports_of(probe, ports))
        for port in candidates if probe.port else [p for p in candidates if p not in NON_HTTP_PORTS]:
            for scheme in [probe.http.scheme] if probe.http.scheme else list(_SOCKET):
                health = self._rpc(port, scheme, HEALTH)
                if health[1].status in FOREIGN:
                    silent.append(health)
                    continue
                answers += [health, self._rpc(port, scheme, REFLECTION)]
                calls = [self._rpc(port, scheme, path) for path in self._service(port, scheme).methods()]
                answers += [call for call in calls if call[1].ok]
                break
        return answers or silent[:1] or [(probe, ProbeResult(probe.name, False, detail="no port speaks gRPC"))]

    def _rpc(self, port: int, scheme: str, path: str) -> tuple[ConcreteProbe, ProbeResult]:
        name = f"grpc {scheme}://:{port}{path}"
        probe = ConcreteProbe("call", name, http=HttpProbe("POST", path, port, scheme), port=port)
        self._session.mark(name)
        return probe, self._call(probe)

    def _call(self, probe: ConcreteProbe) -> ProbeResult:
        def once() -> tuple[ProbeResult, bool]:
            result = self._service(probe.port, probe.http.scheme).call(probe.http.path, probe.name)
            return result, not result.ok

        return self._patiently(probe.port, once)

    def _service(self, port: int, scheme: str) -> Service:
        from debloat.record.http.rpc import Service

        if (port, scheme) not in self._services:
            local = published(self._session, port)
            self._services[port, scheme] = Service(local, scheme, min(self._timeout, RPC_TIMEOUT), self._names)
        return self._services[port, scheme]

    def _patiently(self, port: int, once: Callable[[], tuple[ProbeResult, bool]]) -> ProbeResult:
        """Ask until there is an answer, while the port may be coming up: `once` says whether there was none."""
        while True:
            listened = listening(self._session, port)
            result, again = once()
            if not again or listened or time.monotonic() > self._deadline or not self._session.state().running:
                return result
            time.sleep(_PAUSE)
