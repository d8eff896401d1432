"""The loop of the proof: when a replay is repeated, what is healed, and what an image that lacks nothing is spared."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from debloat import prove as proving
from debloat.core.model import Access, Image, ImageConfig, Level, Op, Trace
from debloat.core.probes import ProbeResult
from debloat.core.progress import Silent
from debloat.engine.workspace import Workspace
from debloat.prove import Proven, Subject, prove
from debloat.verify import Comparison, Verdict
from tests.support import trees
from tests.support.engine import Behaviour, FakeEngine

IMAGE = Image("app:1", "sha256:1", "linux", "amd64", "", "", ImageConfig({}))
LISTED = "/usr/share/data/name"
PAGE = ProbeResult("http GET :80/", True, 200)


def touching(*paths: str, op: Op = Op.OPEN) -> Trace:
    return Trace(frozenset(Access(path, op, "-", "p", "/x") for path in paths))


def verdict(difference: str = "", *missed: str) -> Verdict:
    return Verdict((Comparison("s", PAGE, PAGE, difference),), touching(*missed))


def subject(trace: Trace = touching("/kept")) -> Subject:
    table: trees.Table = {"/kept": "kept", "/needed": "needed", LISTED: "read by its name"}
    return Subject(IMAGE, trees.world(table, owned={"data": [LISTED]}, trace=trace, level=Level.EXACT))


def proven(
    subjects: Sequence[Subject], rounds: Iterable[tuple[Verdict, ...]]
) -> tuple[FakeEngine, tuple[Proven, ...], int]:
    """The proof by replays whose verdicts are written down, and how many of them were not asked for."""
    engine, left = FakeEngine({}, lambda rootfs, argv: Behaviour()), list(rounds)
    with Workspace(engine) as workspace:
        return engine, prove(workspace, subjects, lambda names: left.pop(0), Silent()), len(left)


@pytest.mark.parametrize(
    ("verdicts", "passed", "left", "noted", "healed"),
    [
        ((verdict(), verdict("not asked")), True, 1, False, []),
        ((verdict("status"), verdict()), True, 0, True, []),
        ((verdict("status"), verdict("status")), False, 0, False, []),
        ((verdict("status", "/needed"), verdict()), True, 0, False, ["/needed"]),
        ((verdict("", "/needed"), verdict()), True, 0, False, ["/needed"]),
    ],
    ids=["the same", "by chance", "twice", "something was missed", "missed without a difference"],
)
def test_when_a_replay_is_repeated(
    verdicts: tuple[Verdict, ...], passed: bool, left: int, noted: bool, healed: list[str]
) -> None:
    _, (one,), not_asked = proven([subject()], [(v,) for v in verdicts])
    assert one.verdict.passed is passed
    assert not_asked == left
    assert bool(one.verdict.answers[0].note) is noted
    assert [want.path for want in one.healed] == healed
    assert all(path in one.minimal.closure for path in ("/kept", *healed))


def test_a_listing_that_comes_out_shorter_is_healed_where_nothing_was_missed() -> None:
    listing = subject(touching("/kept") | touching("/usr/share/data", op=Op.LIST))
    _, (one, other), _ = proven([listing, subject()], [(verdict("text"), verdict())] * 2 + [(verdict(), verdict())])
    assert [want.path for want in one.healed] == [LISTED]
    assert not other.healed


def test_after_the_last_round_nothing_is_healed_that_the_image_has_not() -> None:
    paths = [f"/{number}" for number in range(proving.MAX_ROUNDS)]
    world = trees.world(dict.fromkeys(("/kept", *paths), "x"), trace=touching("/kept"), level=Level.EXACT)
    _, (one,), _ = proven([Subject(IMAGE, world)], [(verdict("status", path),) for path in paths])
    assert not one.verdict.passed
    assert [want.path for want in one.healed] == paths[:-1]
    assert {want.path for want in one.healed} <= one.minimal.closure.evidence.keys()


def test_an_image_that_lacks_nothing_is_made_loaded_and_audited_once(monkeypatch: pytest.MonkeyPatch) -> None:
    audited = list[object]()

    def audit(rootfs: object, *rest: object) -> list[object]:
        audited.append(rootfs)
        return []

    monkeypatch.setattr(proving, "audit", audit)
    one, other = subject(), subject()
    rounds = [(verdict("status"), verdict("", "/needed")), (verdict(), verdict())]
    engine, (first, second), left = proven([one, other], rounds)
    assert not left
    assert (first.healed, [want.path for want in second.healed]) == ((), ["/needed"])
    assert engine.calls.count("load") == 3
    assert audited == [one.world.rootfs, other.world.rootfs, other.world.rootfs]
