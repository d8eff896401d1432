"""Requests of one exercise that belong together: which port they go to, and what is found on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from debloat.core.http import HttpProbe
from debloat.core.probes import Masked, ProbeResult
from debloat.record.concrete import Answers, ConcreteProbe, ports_of
from debloat.record.http.conversations import Conversations
from debloat.record.http.pages import Walk
from debloat.record.http.plain import Response

if TYPE_CHECKING:
    from debloat.record.http.browser import Browser
    from debloat.record.session import Session

FOUND_TIMEOUT = 10.0
"""Seconds for a request that was found: among them are streams and long polls, which never end."""
KINDS = frozenset({"request", "crawl", "har", "openapi", "websocket", "grpc"})
"""Kinds of probes that are resolved here."""
FURTHER_KINDS = frozenset({"websocket", "call"})
"""Kinds of probes, once resolved, that are no HTTP requests."""


class RequestSequence:
    """Makes the requests of an exercise with one browser.

    `on_port` makes a request on the port of its probe and finds out its scheme, `open_first` orders ports, `names` are
    masked in what is compared. `timeout` is in seconds, `deadline` the moment (monotonic) until which the service may
    be coming up.
    """

    def __init__(
        self,
        session: Session,
        on_port: Callable[[ConcreteProbe], Answers],
        open_first: Callable[[Sequence[int]], Sequence[int]],
        names: tuple[Masked, ...],
        timeout: float,
        deadline: float,
    ) -> None:
        self._session = session
        self._on_port = on_port
        self._open_first = open_first
        self._timeout = timeout
        self._browser: Browser | None = None
        self._http_at: dict[str, tuple[int, str]] = {}
        self._names: dict[str, int] = {}
        self._conversations = Conversations(session, self._browsing, open_first, names, timeout, deadline)

    def close(self) -> None:
        if self._browser is not None:
            self._browser.close()
        self._conversations.close()

    def ask(self, port: int, probe: HttpProbe, name: str, timeout: float, names: tuple[Masked, ...]) -> Response:
        """Make one request to 127.0.0.1:`port`, as `Browser.ask`."""
        return self._browsing().ask(port, probe, name, min(timeout, FOUND_TIMEOUT) if probe.found else timeout, names)

    def _browsing(self) -> Browser:
        if self._browser is None:
            # It takes a quarter of a second to load.
            from debloat.record.http.browser import Browser

            self._browser = Browser()
        return self._browser

    def note(self, name: str) -> None:
        """Note that a probe outside of the sequence has this name."""
        self._names[name] = 1

    def resolve(self, probe: ConcreteProbe, ports: Sequence[int]) -> Answers:
        """Make a probe of a kind in `KINDS` for the first time: a request, or what requests come of."""
        how = {
            "request": self._request,
            "crawl": self._crawled,
            "har": self._found,
            "openapi": self._found,
            "websocket": self._conversed,
            "grpc": self._conversed,
        }
        return how[probe.kind](probe, ports)

    def answer(self, probe: ConcreteProbe) -> ProbeResult:
        """Make a probe of a kind in `FURTHER_KINDS` once more."""
        return self._conversations.answer(probe)

    def _conversed(self, probe: ConcreteProbe, ports: Sequence[int]) -> Answers:
        if probe.kind == "grpc":
            return self._named(self._conversations.grpc(probe, ports))
        return self._named(self._conversations.websocket(probe, ports, self._http_at))

    def _request(self, probe: ConcreteProbe, ports: Sequence[int]) -> Answers:
        """Make a request. Where it names no port it goes to the first that speaks HTTP, as those before it."""
        wanted = probe.http.scheme
        if not probe.port and wanted in self._http_at:
            port, scheme = self._http_at[wanted]
            return self._named(self._on_port(replace(probe, port=port, http=replace(probe.http, scheme=scheme))))
        best: Answers = []
        for port in self._open_first(ports_of(probe, ports)):
            answers = self._on_port(replace(probe, port=port))
            if answers[0][1].status:
                if not probe.port:
                    self._http_at[wanted] = (port, answers[0][0].http.scheme)
                return self._named(answers)
            best = best or answers
        return self._named(best)

    def _named(self, answers: Answers) -> Answers:
        """Answers under names that no other probe has: they are compared by name."""
        result = []
        for probe, answer in answers:
            count = self._names[probe.name] = self._names.get(probe.name, 0) + 1
            name = probe.name if count == 1 else f"{probe.name} ({count})"
            result.append((replace(probe, name=name), replace(answer, name=name)))
        return result

    def _crawled(self, probe: ConcreteProbe, ports: Sequence[int]) -> Answers:
        """Follow links, and make each page that is found a probe; those that the server itself fails at are none."""
        walk = Walk(probe.start, probe.pages)

        def pages() -> Iterator[HttpProbe]:
            while path := walk.next():
                yield HttpProbe(path=path)
                walk.found(self._browsing().page.links)

        return self._all(probe, pages(), ports)

    def _found(self, probe: ConcreteProbe, ports: Sequence[int]) -> Answers:
        """Make the requests of a description or a recording; those that the server itself fails at are no probes."""
        requests = probe.requests
        if not requests:
            first = self._request(replace(probe, kind="request"), ports)
            result = first[0][1]
            if not result.ok or result.status >= 400:
                return [(first[0][0], replace(result, ok=False, detail=result.detail or f"status {result.status}"))]
            from debloat.record.http.description import of_answer
            from debloat.record.http.openapi import requests_of

            asked = first[0][0].http
            found = requests_of(of_answer(self._browsing().body, asked.path), asked.headers)
            requests = tuple(replace(request, port=asked.port, scheme=asked.scheme) for request in found)
            return [*first, *self._all(probe, iter(requests), ports)]
        return self._all(probe, iter(requests), ports)

    def _all(self, probe: ConcreteProbe, requests: Iterator[HttpProbe], ports: Sequence[int]) -> Answers:
        """Make requests one after the other, within the time of a probe, and keep those that are answered."""
        deadline, answers, left = time.monotonic() + self._timeout, Answers(), 0
        for request in requests:
            if answers and time.monotonic() > deadline:
                left = 1 + sum(1 for _ in requests)
                break
            self._session.mark(request.name)
            one = replace(probe, kind="request", http=replace(request, found=True), requests=(), port=request.port)
            answers += self._request(one, ports)
        failed = [answer.name for _, answer in answers if not answer.ok]
        kept = [(page, answer) for page, answer in answers if answer.ok]
        if not kept:
            return answers[:1]
        said = [f"it fails at {len(failed)} of {len(answers)}, which are left out: {failed[0]}"] if failed else []
        said += [f"{left} more were not made within {self._timeout:g} s"] if left else []
        # The detail of an answer that is right is a note for the report.
        advice = f"{probe.name}: {'; '.join(said)}" if said else ""
        return [(kept[0][0], replace(kept[0][1], detail=advice)), *kept[1:]]
