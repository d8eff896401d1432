"""Proof in the stack: all minimal images in their places at once, the same probes, answers compared, misses healed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from debloat.closure import World
from debloat.compose.stack import Exercised
from debloat.core.errors import DebloatError
from debloat.core.model import Image, Want
from debloat.core.probes import ProbeResult
from debloat.core.progress import Progress
from debloat.core.text import count
from debloat.cut import Minimal, cut
from debloat.elf.audit import UnmetNeed, audit
from debloat.engine.workspace import Workspace
from debloat.image.archive import archive
from debloat.pipeline import MAX_ROUNDS
from debloat.record.record import trace_of
from debloat.verify import Proven, Verdict, compared, missed_paths, paths_to_heal, second_time


@dataclass(frozen=True, slots=True)
class Subject:
    """An image of chosen services, `services` by name, and the world of what was recorded in all of them."""

    image: Image
    world: World
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """A minimal image of a subject under way: how the engine calls it, what was healed, what the ELF audit found."""

    minimal: Minimal
    pending: str
    healed: tuple[Want, ...] = ()
    findings: tuple[UnmetNeed, ...] = ()


@dataclass(frozen=True, slots=True)
class StackProven:
    """What is proven of a subject, and the name under which the engine has it as long as the run lasts."""

    proven: Proven
    pending: str


@dataclass(slots=True)
class StackJudge:
    """Compares replays of the whole stack with the original's answers. Where they differ, the original runs again.

    `ask` starts the stack with these images, by service, and makes the probes of the recording.
    """

    ask: Callable[[Mapping[str, str]], Exercised]
    recorded: Exercised
    originals: Mapping[str, str]
    subjects: tuple[Subject, ...]
    _again: list[Exercised | None] = field(default_factory=list)

    def verify(self, cuts: tuple[Cut, ...]) -> tuple[Verdict, ...]:
        """A verdict on each subject. Where answers differ and nothing was missed, the replay is repeated once."""
        first = self._verdicts(cuts)
        if all(verdict.passed for verdict in first) or any(self._missed(cuts, first)):
            return first
        return tuple(map(second_time, first, self._verdicts(cuts)))

    def to_heal(self, cuts: tuple[Cut, ...], verdicts: tuple[Verdict, ...]) -> tuple[tuple[Want, ...], ...]:
        """What to add to each: what any of them missed, for one may fail by what another lacks; else as alone."""
        missed = self._missed(cuts, verdicts)
        if any(missed):
            return missed
        return tuple(
            paths_to_heal(subject.world, verdict, cut.minimal.closure)
            for subject, cut, verdict in zip(self.subjects, cuts, verdicts, strict=True)
        )

    def _missed(self, cuts: tuple[Cut, ...], verdicts: tuple[Verdict, ...]) -> tuple[tuple[Want, ...], ...]:
        return tuple(
            missed_paths(subject.world, verdict.trace, cut.minimal.closure)
            for subject, cut, verdict in zip(self.subjects, cuts, verdicts, strict=True)
        )

    def _verdicts(self, cuts: tuple[Cut, ...]) -> tuple[Verdict, ...]:
        pairs = zip(self.subjects, cuts, strict=True)
        replay = self.ask({name: cut.pending for subject, cut in pairs for name in subject.services})
        return tuple(self._verdict(subject, replay) for subject in self.subjects)

    def _verdict(self, subject: Subject, replay: Exercised) -> Verdict:
        answers = tuple(
            answer
            for name in subject.services
            for answer in compared(
                self.recorded.by_service[name],
                replay.by_service[name],
                lambda number, name=name: self._original_again(number, name),  # type: ignore[misc]
            )
        )
        return Verdict(answers, trace_of(subject.image, [replay.by_service[name] for name in subject.services]))

    def _original_again(self, number: int, service: str) -> Mapping[str, ProbeResult]:
        while len(self._again) <= number:
            try:
                self._again.append(self.ask(self.originals))
            except DebloatError:
                self._again.append(None)
        again = self._again[number]
        return {} if again is None else {r.name: r for r in again.by_service[service].results}


def prove(
    workspace: Workspace, subjects: tuple[Subject, ...], judge: StackJudge | None, progress: Progress
) -> tuple[StackProven, ...]:
    """Cut all, replay the stack, heal, until it answers as the original did or nothing is left to heal.

    Without a judge nothing is replayed.
    """
    cuts: tuple[Cut, ...] = ()
    missing: tuple[tuple[Want, ...], ...] = tuple(() for _ in subjects)
    verdicts = tuple(Verdict() for _ in subjects)
    with ThreadPoolExecutor(1) as pool:
        for _ in range(MAX_ROUNDS):
            with progress.stage("close and carve"):
                cuts = tuple(
                    cuts[n]
                    if cuts and not missing[n]
                    else _cut(workspace, subject, cuts[n] if cuts else None, missing[n])
                    for n, subject in enumerate(subjects)
                )
            auditing = [
                pool.submit(audit, s.world.rootfs, c.minimal.closure, s.world.config)
                for s, c in zip(subjects, cuts, strict=True)
            ]
            if judge is not None:
                with progress.stage("verify"):
                    verdicts = judge.verify(cuts)
            with progress.stage("audit"):
                findings = [tuple(audited.result()) for audited in auditing]
            missing = judge.to_heal(cuts, verdicts) if judge is not None else ()
            if not any(missing):
                break
            progress.say(f"healing {count(sum(map(len, missing)), 'path')} that the replay missed")
    return tuple(
        StackProven(Proven(cut.minimal, verdict, cut.healed, found), cut.pending)
        for cut, verdict, found in zip(cuts, verdicts, findings, strict=True)
    )


def _cut(workspace: Workspace, subject: Subject, before: Cut | None, missing: tuple[Want, ...]) -> Cut:
    """The next minimal image of a subject, loaded under a name that goes with the run."""
    healed = (*(before.healed if before else ()), *missing)
    minimal = cut(subject.world, subject.image, healed, workspace.fresh("layer").parent)
    return Cut(minimal, workspace.borrow(lambda name: archive(minimal.written, [name])), healed)
