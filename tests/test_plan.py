"""A plan is held against the deed: the containers that a run starts and the questions it asks are those of its plan."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat import sensor
from debloat.core import config
from debloat.core.errors import UsageError
from debloat.core.model import Image, Level, Policy
from debloat.core.progress import Silent
from debloat.core.recipe import Recipe, recipe
from debloat.engine.base import ContainerSpec
from debloat.engine.traits import PODMAN
from debloat.lock.apply import apply
from debloat.lock.format import Lock
from debloat.lock.manifest import lock_of_run
from debloat.pipeline import Watching, slim
from debloat.plan import AlwaysKept, Plan, PlannedProbe, plan_apply, plan_run
from debloat.store.location import Destination, image_location
from tests.support import schemas
from tests.support.cli import CONFIG, SHOP_1, shop
from tests.support.engine import FakeEngine
from tests.support.progress import Recording
from tests.support.trees import tree

EXACT = Recipe(policy=Policy(Level.EXACT))

QUIET_CALLS = {"image"}
"""Calls of an engine that change nothing on it."""


@pytest.fixture(autouse=True)
def _no_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensor, "binary", lambda architecture: b"sensor")


def made(text: str) -> Recipe:
    return recipe(config.settings(tomllib.loads(text)))


def open_spec(spec: ContainerSpec) -> ContainerSpec:
    """What an engine was asked for, without what a plan leaves open."""
    return replace(spec, image="", run="")


RECIPES = {
    "nothing said": "",
    "arguments": "args = ['a', 'b c']",
    "options": """
        args = ["a"]
        [run_options]
        env = { A = "1" }
        user = "7"
        tmpfs = ["/run"]
        cap_drop = ["ALL"]
        cap_add = ["CHOWN"]
        group_add = ["5"]
        read_only = true
        [[scenario]]
        args = ["b"]
        run_options = { init = true, network = "none", volumes = ["/data"], read_only = false }
    """,
}


SHOP = image_location("shop:1")
ON_THE_HOST = """
    [[scenario]]
    run_options = { network = "host" }
"""


@pytest.mark.parametrize("text", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("verify", [True, False])
def test_what_is_started_is_what_was_planned(text: str, verify: bool) -> None:
    asked = replace(made(text), policy=EXACT.policy)
    engine, watching = shop(), Watching(replay=verify)
    plan = plan_run(engine, SHOP, asked, watching=watching)
    assert engine.created == []
    report = slim(engine, SHOP, asked, Silent(), destination=Destination(plan.target), watching=watching)
    started = [open_spec(spec) for spec in engine.created]
    planned = [container.spec for container in plan.containers]
    assert len(started) == len(planned)
    assert all(spec in planned for spec in started)
    assert all(spec in started for spec in planned)
    assert report.result == plan.target
    if verify:
        assert {(p.scenario, p.name) for p in plan.probes} == {(a.scenario, a.before.name) for a in report.answers}


def test_on_podman_an_image_is_read_where_it_is_mounted_as_planned() -> None:
    engine = shop()
    engine.traits = PODMAN
    plan = plan_run(engine, SHOP, EXACT)
    slim(engine, SHOP, EXACT, Silent())
    assert plan.target == "localhost/shop:1-slim"
    assert plan.containers[0].spec in map(open_spec, engine.created)
    assert plan.containers[0].spec.image_at == plan.containers[0].spec.entrypoint[-1]


@pytest.mark.parametrize("rootless", [True, False])
def test_what_a_rootless_engine_cannot_do_is_said_before_the_run(rootless: bool) -> None:
    engine, progress = shop(), Recording()
    engine.traits = replace(PODMAN, rootless=rootless)
    asked = replace(made(ON_THE_HOST), policy=EXACT.policy)
    plan = plan_run(engine, SHOP, asked)
    slim(engine, SHOP, asked, progress)
    told = [note for note in plan.notes if "rootless" in note]
    assert len(told) == (2 if rootless else 0)
    before = progress.lines[: next(i for i, line in enumerate(progress.lines) if line.startswith("recording"))]
    assert [line for line in before if "rootless" in line] == told


def test_a_plan_starts_and_changes_nothing() -> None:
    engine = shop()
    names = dict(engine.names)
    plan_run(engine, SHOP, EXACT)
    assert set(engine.calls) <= QUIET_CALLS
    assert engine.names == names


def test_what_files_lead_to_is_planned(tmp_path: Path) -> None:
    (tmp_path / "a.har").write_text(
        '{"log": {"entries": [{"request": {"method": "GET", "url": "https://shop.example/a"}}]}}'
    )
    (tmp_path / "api.json").write_text('{"openapi": "3.1.0", "paths": {"/a": {"get": {}}}}')
    text = f"""
        har = ["{tmp_path / "a.har"}"]
        openapi = "{tmp_path / "api.json"}"
        grpc = [":50051"]
        [[websocket]]
        url = "/chat"
    """
    plan = plan_run(service(), SHOP, made(text))
    assert probes(plan) == [
        ("websocket", "websocket /chat", (80, 8080, 50051)),
        ("grpc", "grpc :50051", (50051,)),
        ("har", f"har {tmp_path / 'a.har'}", (80, 8080, 50051)),
        ("openapi", f"openapi {tmp_path / 'api.json'}", (80, 8080, 50051)),
        ("stop", "stop", ()),
    ]
    (tmp_path / "a.har").write_text("{}")
    engine = service()
    with pytest.raises(UsageError, match="has no request that can be replayed"):
        slim(engine, SHOP, made(text), Silent())
    assert not engine.containers


def service(**more: object) -> FakeEngine:
    config: Mapping[str, object] = {**CONFIG, "ExposedPorts": {"8080/tcp": {}, "80/tcp": {}, "53/udp": {}}, **more}
    return FakeEngine({"shop:1": (tree(SHOP_1), config)}, lambda rootfs, argv: pytest.fail("nothing may run"))


def probes(plan: Plan) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(probe.kind, probe.name, probe.ports) for probe in plan.probes]


def test_what_is_asked_of_a_service_by_default() -> None:
    check = {"Test": ["CMD-SHELL", "true"]}
    plan = plan_run(service(Healthcheck=check, User="app", Volumes={"/data": {}}), SHOP, EXACT)
    assert probes(plan) == [
        ("exec", "healthcheck", ()),
        ("port", "port 80", (80,)),
        ("port", "port 8080", (8080,)),
        ("port", "port 53/udp", (53,)),
        ("stop", "stop", ()),
    ]
    assert plan.containers[1].spec.ports == ("53/udp", "80/tcp", "8080/tcp")
    assert plan.containers[1].user == "app"
    assert plan.known == (
        AlwaysKept("ENTRYPOINT", "/usr/bin/shop"),
        AlwaysKept("HEALTHCHECK", "CMD-SHELL true"),
        AlwaysKept("USER", "app"),
        AlwaysKept("WORKDIR", "/srv"),
        AlwaysKept("VOLUME", "/data"),
    )


def test_what_is_asked_of_a_service_by_name() -> None:
    text = "http = ['/', 'POST :81/x']\nexec = ['true']\nrun = ['npm test']\n[[scenario]]\nname = 'odd'\nargs = '-x'\n"
    plan = plan_run(service(), SHOP, made(text))
    assert probes(plan)[:5] == [
        ("http", "http GET /", (80, 81, 8080)),
        ("http", "http POST :81/x", (81,)),
        ("exec", "exec true", ()),
        ("run", "run npm test", ()),
        ("stop", "stop", ()),
    ]
    assert plan.containers[1].spec.ports == ("80/tcp", "8080/tcp", "81/tcp")
    assert plan.probes[5:] == (PlannedProbe("odd", "exit", "run odd"),)
    assert plan.notes == ("odd: if it listens on port 80, 8080, it is asked there instead of being run to its end",)


@pytest.mark.parametrize(
    ("exposed", "text", "first"),
    [
        ("1812/udp", "", ("bound", "bound 1812/udp", (1812,))),
        ("80/tcp", "tests = ['npm test']", ("test", "test npm test", ())),
    ],
)
def test_every_kind_of_probe_is_in_the_schema(exposed: str, text: str, first: tuple[str, str, tuple[int, ...]]) -> None:
    plan = plan_run(service(ExposedPorts={exposed: {}}), SHOP, made(text))
    kinds = schemas.ours("plan.json")["$defs"]["probe"]["properties"]["kind"]["enum"]
    assert probes(plan) == [first, ("stop", "stop", ())]
    assert first[0] in kinds


def test_what_is_wrong_is_said_as_the_run_says_it() -> None:
    for reference, target, asked in (
        ("nowhere:1", "", EXACT),
        ("shop:1", "shop:1", EXACT),
        ("shop:1", "", made("http = ['/']")),
    ):
        with pytest.raises(UsageError) as planned:
            plan_run(shop(), image_location(reference), asked, target=target)
        assert planned.value.hint or reference == "nowhere:1"
    engine = shop()
    rootfs, image = engine.images[engine.names["shop:1"]]
    engine.images[image.id] = (rootfs, replace(image, architecture="arm64"))
    with pytest.raises(UsageError, match="for linux/arm64"):
        plan_run(engine, SHOP, EXACT)


def test_an_image_that_is_not_here_is_not_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = shop()
    asked = []
    image = engine.image

    def noted(reference: str, *, pull: bool = True) -> Image:
        asked.append(pull)
        return image(reference)

    monkeypatch.setattr(engine, "image", noted)
    plan_run(engine, SHOP, EXACT)
    assert asked == [False]


# ------------------------------------------------------------------------------------------ apply


@pytest.fixture
def locked() -> tuple[FakeEngine, Lock]:
    """An engine, and the lock of a run on it."""
    engine = shop()
    locks: list[Lock] = []

    slim(engine, SHOP, EXACT, Silent(), sinks=[lambda outcome: locks.append(lock_of_run(outcome))])
    engine.calls.clear()
    engine.created.clear()
    return engine, locks[0]


@pytest.mark.parametrize("image", ["shop:1", "shop:2"])
def test_what_a_lock_comes_to_is_what_was_planned(locked: tuple[FakeEngine, Lock], image: str) -> None:
    engine, lock = locked
    progress = Recording()
    plan = plan_apply(engine, image_location(image), lock, progress)
    cut = plan.cut
    assert cut is not None
    assert progress.stages == ["read", "close and carve"]
    assert [open_spec(spec) for spec in engine.created] == [container.spec for container in plan.containers]
    assert not {"load", "tag", "untag"} & set(engine.calls)
    assert not engine.containers
    applied = apply(engine, image_location(image), lock, Silent())
    assert applied.result == plan.target
    assert (cut.identical, cut.moves, cut.gone, cut.diff) == (
        applied.identical,
        applied.moves,
        applied.gone,
        applied.diff,
    )
    rootfs, _ = engine.images[engine.names[applied.result]]
    assert cut.layer == applied.lock.layer
    assert cut.after.files == sum(not entry.is_dir for entry in rootfs.entries())
    assert cut.after.bytes == sum(entry.size for entry in rootfs.entries())
    assert cut.before.files > cut.after.files


def test_a_proof_is_planned_too(locked: tuple[FakeEngine, Lock]) -> None:
    engine, lock = locked
    plan = plan_apply(engine, image_location("shop:2"), lock, Silent(), recipe=Recipe())
    assert [(c.stage, c.minimal) for c in plan.containers] == [("read", False), ("record", False), ("verify", True)]
    assert [probe.kind for probe in plan.probes] == ["exit"]
    assert any("the recipe has changed" in note for note in plan.notes)
    engine.created.clear()
    apply(engine, image_location("shop:2"), lock, Silent(), recipe=Recipe())
    assert [open_spec(spec) for spec in engine.created] == [container.spec for container in plan.containers]
