"""Steps after the proof: what more is made of a proven image before anything is written or tagged.

What makes it is loaded by the runs that do.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from debloat import sensor
from debloat.core.model import Image
from debloat.core.progress import Progress
from debloat.core.reference import spare_names
from debloat.result import Outcome
from debloat.verify import Judge


class Step(Protocol):
    """Something that is made of a proven image."""

    def check(self, image: Image, name: str) -> None:
        """What is in its way for an image whose result is called `name`, said before anything is started."""

    def take(self, outcome: Outcome, judge: Judge, progress: Progress) -> Outcome:
        """The outcome with what was made. The judge has what the original answered, and the run's workspace."""


class Profile(Struct, frozen=True):
    """A seccomp profile for `file`, of an image that has been proven, which is asked once more under it."""

    file: str

    def check(self, image: Image, name: str) -> None:
        """Nothing is in its way."""

    def take(self, outcome: Outcome, judge: Judge, progress: Progress) -> Outcome:
        if not (outcome.report.verified and outcome.proven.verdict.passed):
            return outcome
        from debloat.profile.prove import profile

        with progress.stage("profile"):
            made = profile(judge, outcome.proven.pending, self.file, progress.say)
        return replace(outcome, report=replace(outcome.report, seccomp=made))


class Canary(Struct, frozen=True):
    """A canary of a result, called `tag`. It is proven as the result is, and has its name only if it was."""

    tag: str

    def check(self, image: Image, name: str) -> None:
        sensor.binary(image.architecture)
        spare_names(image, name, self.tag)

    def take(self, outcome: Outcome, judge: Judge, progress: Progress) -> Outcome:
        if not outcome.report.result:
            return outcome
        from debloat import canary

        workspace, image = judge.workspace, outcome.image
        binary = sensor.binary(image.architecture)
        bird = canary.make(image, outcome.world, outcome.minimal, binary, workspace.directory)
        made = canary.hatch(workspace, bird, self.tag, judge if outcome.report.verified else None, progress)
        tags = (*outcome.tags, (made.pending, self.tag)) if made.passed else outcome.tags
        return replace(outcome, report=replace(outcome.report, canary=made), tags=tags)
