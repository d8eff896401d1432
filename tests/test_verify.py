"""What excuses a difference: the original's own, in the same respect, and nothing else."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec.structs import replace

from debloat import verify
from debloat.core.model import Image, ImageConfig
from debloat.core.probes import ProbeResult
from debloat.core.recipe import Scenario
from debloat.engine.base import Engine
from debloat.engine.workspace import Workspace
from debloat.record.concrete import ConcreteProbe, Limits
from debloat.record.exercise import Exercise
from debloat.record.session import Recorded, Recorder
from debloat.verify import Judge
from tests.support.engine import Behaviour, FakeEngine

IMAGE = Image("app:1", "sha256:1", "linux", "amd64", "", "", ImageConfig({}))
PAGE = ProbeResult("http GET :80/", True, 200, (("content-type", "text/html"),), "one")


def done(result: ProbeResult) -> Exercise:
    return Exercise(Scenario(), (ConcreteProbe("http", result.name),), (result,), Recorded())


@pytest.mark.parametrize(
    ("after", "again", "excused"),
    [
        (replace(PAGE, shape="three"), replace(PAGE, shape="two"), True),
        (replace(PAGE, shape="three"), PAGE, False),
        (replace(PAGE, status=404, shape="gone"), replace(PAGE, shape="two"), False),
        (replace(PAGE, status=404, shape="gone"), replace(PAGE, status=302, shape="two"), True),
        (replace(PAGE, headers=(("content-type", "text/plain"),)), replace(PAGE, shape="two"), False),
        (replace(PAGE, ok=False, status=500), replace(PAGE, status=302), False),
    ],
    ids=["new each time", "always the same", "gone", "one or the other", "another type", "an error"],
)
def test_excuses(monkeypatch: pytest.MonkeyPatch, after: ProbeResult, again: ProbeResult, excused: bool) -> None:
    def exercise(workspace: Any, image: Any, reference: str, *rest: Any) -> Exercise:
        return done(again if reference == IMAGE.id else after)

    monkeypatch.setattr(verify, "exercise", exercise)
    workspace = Workspace(cast(Engine, FakeEngine({}, lambda rootfs, argv: Behaviour())))
    verdict = Judge(workspace, IMAGE, (done(PAGE),), Limits(), Recorder(b"")).verify("pending")
    assert verdict.passed is excused
    assert bool(verdict.answers[0].note) is excused


@pytest.mark.parametrize(("shapes", "runs"), [("aba", 2), ("aab", 3), ("aac", 3), ("aaa", 3)])
def test_a_page_picked_at_random_is_asked_for_several_times(
    monkeypatch: pytest.MonkeyPatch, shapes: str, runs: int
) -> None:
    """The minimal image answers "b", the original "a", and then in further runs what `shapes` says."""
    asked = []

    def exercise(workspace: Any, image: Any, reference: str, *rest: Any) -> Exercise:
        if reference != IMAGE.id:
            return done(replace(PAGE, shape="b"))
        asked.append(reference)
        return done(replace(PAGE, shape=shapes[len(asked) - 1]))

    monkeypatch.setattr(verify, "exercise", exercise)
    workspace = Workspace(cast(Engine, FakeEngine({}, lambda rootfs, argv: Behaviour())))
    judge = Judge(workspace, IMAGE, (done(replace(PAGE, shape="a")),), Limits(), Recorder(b""))
    assert judge.verify("pending").passed is (set(shapes) != {"a"})
    assert len(asked) == runs
