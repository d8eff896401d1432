"""Proof in the stack: all minimal images in their places at once, asked the same probes, answers compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from debloat.compose.stack import Exercised
from debloat.core.errors import DebloatError
from debloat.core.model import Image
from debloat.core.probes import ProbeResult
from debloat.record.record import trace_of
from debloat.verify import Verdict, compared


class Shared(Struct, frozen=True):
    """An image, and the chosen services that run it, by name."""

    image: Image
    services: tuple[str, ...]


class StackJudge(Struct):
    """Compares replays of the whole stack with the original's answers. Where they differ, the original runs again.

    `ask` starts the stack with these images, by service, and makes the probes of the recording.
    """

    ask: Callable[[Mapping[str, str]], Exercised]
    recorded: Exercised
    originals: Mapping[str, str]
    shared: tuple[Shared, ...]
    _again: list[Exercised | None] = []

    def verdicts(self, references: Sequence[str]) -> tuple[Verdict, ...]:
        """The verdicts on the images `references`, each in the places of one that is shared, in their order."""
        places = zip(self.shared, references, strict=True)
        replay = self.ask({name: reference for one, reference in places for name in one.services})
        return tuple(self._verdict(one, replay) for one in self.shared)

    def _verdict(self, one: Shared, replay: Exercised) -> Verdict:
        answers = tuple(
            answer
            for name in one.services
            for answer in compared(
                self.recorded.by_service[name],
                replay.by_service[name],
                lambda number, name=name: self._original_again(number, name),  # type: ignore[misc]
            )
        )
        return Verdict(answers, trace_of(one.image, [replay.by_service[name] for name in one.services]))

    def _original_again(self, number: int, service: str) -> Mapping[str, ProbeResult]:
        while len(self._again) <= number:
            try:
                self._again.append(self.ask(self.originals))
            except DebloatError:
                self._again.append(None)
        again = self._again[number]
        return {} if again is None else {r.name: r for r in again.by_service[service].results}
