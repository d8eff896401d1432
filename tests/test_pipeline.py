"""The whole straight line over the fake engine: what is made, what heals, what ends a run, what is left."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat import sensor
from debloat.core.errors import EngineUnavailable, OriginalFails, UsageError
from debloat.core.model import Level, Policy
from debloat.core.progress import Progress, Silent
from debloat.core.recipe import Recipe, Scenario
from debloat.core.reference import default_target, full_name, result_name
from debloat.image.rootfs import Rootfs
from debloat.pipeline import slim
from debloat.result import Report
from debloat.store.location import Destination, image_location
from tests.support.engine import Behaviour, FakeEngine, Program
from tests.support.progress import Recording
from tests.support.trees import Table, tree

TREE: Table = {
    "/usr/bin/tool": ("0755", "\x00static"),
    "/usr/share/tool/data": "data",
    "/usr/share/tool/lazy": "lazy",
    "/usr/share/doc/big": "x" * 100_000,
    "/tmp/": ("1777", ""),
}
TOOL = image_location("tool:1")
CONFIG = {"Entrypoint": ["/usr/bin/tool"], "Labels": {"a": "b"}, "StopSignal": "SIGQUIT", "X-Unknown": [1]}
EXACT = Recipe(policy=Policy(Level.EXACT))
NOBODY = Silent()


@pytest.fixture(autouse=True)
def _no_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor, "binary", lambda architecture: b"sensor")


def reads_data(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    text = rootfs.read("/usr/share/tool/data") if "/usr/share/tool/data" in rootfs else b"missing"
    return Behaviour((("open", "r", "/usr/share/tool/data"),), text)


def run(program: Program, recipe: Recipe = EXACT, progress: Progress = NOBODY) -> tuple[FakeEngine, Report]:
    engine = FakeEngine({"tool:1": (tree(TREE), CONFIG)}, program)
    return engine, slim(engine, TOOL, recipe, progress)


def nothing_left(engine: FakeEngine) -> bool:
    return not engine.leftovers() and not any(name.startswith("debloat-pending") for name in engine.names)


def test_keeps_what_was_touched_and_tags_it() -> None:
    engine, report = run(reads_data)
    rootfs, image = engine.images[engine.names["tool:1-slim"]]
    assert report.result == "tool:1-slim"
    assert report.passed
    assert "/usr/share/tool/data" in rootfs
    assert "/usr/bin/tool" in rootfs
    assert "/usr/share/tool/lazy" not in rootfs
    assert "/usr/share/doc/big" not in rootfs
    assert image.config.raw["StopSignal"] == "SIGQUIT"
    assert image.config.raw["X-Unknown"] == [1]
    assert image.config.raw["Labels"]["a"] == "b"
    assert nothing_left(engine)


def test_a_run_speaks_to_its_progress_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    progress = Recording()
    report = slim(FakeEngine({"tool:1": (tree(TREE), CONFIG)}, reads_data), TOOL, EXACT, progress)
    assert progress.stages == ["record", "read", "close and carve", "load", "verify", "audit"]
    assert [stage.name for stage in report.stages] == progress.stages
    assert progress.threads == {threading.get_ident()}
    assert capfd.readouterr() == ("", "")


def test_stages_end_when_an_error_ends_the_run() -> None:
    engine = FakeEngine({"tool:1": (tree(TREE), CONFIG)}, reads_data)
    engine.fail_on["load"] = EngineUnavailable("load failed")
    progress = Recording()
    with pytest.raises(EngineUnavailable):
        slim(engine, TOOL, EXACT, progress)
    assert progress.stages == ["record", "read", "close and carve", "load"]


def test_same_input_same_id() -> None:
    assert run(reads_data)[1].result_id == run(reads_data)[1].result_id


def test_a_miss_in_the_replay_heals() -> None:
    """The program takes another path when a cache is not there, which the original run never needed."""

    def program(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
        if "/usr/share/doc/big" in rootfs:
            return Behaviour((("open", "r", "/usr/share/tool/data"),), b"ok")
        lazy = "/usr/share/tool/lazy" in rootfs
        return Behaviour((("open", "r", "/usr/share/tool/lazy"),), b"ok" if lazy else b"broken", exit_code=not lazy)

    progress = Recording()
    engine, report = run(program, progress=progress)
    assert report.passed
    assert [w.path for w in report.healed] == ["/usr/share/tool/lazy"]
    assert progress.stages == ["record", "read", *["close and carve", "load", "verify", "audit"] * 2]
    assert progress.lines == ["recording default", "healing 1 path that the replay missed"]
    assert nothing_left(engine)


def test_an_answer_that_differs_is_not_tagged() -> None:
    def program(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
        secret = "/usr/share/doc/big" in rootfs
        return Behaviour((("open", "r", "/usr/share/tool/data"),), b"alpha" if secret else b"beta")

    engine, report = run(program)
    assert not report.passed
    assert report.result == ""
    assert "tool:1-slim" not in engine.names
    assert nothing_left(engine)


def test_an_original_that_answers_differently_each_time_is_excused() -> None:
    words = iter(["alpha", "beta", "gamma", "delta", "epsilon", "zeta"])

    def program(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
        return Behaviour((("open", "r", "/usr/share/tool/data"),), next(words).encode())

    _, report = run(program)
    assert report.passed
    assert "differs from itself" in report.answers[0].note


def test_an_original_that_fails_ends_the_run() -> None:
    engine = FakeEngine(
        {"tool:1": (tree(TREE), CONFIG)}, lambda r, a: Behaviour((("stat", "", "/tmp"),), b"", b"no", 3)
    )
    with pytest.raises(OriginalFails, match="exit code 3"):
        slim(engine, TOOL, EXACT, Silent())
    assert nothing_left(engine)


@pytest.mark.parametrize("call", ["create", "put", "start", "wait", "get", "load", "tag"])
def test_an_engine_that_fails_anywhere_leaves_nothing(call: str) -> None:
    engine = FakeEngine({"tool:1": (tree(TREE), CONFIG)}, reads_data)
    engine.fail_on[call] = EngineUnavailable(f"{call} failed")
    with pytest.raises(EngineUnavailable):
        slim(engine, TOOL, EXACT, Silent())
    assert nothing_left(engine)
    assert "tool:1-slim" not in engine.names


def test_each_args_is_a_scenario() -> None:
    def program(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
        path = f"/usr/share/tool/{argv[-1]}"
        return Behaviour(
            (("open", "r", path),), rootfs.read(path) if path in rootfs else b"", exit_code=path not in rootfs
        )

    scenarios = tuple(Scenario(f"args {a}", (a,)) for a in ("data", "lazy"))
    engine, report = run(program, Recipe(scenarios, Policy(Level.EXACT)))
    rootfs, _ = engine.images[engine.names["tool:1-slim"]]
    assert report.passed
    assert {"/usr/share/tool/data", "/usr/share/tool/lazy"} <= set(rootfs)


def test_unknown_image() -> None:
    with pytest.raises(UsageError):
        slim(FakeEngine({}, reads_data), image_location("nope"), EXACT, Silent())


def test_scratch_directory_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run(reads_data)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("web", "web:latest-slim"),
        ("web:1.2", "web:1.2-slim"),
        ("host:5000/team/web", "host:5000/team/web:latest-slim"),
        ("host:5000/team/web:3", "host:5000/team/web:3-slim"),
        ("web@sha256:" + "0" * 64, "web:slim"),
        ("sha256:" + "0" * 64, "debloat:000000000000-slim"),
    ],
)
def test_default_target(reference: str, target: str) -> None:
    assert default_target(reference) == target


@pytest.mark.parametrize("target", ["tool:1", "docker.io/library/tool:1", "library/tool:1", "other:2"])
def test_the_result_takes_no_name_from_the_original(target: str) -> None:
    engine = FakeEngine({"tool:1": (tree(TREE), CONFIG)}, reads_data)
    image_id = engine.names["tool:1"]
    rootfs, image = engine.images[image_id]
    engine.images[image_id] = (rootfs, replace(image, names=("tool:1", "other:2")))
    with pytest.raises(UsageError, match="the original's name"):
        slim(engine, TOOL, EXACT, Silent(), destination=Destination(target))
    assert engine.names["tool:1"] == image_id
    assert "create" not in engine.calls


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("me/app", "docker.io/me/app:latest"),
        ("localhost/app:2", "localhost/app:2"),
        ("reg:5000/app", "reg:5000/app:latest"),
        ("reg.example/a/b:c", "reg.example/a/b:c"),
    ],
)
def test_full_names(reference: str, full: str) -> None:
    assert full_name(reference) == full


@pytest.mark.parametrize(
    ("reference", "asked", "registry", "name"),
    [
        ("shop", "", "", "shop:latest-slim"),
        ("shop", "", "localhost", "localhost/shop:latest-slim"),
        ("localhost/shop:1", "", "localhost", "localhost/shop:1-slim"),
        ("docker.io/library/shop:1", "", "localhost", "docker.io/library/shop:1-slim"),
        ("shop:1", "team/shop:min", "localhost", "localhost/team/shop:min"),
        ("shop:1", "reg:5000/shop:min", "localhost", "reg:5000/shop:min"),
        ("shop:1", "reg:5000", "localhost", "localhost/reg:5000"),
        ("0000", "", "localhost", "localhost/debloat:000000000000-slim"),
    ],
)
def test_the_name_of_a_result(reference: str, asked: str, registry: str, name: str) -> None:
    image = replace(FakeEngine({"x:1": (tree(TREE), CONFIG)}, reads_data).image("x:1"), reference=reference)
    assert result_name(image, asked, registry) == name


def test_a_result_that_would_get_the_original_name_of_another_registry() -> None:
    """Podman calls what was made here `localhost/shop:1`, and takes `shop:1` for it."""
    image = replace(
        FakeEngine({"shop:1": (tree(TREE), CONFIG)}, reads_data).image("shop:1"), names=("localhost/shop:1",)
    )
    with pytest.raises(UsageError, match="the original's name"):
        result_name(image, "shop:1", "localhost")
