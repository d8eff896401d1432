"""Proof of a lock that was applied: the new build is asked, then the minimal image that was cut from it."""

from __future__ import annotations

from msgspec.structs import replace

from debloat import sensor
from debloat.core.model import Image, Want
from debloat.core.progress import Progress
from debloat.core.recipe import Recipe
from debloat.engine.workspace import Workspace
from debloat.image.archive import archive
from debloat.lock.cut import LockedCut
from debloat.prove import missed_paths
from debloat.record.concrete import Limits
from debloat.record.record import record
from debloat.record.session import Recorder
from debloat.store.source import Source
from debloat.verify import Judge, Verdict


def replay(source: Source, locked_cut: LockedCut, workspace: Workspace, recipe: Recipe, progress: Progress) -> Verdict:
    """Run the probes on the new build, then on the minimal image of it."""
    written = locked_cut.minimal.written
    pending = workspace.load(lambda name: archive(written, [name]))
    judge = judge_of(workspace, replace(locked_cut.image, id=source.runnable().id), recipe, progress)
    return judged(judge, locked_cut, pending, progress)[0]


def judge_of(workspace: Workspace, image: Image, recipe: Recipe, progress: Progress) -> Judge:
    """Who knows what the new build answers, because it was asked."""
    recorder = Recorder(sensor.binary(workspace.engine.info().architecture))
    with progress.stage("ask the build"):
        recording = record(workspace, image, recipe, recorder, progress.say)
    return Judge(workspace, image, recording.exercises, Limits(recipe.ready, recipe.timeout), recorder)


def judged(judge: Judge, locked_cut: LockedCut, pending: str, progress: Progress) -> tuple[Verdict, tuple[Want, ...]]:
    """The verdict on the minimal image, which the engine calls `pending`, and the missed paths."""
    with progress.stage("verify"):
        verdict = judge.verify(pending)
    return verdict, missed_paths(locked_cut.world, verdict.trace, locked_cut.minimal.closure)
