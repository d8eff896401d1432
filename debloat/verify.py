"""The verdict: the probes are repeated on the minimal image, and its answers are compared with the original's.

A difference counts only where the original agrees with itself: further runs of the original are the arbiters.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import DebloatError
from debloat.core.model import Image, Trace
from debloat.core.probes import ProbeResult
from debloat.engine.workspace import Workspace
from debloat.record.concrete import Limits
from debloat.record.exercise import Exercise, exercise
from debloat.record.record import trace_of
from debloat.record.session import Recorder
from debloat.record.sidebyside import run_scenarios

ARBITERS = 3
"""Most further runs of the original. Two are too few: of a page picked from three at random, two runs are alike in one
case of three."""


class Comparison(Struct, frozen=True):
    """The answers to one probe, of the original (`before`) and of the minimal image (`after`).

    `difference` is empty where they agree; `note` says why a difference is excused.
    """

    scenario: str
    before: ProbeResult
    after: ProbeResult
    difference: str = ""
    note: str = ""


class Verdict(Struct, frozen=True):
    """The replay of a recording on a minimal image; `calls` are system calls, where these were noted."""

    answers: tuple[Comparison, ...] = ()
    trace: Trace = Trace()
    calls: frozenset[tuple[str, int]] = frozenset()

    @property
    def passed(self) -> bool:
        return not any(a.difference for a in self.answers)


class Judge(Struct):
    """Compares replays with the original's answers. Where they differ, the original is run again, all probes.

    `recorder` is how the original was recorded.
    """

    workspace: Workspace
    image: Image
    exercises: tuple[Exercise, ...]
    limits: Limits
    recorder: Recorder
    _again: dict[str, list[dict[str, ProbeResult]]] = {}

    def verify(self, reference: str, recorder: Recorder | None = None) -> Verdict:
        """Replay all scenarios on the image `reference`, recorded as the original was, or by another recorder."""

        def replay_scenario(number: int) -> tuple[Exercise, tuple[Comparison, ...]]:
            original = self.exercises[number]
            replay = self._asked(original, reference, recorder)
            return replay, tuple(compared(original, replay, lambda count: self._original_again(original, count)))

        replays = run_scenarios(self.workspace, [original.scenario for original in self.exercises], replay_scenario)
        answers = tuple(answer for _, compared in replays for answer in compared)
        calls = frozenset[tuple[str, int]]().union(*(replay.recorded.calls for replay, _ in replays))
        return Verdict(answers, trace_of(self.image, [replay for replay, _ in replays]), calls)

    def verdicts(self, references: Sequence[str]) -> tuple[Verdict, ...]:
        """The verdict on each of some images of the original's."""
        return tuple(self.verify(reference) for reference in references)

    def _asked(self, original: Exercise, reference: str, recorder: Recorder | None = None) -> Exercise:
        """Repeat the probes of a scenario on an image."""
        return exercise(
            self.workspace,
            self.image,
            reference,
            original.scenario,
            self.limits,
            recorder or replace(self.recorder, mechanism=original.mechanism),
            original.probes,
        )

    def _original_again(self, original: Exercise, number: int) -> dict[str, ProbeResult]:
        """The answers of the original in its further run of that number."""
        runs = self._again.setdefault(original.scenario.name, [])
        while len(runs) <= number:
            try:
                again = self._asked(original, self.image.id)
                runs.append({r.name: r for r in again.results})
            except DebloatError:
                runs.append({})
        return runs[number]


Again = Callable[[int], Mapping[str, ProbeResult]]
"""The answers of the original, by probe, in its further run of that number; empty where it had none."""


def compared(original: Exercise, replay: Exercise, again: Again) -> Iterator[Comparison]:
    """The answers to each probe of an exercise side by side; the original is run again where they differ."""
    replayed = {r.name: r for r in replay.results}
    for before in original.results:
        after = replayed.get(before.name) or ProbeResult(before.name, False, detail="it was not reached")
        difference = before.differs(after)
        note = _excuse(before, after, again) if difference and after.ok else ""
        yield Comparison(original.scenario.name, before, after, "" if note else difference, note)


def _excuse(before: ProbeResult, after: ProbeResult, original_again: Again) -> str:
    """Why a difference is excused, because the original varies in the same way; empty where it is not.

    The original is asked again, up to `ARBITERS` times: it may give the minimal image's very answer, or differ from
    itself in the same respect. A page that is new each time excuses another page, and no page that is gone.
    """
    answers = [before]
    for number in range(ARBITERS):
        again = original_again(number).get(before.name)
        if again is None:
            return ""
        if not again.differs(after):
            return "the original answers so too, at another time"
        answers.append(again)
        unstable = frozenset[str]().union(*(one.aspects(other) for one, other in itertools.combinations(answers, 2)))
        if before.aspects(after) <= unstable:
            return f"the original differs from itself too: {before.differs(again) or answers[-2].differs(again)}"
    return ""


def second_time(first: Verdict, second: Verdict) -> Verdict:
    """The verdict of a replay that was repeated; a note says what differed the first time alone."""
    answers = tuple(
        replace(now, note=f"the first time it was not the same: {before.difference}")
        if before.difference and not now.difference and not now.note
        else now
        for before, now in zip(first.answers, second.answers, strict=True)
    )
    return Verdict(answers, first.trace | second.trace)
