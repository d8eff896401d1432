"""A fleet on real engines: on this machine, and on a Dask cluster whose workers have different ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from debloat.embedded.engine import connect as connect_embedded
from debloat.embedded.place import VARIABLE
from debloat.lock import format as locks
from tests.integration.harness import Place, in_base, until
from tests.support import fixtures
from tests.support.dask import Cluster, cluster
from tests.support.engines import collecting

NAMES = ("a", "b", "c")
SLOW = "b"
"""What its program prints takes a while, long enough to be ended in the middle."""
FIXTURES = tuple(os.environ.get("DEBLOAT_FLEET_FIXTURES", "").split())
"""Fixtures that are to be of the fleet as well, with their recipes: a dozen of them take a quarter of an hour."""

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3000 if FIXTURES else 300)]


@pytest.fixture
def images(place: Place) -> dict[str, str]:
    """Small images by their short names; each prints what it sells."""
    made = {}
    for name in NAMES:
        wait = "sleep 2; " if name == SLOW else ""
        command = f'COPY goods /srv/goods\nCMD ["/bin/sh", "-c", "{wait}cat /srv/goods"]'
        made[name] = place.build(in_base(command), {"goods": f"{name}\n"}, name)
    repository = made[SLOW].rpartition(":")[0]
    entries = [f'[[entry]]\nimage = "{repository}:?"\nlock = "{{tag}}.lock"\n']
    for name in FIXTURES:
        made[name] = fixtures.build(name)
        lines = (f'image = "{made[name]}"', f'recipe = "{recipe(name)}"', f'target = "{repository}:{name}"')
        entries.append("\n".join(("[[entry]]", *lines, f'lock = "{name}.lock"\n')))
    (place.here / "fleet.toml").write_text("".join(entries))
    return made


def recipe(name: str) -> Path:
    return fixtures.FIXTURES / name / "debloat.toml"


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    (tmp_path / "cluster").mkdir()
    with cluster(tmp_path / "cluster") as found:
        yield found


def report(place: Place, *argv: str) -> Any:
    done = place.run("fleet", "run", "--json", "-", "-q", *argv)
    assert done.code == 0, done.err
    return json.loads(done.out)


def statuses(found: Any) -> set[str]:
    return {item["status"] for item in found["items"]}


def test_two_engines_a_killed_worker_and_the_same_images_as_one_by_one(
    place: Place, images: dict[str, str], dask: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    monkeypatch.setenv(VARIABLE, str(store))
    own = connect_embedded()
    for image in images.values():
        saved = subprocess.run(["docker", "save", image], check=True, capture_output=True)
        own.load([saved.stdout], image)

    victim = dask.worker(DEBLOAT_ENGINE="docker", TMPDIR=str(place.scratch))
    dask.wait(1)
    run = place.start("fleet", "run", "--scheduler", dask.address, "--json", "first.json")
    rows = place.here / ".debloat-fleet" / "items"
    at_work = _at_work(place, images[SLOW])
    until(
        lambda: len(list(rows.glob("*/item.json"))) > 2 if FIXTURES else at_work(),
        "an item in its middle",
        1500 if FIXTURES else 120,
    )
    dask.worker(DEBLOAT_ENGINE="embedded", DEBLOAT_STORE=str(store), TMPDIR=str(place.scratch))
    dask.wait(2)
    victim.send_signal(signal.SIGKILL)
    out, err = run.communicate(timeout=1500 if FIXTURES else 200)
    assert run.returncode == 0, err
    first = json.loads((place.here / "first.json").read_text())
    assert sorted(out.split()) == sorted(item["target"] for item in first["items"])
    assert len(first["items"]) == len(images)
    assert statuses(first) == {"done"}
    assert len({item["engine"] for item in first["items"]}) == 2

    # Nothing is left of the worker that was killed, and nothing is done by a second run.
    with collecting():
        assert place.run("gc").code == 0
    assert place.left() == []
    dask.worker(DEBLOAT_ENGINE="docker", TMPDIR=str(place.scratch))
    dask.wait(2)
    assert statuses(report(place, "--scheduler", dask.address)) == {"unchanged"}
    assert own.leftovers() == ()

    for item in first["items"]:
        assert (own.image if "store" in item["engine"] else _on_docker)(item["target"]).identity == item["digest"]
    own.close()

    # One by one: the same images.
    short = {image: name for name, image in images.items()}
    for item in first["items"]:
        name = short[item["name"]]
        config = ("-c", str(recipe(name))) if name in FIXTURES else ()
        done = place.debloat(item["name"], "-t", item["target"], "-q", *config)
        assert done.code == 0, done.err
        assert _on_docker(item["target"]).identity == item["digest"]
        assert locks.parse((place.here / f"{name}.lock").read_bytes(), name).layer == item["layer"]


def _at_work(place: Place, image: str) -> Callable[[], bool]:
    """Whether a container of an image runs."""
    wanted = place.client.inspect_image(image)["Id"]
    return lambda: any(c["ImageID"] == wanted for c in place.client.containers())


def _on_docker(reference: str) -> Any:
    from debloat.engine.docker import connect

    engine = connect()
    try:
        return engine.image(reference, pull=False)
    finally:
        engine.close()


def test_a_run_that_is_killed_goes_on_where_it_was(place: Place, images: dict[str, str]) -> None:
    only = [word for name in ("a", SLOW) for word in ("--only", images[name])]
    run = place.start("fleet", "run", "-j", "1", *only)
    until(_at_work(place, images[SLOW]), "the slow image")
    os.kill(run.pid, signal.SIGKILL)
    run.communicate(timeout=60)
    until(lambda: not place.containers(), "its process")  # which was ended with it, and gave back what it had
    found = report(place, "-j", "2", *only)
    assert [item["status"] for item in found["items"]] == ["unchanged", "done"]
    assert statuses(report(place, *only)) == {"unchanged"}
