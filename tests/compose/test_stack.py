"""A stack at work: what a start that fails is called, what its replay comes to, marks in all recordings, removal."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from debloat.compose.command import Answer
from debloat.compose.document import parse
from debloat.compose.service import Service, config_of, options_of, recipe_of
from debloat.compose.stack import Member, Stack, exercise, problem, remove
from debloat.core.errors import EngineUnavailable
from debloat.core.model import ImageConfig
from debloat.core.recipe import RunOptions, Settings
from debloat.engine.base import ContainerState, Engine, Leftover
from debloat.engine.workspace import Workspace
from debloat.record.concrete import ConcreteProbe
from debloat.record.session import Recorder
from tests.support.cli import CONFIG, sells, shop
from tests.support.compose import FakeCompose

MADE = (
    Leftover("container", "3aa" + "0" * 61, "R", "debloat-R-db"),
    Leftover("container", "4bb" + "0" * 61, "R", "debloat-R_cache_1"),
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('ERROR: for web  Container "3aa000000000" is unhealthy.', 'for web Container "db" is unhealthy.'),
        ('ERROR: for web  Container "4bb000000000" is unhealthy.', 'for web Container "cache" is unhealthy.'),
        (
            "dependency failed to start: container debloat-R-db-1 is unhealthy",
            "dependency failed to start: container db is unhealthy",
        ),
        ("network debloat-R_default: pool overlaps", "network default: pool overlaps"),
    ],
)
def test_services_are_called_as_the_user_calls_them(words: str, said: str) -> None:
    assert problem(Answer(1, "", words), 60, "debloat-R", MADE) == said


def test_no_problem() -> None:
    assert problem(Answer(0, "", ""), 60, "debloat-R", ()) == ""


def test_a_replay_in_which_the_stack_does_not_come_up_fails_its_probes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And keeps what was recorded until then: that is what tells which file was missing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engine = shop(sells)
    document = parse('services: {a: {image: "shop:1"}}')
    raw = document.services["a"]
    image = ImageConfig(CONFIG)
    service = Service("a", raw, "shop:1", config_of(raw, image), options_of(raw), recipe_of("a", raw, Settings())[0])
    compose = FakeCompose(("docker",), "2", engine=engine, printed="", fails={"--detach": Answer(1, "", "no luck")})
    with Workspace(cast(Engine, engine)) as workspace:
        probes = {"a": (ConcreteProbe("exit", "run CMD"),)}
        done = exercise(workspace, Stack(compose, document, (service,)), {"a": "shop:1"}, Recorder(b""), probes)
    (failure,) = done.failures
    assert (failure.name, failure.detail) == ("a: run CMD", "no luck")
    assert not engine.containers


class Marked(Member):
    """A member that writes down what its sensor is told."""

    def __init__(self, name: str, *, running: bool = True) -> None:
        super().__init__(cast(Engine, None), name, ImageConfig({}), RunOptions(), Recorder(b""), name)
        self.told: list[str] = []
        self.running = running

    def command(self, *words: str, timeout: float = 60.0) -> str:
        self.told.append(" ".join(words))
        return "ok"

    def state(self) -> ContainerState:
        return ContainerState(self.running, 0, "", 1, {})


def test_a_probe_of_one_service_is_marked_in_all_that_run() -> None:
    web, db, done = Marked("web"), Marked("db"), Marked("migrate", running=False)
    web.others = (db, done)
    web.mark("http GET /")
    assert web.told == [r"mark http\x20GET\x20/"]
    assert db.told == [r"mark web:\x20http\x20GET\x20/"]
    assert done.told == []


class Stubborn:
    """An engine on which something is left that does not go at first, or ever."""

    def __init__(self, appears: int) -> None:
        self.looks = 0
        self.removed: list[str] = []
        self._appears = appears

    def leftovers(self, run: str) -> tuple[Leftover, ...]:
        self.looks += 1
        if self.looks > self._appears:
            return ()
        return (Leftover("network", f"n{self.looks}", run, "n"), Leftover("volume", "v", run, "v"))

    def remove_shared(self, kind: str, identifier: str) -> None:
        self.removed.append(identifier)
        if identifier == "n1":
            raise EngineUnavailable("in use")


@pytest.mark.parametrize(("appears", "looks"), [(0, 1), (1, 2), (2, 3), (99, 5)])
def test_what_is_left_is_looked_for_again_and_not_for_ever(appears: int, looks: int) -> None:
    engine = Stubborn(appears)
    remove(cast(Engine, engine), "R")
    assert engine.looks == looks
    assert engine.removed.count("v") == min(appears, 5)


def test_what_does_not_go_is_left() -> None:
    class Same(Stubborn):
        def leftovers(self, run: str) -> tuple[Leftover, ...]:
            self.looks += 1
            return (Leftover("network", "n1", run, "n"),)

    engine = Same(0)
    remove(cast(Engine, engine), "R")
    assert engine.looks == 2
