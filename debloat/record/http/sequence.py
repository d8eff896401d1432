"""Requests of one exercise that belong together: which port they go to, and what is found on the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from debloat.core.http import HttpProbe
from debloat.core.probes import Masked, ProbeResult
from debloat.record.concrete import ConcreteProbe, ports_of
from debloat.record.http.pages import Walk
from debloat.record.http.plain import Response

if TYPE_CHECKING:
    from debloat.record.http.browser import Browser

Answers = list[tuple[ConcreteProbe, ProbeResult]]
"""Probes as they are to be repeated, and what was answered."""


class RequestSequence:
    """Makes the requests of an exercise with one browser.

    `on_port` makes a request on the port of its probe and finds out its scheme, `open_first` orders ports, `mark` says
    what is recorded from now on. `timeout` is in seconds.
    """

    def __init__(
        self,
        on_port: Callable[[ConcreteProbe], Answers],
        open_first: Callable[[Sequence[int]], Sequence[int]],
        mark: Callable[[str], None],
        timeout: float,
    ) -> None:
        self._on_port = on_port
        self._open_first = open_first
        self._mark = mark
        self._timeout = timeout
        self._browser: Browser | None = None
        self._http_at: dict[str, tuple[int, str]] = {}
        self._names: dict[str, int] = {}

    def close(self) -> None:
        if self._browser is not None:
            self._browser.close()

    def ask(self, port: int, probe: HttpProbe, name: str, timeout: float, names: tuple[Masked, ...]) -> Response:
        """Make one request to 127.0.0.1:`port`, as `Browser.ask`."""
        return self._browsing().ask(port, probe, name, timeout, names)

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
        """Make a probe for the first time: a request, or what requests come of."""
        return self._crawled(probe, ports) if probe.kind == "crawl" else self._request(probe, ports)

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
        walk, deadline = Walk(probe.start, probe.pages), time.monotonic() + self._timeout
        answers: Answers = []
        while (not answers or time.monotonic() < deadline) and (path := walk.next()):
            request = HttpProbe(path=path)
            self._mark(request.name)
            answers += self._request(replace(probe, kind="request", http=request), ports)
            walk.found(self._browsing().page.links)
        return [(page, answer) for page, answer in answers if answer.ok] or answers[:1]
