"""A seccomp profile of a minimal image: its system calls are noted, and it is asked again under what they make."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from debloat import sensor
from debloat.profile import seccomp
from debloat.record.session import Recorder, held_capabilities
from debloat.verify import Comparison, Judge

MECHANISMS = ("", "ptrace")
"""How the calls are noted, in turn, while answers under the profile differ; empty: as the run records."""


class Profiled(Struct, frozen=True):
    """A profile, the answers of the minimal image under it beside those of the original, and which file it is for."""

    profile: seccomp.Profile
    answers: tuple[Comparison, ...]
    file: str

    @property
    def passed(self) -> bool:
        return not any(a.difference for a in self.answers)


def profile(judge: Judge, reference: str, file: str, say: Callable[[str], None]) -> Profiled:
    """The profile of the image `reference`, which has answered as the original does without one; it is not written.

    Which calls a program makes depends on time and signals too: where an answer under the profile differs, the calls
    are noted once more, by the other mechanism, and united with those of before. `file` is where it is to go.
    """
    recorder, machine = judge.recorder, sensor.machine(judge.workspace.engine.info().architecture)
    held = frozenset[str]().union(*(held_capabilities(asked.scenario.options) for asked in judge.exercises))
    noted = frozenset[tuple[str, int]]()
    for mechanism in MECHANISMS:
        noting = replace(recorder, mechanism=mechanism or recorder.mechanism, unseen=seccomp.unseen(machine))
        noted |= judge.verify(reference, noting).calls
        made = seccomp.profile(noted, machine, held)
        say(f"{len(made.allowed)} of {made.default} system calls are allowed")
        verdict = judge.verify(reference, Recorder(recorder.sensor, "", seccomp=made.document))
        done = Profiled(made, verdict.answers, file)
        if done.passed:
            break
    return done
