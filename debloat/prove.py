"""Proof: minimal images are cut, replayed and healed until they answer as the originals did.

Images that serve together are proven together, for one may fail by what another lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from msgspec import Struct
from msgspec.structs import replace

from debloat.closure import World, close
from debloat.core.model import Closure, Image, Trace, Want
from debloat.core.progress import Progress
from debloat.core.text import count
from debloat.cut import Minimal, cut
from debloat.elf.audit import UnmetNeed, audit
from debloat.engine.workspace import Workspace
from debloat.image.archive import archive
from debloat.rules.recorded import trace as trace_rules
from debloat.verify import Verdict, second_time

MAX_ROUNDS = 5
"""Minimal images made at most: the first, and one after each healing."""


class Subject(Struct, frozen=True):
    """An image, and the world of what was recorded of it."""

    image: Image
    world: World


class Proven(Struct, frozen=True):
    """A minimal image, the verdict on it, the paths that were healed before, and the unmet needs that the ELF audit
    found. `pending` is what the engine calls it as long as the run lasts."""

    minimal: Minimal
    pending: str
    verdict: Verdict
    healed: tuple[Want, ...] = ()
    findings: tuple[UnmetNeed, ...] = ()


Replay = Callable[[Sequence[str]], tuple[Verdict, ...]]
"""One replay of all subjects, in their order: from what the engine calls the minimal images to the verdicts on them."""


def prove(
    workspace: Workspace, subjects: Sequence[Subject], replay: Replay | None, progress: Progress
) -> tuple[Proven, ...]:
    """Cut, replay, heal, until all minimal images answer as the originals did or nothing is left to heal.

    Without a replay nothing is asked. The ELF audit runs in a thread of its own, which shares only root file systems.
    An image for which nothing is healed stays as it is.
    """
    attempts = [_Attempt(workspace, subject) for subject in subjects]
    verdicts = tuple(Verdict() for _ in subjects)
    with ThreadPoolExecutor(1) as pool:
        changing = attempts
        for _ in range(MAX_ROUNDS):
            with progress.stage("close and carve"):
                for attempt in changing:
                    attempt.cut(pool)
            with progress.stage("load"):
                for attempt in changing:
                    attempt.load()
            if replay is not None:
                with progress.stage("verify"):
                    verdicts = _verdicts(attempts, replay)
            with progress.stage("audit"):
                for attempt in changing:
                    attempt.audited.result()
            changing = _to_heal(attempts, verdicts)
            if not changing:
                break
            missing = [want for attempt in changing for want in attempt.missing]
            how = "missed" if missing[0].rule == "healed" else "listed"
            progress.say(f"healing {count(len(missing), 'path')} that the replay {how}")
    return tuple(attempt.proven(verdict) for attempt, verdict in zip(attempts, verdicts, strict=True))


class _Attempt:
    """The minimal image of a subject as it was cut last, and what is `missing` from it."""

    minimal: Minimal
    audited: Future[Sequence[UnmetNeed]]

    def __init__(self, workspace: Workspace, subject: Subject) -> None:
        self.subject = subject
        self.missing: tuple[Want, ...] = ()
        self.pending = ""
        self._healed: tuple[Want, ...] = ()
        self._workspace = workspace
        self._directory = workspace.fresh("layer").parent

    def cut(self, pool: ThreadPoolExecutor) -> None:
        """Cut it with what is missing, and have its ELF files audited meanwhile."""
        self._healed += self.missing
        world = self.subject.world
        self.minimal = cut(world, self.subject.image, self._healed, self._directory)
        self.audited = pool.submit(audit, world.rootfs, self.minimal.closure, world.config)

    def load(self) -> None:
        """Give it to the engine in place of the one before."""
        written = self.minimal.written
        self.pending = self._workspace.load(lambda name: archive(written, [name]), instead=self.pending)

    def missed(self, verdict: Verdict) -> tuple[Want, ...]:
        """The paths that a replay of it needed."""
        return missed_paths(self.subject.world, verdict.trace, self.minimal.closure)

    def listed(self) -> tuple[Want, ...]:
        """What it lacks in directories that were listed."""
        return tuple(w for w in trace_rules.listed_children(self.subject.world) if w.path not in self.minimal.closure)

    def proven(self, verdict: Verdict) -> Proven:
        """It as it stands."""
        return Proven(self.minimal, self.pending, verdict, self._healed, tuple(self.audited.result()))


def _verdicts(attempts: Sequence[_Attempt], replay: Replay) -> tuple[Verdict, ...]:
    """The verdicts on all. Where answers differ and nothing was missed, the replay is repeated once.

    A service's processes race each other and clocks advance: an answer that is right the second time lacks no file.
    """
    names = [attempt.pending for attempt in attempts]
    first = replay(names)
    missed = (a.missed(verdict) for a, verdict in zip(attempts, first, strict=True))
    if all(verdict.passed for verdict in first) or any(missed):
        return first
    return tuple(map(second_time, first, replay(names)))


def _to_heal(attempts: Sequence[_Attempt], verdicts: Sequence[Verdict]) -> list[_Attempt]:
    """Those of which something is missing: what the replay missed in any of them.

    Where it missed nothing at all and an answer still differs, all names in directories that were listed, because a
    listing that comes out shorter fails no lookup.
    """
    for attempt, verdict in zip(attempts, verdicts, strict=True):
        attempt.missing = attempt.missed(verdict)
    if not any(attempt.missing for attempt in attempts):
        for attempt, verdict in zip(attempts, verdicts, strict=True):
            attempt.missing = () if verdict.passed else attempt.listed()
    return [attempt for attempt in attempts if attempt.missing]


def missed_paths(world: World, replayed: Trace, closure: Closure) -> tuple[Want, ...]:
    """The paths of the original that the accesses of a replay need and the closure lacks."""
    policy = replace(world.policy, keep=(), levels=())
    needed = close(replace(world, trace=replayed, policy=policy), trace_rules.RULES)
    return tuple(
        Want(path, "healed", evidence[0].source, evidence[0].detail, follow=False)
        for path, evidence in needed.evidence.items()
        if path not in closure
    )
