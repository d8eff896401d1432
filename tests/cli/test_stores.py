"""Images that lie in files: read by every verb without an engine, run on one, and written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat.lock import format as locks
from debloat.store.location import image_location
from debloat.store.opened import open_store
from tests.support.cli import CONFIG, SHOP_1, SHOP_2, CommandLine, fails, sells, shop
from tests.support.engine import FakeEngine
from tests.support.stores import layer_of, put_archive, put_layout
from tests.support.trees import Table, tree

Lines = Callable[[FakeEngine], CommandLine]


EVERYWHERE: Table = {"/dev/": "", "/etc/": "", "/proc/": "", "/sys/": ""}
"""What every engine gives a container."""


def engine() -> FakeEngine:
    """One that has both builds as an engine shows them."""
    builds = {"shop:1": SHOP_1, "shop:2": SHOP_2}
    return FakeEngine({name: (tree({**table, **EVERYWHERE}), CONFIG) for name, table in builds.items()}, sells)


@pytest.fixture
def stored(debloat: CommandLine, here: Path) -> CommandLine:
    """Both builds as files beside the lock of the first, on an engine that has neither."""
    put_archive(here / "one.tar", [layer_of(tree(SHOP_1))], CONFIG, names=["shop:1"])
    put_layout(here / "two", [layer_of(tree(SHOP_2))], CONFIG, name="shop:2")
    (here / "debloat.toml").write_text('level = "exact"\n')
    assert debloat("lock", "docker-archive:one.tar", "-q", "-t", "first:slim").code == 0
    debloat.engine.names.pop("shop:1")
    debloat.engine.names.pop("shop:2")
    debloat.connected = 0
    return debloat


def test_an_image_of_a_file_is_locked_as_one_of_the_engine(stored: CommandLine, here: Path, lines: Lines) -> None:
    """But for its identity, which is made up on the fake engine."""
    locked = locks.parse((here / "debloat.lock").read_bytes(), "")
    assert lines(engine())("lock", "shop:1", "-q").code == 0
    again = locks.parse((here / "debloat.lock").read_bytes(), "")
    assert again.trace.accesses == locked.trace.accesses
    assert replace(again, image=locked.image, trace=locked.trace) == locked


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "oci:two"),
        ("diff", "docker-archive:one.tar", "oci:two"),
        ("check", "oci:two", "--no-fail"),
        ("apply", "oci:two", "--output", "oci:out"),
        ("apply", "oci:two", "--output", "oci:out", "--dry-run"),
        ("why", "docker-archive:one.tar", "/usr/bin/shop"),
        ("sbom", "oci:two"),
    ],
    ids=lambda words: words[0],
)
def test_what_needs_the_layers_alone_asks_no_engine(
    stored: CommandLine, words: tuple[str, ...], tmp_path: Path
) -> None:
    done = stored(*words)
    assert (done.code, stored.connected) == (0, 0), done.err
    assert done.out
    assert not list((tmp_path / "scratch").iterdir())


def test_the_result_of_a_lock_is_the_same_without_an_engine(stored: CommandLine, here: Path, lines: Lines) -> None:
    done = stored("apply", "oci:two", "--output", "oci:out", "-q")
    assert (done.code, done.out) == (0, "oci:out\n")
    with open_store(image_location("oci:out")) as store:
        image = store.image()
    assert image.image.reference == "shop:2-slim"
    on_engine = lines(engine())
    assert on_engine("apply", "shop:2", "-q").code == 0
    made = on_engine.engine.images[on_engine.engine.names["shop:2-slim"]][1]
    assert made.layers == image.image.layers
    assert stored("check", "oci:out", "-q", "--no-fail").code == 0
    assert stored.connected == 0


def test_without_a_place_the_engine_gets_the_result(stored: CommandLine) -> None:
    done = stored("apply", "oci:two", "-q")
    assert (done.code, done.out) == (0, "shop:2-slim\n")
    assert "shop:2-slim" in stored.engine.names
    done = stored("apply", "oci:two", "-q", "--output", "docker-daemon:other:1")
    assert (done.code, done.out) == (0, "other:1\n")
    assert "other:1" in stored.engine.names
    assert stored("apply", "oci:two", "-t", "a:1", "--output", "docker-daemon:b:1").code == 2


def test_an_image_of_a_file_is_run_on_the_engine_and_gone_afterwards(stored: CommandLine, here: Path) -> None:
    before = dict(stored.engine.names)
    done = stored("docker-archive:one.tar", "--output", "oci-archive:out.tar:mine", "--json", "report.json")
    assert (done.code, done.out) == (0, "oci-archive:out.tar:mine\n")
    assert stored.engine.names == before
    assert "docker run" not in done.err, "the engine has not got it"
    assert json.loads((here / "report.json").read_text())["reference"] == "shop:1"
    with open_store(image_location("oci-archive:out.tar:mine")) as store:
        assert store.image().image.id == stored.engine.names["first:slim"]


def test_its_plan_reads_it_without_a_container(stored: CommandLine) -> None:
    done = stored("docker-archive:one.tar", "--dry-run", "--output", "oci:out")
    assert done.code == 0
    assert "shop:1" in done.out
    assert "the sensor alone, to read" not in done.out
    assert "load" not in stored.engine.calls[-3:]


def test_it_is_recorded_as_any_other(stored: CommandLine, here: Path) -> None:
    before = dict(stored.engine.names)
    assert stored("record", "docker-archive:one.tar", "--save-trace", "t", "-q").code == 0
    assert "/usr/share/shop/catalogue" in (here / "t").read_text()
    assert stored.engine.names == before


def test_a_proof_loads_both(stored: CommandLine) -> None:
    before = dict(stored.engine.names)
    done = stored("apply", "oci:two", "-q", "--verify", "--output", "oci:out")
    assert (done.code, done.out) == (0, "oci:out\n")
    assert stored.engine.names == before


def test_what_fails_leaves_nothing(stored: CommandLine, here: Path, lines: Lines, tmp_path: Path) -> None:
    failing = lines(shop(fails))
    assert failing("docker-archive:one.tar", "-q", "--output", "oci:out").code == 4
    assert not (here / "out").exists()
    assert not list((tmp_path / "scratch").iterdir())
    (here / "one.tar").write_bytes((here / "one.tar").read_bytes()[:3000])
    assert "cannot read docker-archive:one.tar: " in stored("inspect", "docker-archive:one.tar").complaint


def test_what_lies_in_a_file_is_named_with_its_transport(stored: CommandLine) -> None:
    for text in ("dir:/x", "docker:x", "oci:"):
        assert stored("inspect", text).code == 2


def test_a_place_that_takes_nothing_is_said_before_anything_starts(
    debloat: CommandLine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is no layout, a broken layout, a storage without its program, a registry that is away."""
    (here / "full").mkdir()
    (here / "full" / "mine").write_text("mine")
    (here / "broken").mkdir()
    (here / "broken" / "index.json").write_text("{")
    monkeypatch.setenv("PATH", str(here))
    places = {
        "oci:full": "the directory is there, and no OCI layout",
        "oci:broken": "broken",
        "containers-storage:shop:slim": "Podman is not installed here",
        "docker://registry.example/shop@sha256:" + "0" * 64: "is not an image name",
        "docker://localhost:1/shop": "cannot reach the registry localhost:1",
    }
    for place, said in places.items():
        done = debloat("shop:1", "--output", place)
        assert done.code in (2, 3)
        assert said in done.complaint
    assert "create" not in debloat.engine.calls
