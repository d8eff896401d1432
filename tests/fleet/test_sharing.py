"""A fleet in shared layers, on the fake engine: what is made, what is made again, and what happens to what fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat import sensor
from debloat.core.errors import UsageError
from debloat.core.progress import Silent
from debloat.fleet import share
from debloat.fleet.executor import Follow, Sighting
from debloat.fleet.ledger import KEPT_FILE, LOCK, Ledger
from debloat.fleet.model import Finished, FleetReport, Item, Outcome, Status, Task, Verb, Worker
from debloat.fleet.run import resolve, run, standing
from debloat.fleet.sharing import run_shared
from debloat.fleet.work import Means, look, perform
from debloat.report import fleetjson
from debloat.store.location import image_location
from debloat.store.opened import open_store
from tests.support.cli import CONFIG, SHOP_1, SHOP_2, sells, shows_what_is_gone
from tests.support.engine import FakeEngine, Program
from tests.support.trees import tree


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of some bytes are worth it, for the images are small."""
    monkeypatch.setattr(sensor, "binary", lambda architecture: b"sensor")
    monkeypatch.setattr(share, "WORTH", 1)
    monkeypatch.setattr(share, "BOUND", 99)


def shop(program: Program = sells) -> FakeEngine:
    """An engine with two builds that have a large file in common."""
    both = {"/opt/shop/names": "tea\n" * 20_000}
    images = {"shop:1": (tree({**SHOP_1, **both}), CONFIG), "shop:2": (tree({**SHOP_2, **both}), CONFIG)}
    return FakeEngine(images, program)


class Here:
    """An executor that does all itself."""

    name = "here"

    def __init__(self, engine: FakeEngine) -> None:
        self.tasks: list[Task] = []
        self._means = Means(lambda: engine, Silent(), lambda report: "{}")

    def workers(self) -> tuple[Worker, ...]:
        return (Worker("here", "fake", "1"),)

    def names(self) -> tuple[str, ...]:
        return ()

    def look(self, references: Iterable[str], *, pull: bool) -> Iterator[Sighting]:
        return look(references, pull, self._means)

    def run(self, tasks: Iterable[Task], follow: Follow) -> Iterator[Finished]:
        for task in tasks:
            self.tasks.append(task)
            yield perform(task, self._means)

    def close(self) -> None: ...


class Quiet:
    """A follower that says nothing."""

    def begin(self, items: int, workers: object) -> None: ...
    def working(self, at_work: object) -> None: ...
    def ended(self, outcome: Outcome) -> None: ...
    def finish(self) -> None: ...


def item(name: str, verb: Verb, directory: Path, target: str = "") -> Item:
    lock = directory / f"{name.replace(':', '-')}.lock"
    return Item(name, verb, target or f"{name}-slim", (), "recipe", "safe", "1", str(lock))


def carried_out(executor: Here, items: Iterable[Item], directory: Path, verb: Verb = Verb.RUN) -> FleetReport:
    ledger = Ledger(directory / "state")
    return run_shared(directory / "fleet.toml", tuple(items), verb, executor, ledger, Quiet(), "1")


def test_images_are_made_in_layers_that_they_share(tmp_path: Path) -> None:
    engine = shop()
    items = [item(name, Verb.RUN, tmp_path) for name in ("shop:2", "shop:1")]
    report = carried_out(Here(engine), items, tmp_path)
    assert [(row.name, row.status, row.verb, row.error) for row in report.outcomes] == [
        ("shop:2", Status.DONE, Verb.RUN, ""),
        ("shop:1", Status.DONE, Verb.RUN, ""),
    ]
    one, two = (engine.image(f"shop:{n}-slim") for n in "12")
    assert one.layers[:-1] == two.layers[:-1] != ()
    assert one.layers[-1] != two.layers[-1]
    assert report.sharing is not None
    assert (report.sharing.layers, len(report.sharing.images)) == (1, 2)
    assert report.sharing.after < report.sharing.before
    assert fleetjson.document(report)["sharing"]["shared"] == report.sharing.shared
    # In one layer each it is the same tree: what was proven is what was made.
    alone, directory = shop(), tmp_path / "alone"
    directory.mkdir()
    run(
        tmp_path / "fleet.toml",
        [item(name, Verb.RUN, directory) for name in ("shop:1", "shop:2")],
        Verb.RUN,
        Here(alone),
        Ledger(directory / "state"),
        Quiet(),
        "1",
    )
    for name in ("shop:1-slim", "shop:2-slim"):
        together, single = (e.images[e.names[name]][0] for e in (engine, alone))
        assert list(together.entries()) == list(single.entries())
    assert (tmp_path / "shop-1.lock").read_bytes() == (directory / "shop-1.lock").read_bytes()
    # Nothing is left to do, by either order.
    again = Here(engine)
    assert {row.status for row in carried_out(again, items[::-1], tmp_path).outcomes} == {Status.UNCHANGED}
    assert again.tasks == []


def test_by_locks_nothing_is_started_and_the_layers_are_the_same(tmp_path: Path) -> None:
    engine = shop()
    carried_out(Here(engine), [item(name, Verb.RUN, tmp_path) for name in ("shop:1", "shop:2")], tmp_path)
    other = shop(lambda rootfs, argv: pytest.fail("nothing may run"))
    (tmp_path / "by-lock").mkdir()
    items = [replace(item(name, Verb.APPLY, tmp_path), lock_digest="x") for name in ("shop:1", "shop:2")]
    report = carried_out(Here(other), items, tmp_path / "by-lock", Verb.APPLY)
    assert report.passed
    for name in ("shop:1-slim", "shop:2-slim"):
        assert other.names[name] == engine.names[name]


def test_they_go_to_a_layout_that_has_each_layer_once(tmp_path: Path) -> None:
    items = [item(f"shop:{n}", Verb.RUN, tmp_path, f"oci:{tmp_path}/out:{n}") for n in "12"]
    report = carried_out(Here(engine := shop()), items, tmp_path)
    assert report.passed
    assert sorted(engine.names) == ["shop:1", "shop:2"]
    layers = []
    for row in report.outcomes:
        with open_store(image_location(row.target)) as store:
            layers.append(store.image().image.layers)
    assert report.sharing is not None
    blobs = list((tmp_path / "out/blobs/sha256").iterdir())
    assert len(blobs) == len({layer for each in layers for layer in each}) + 2 * 2
    assert report.sharing.after == sum(
        (tmp_path / "out/blobs/sha256" / digest.partition(":")[2]).stat().st_size
        for digest in {layer for each in layers for layer in each}
    )


def test_an_image_that_fails_its_proof_shares_nothing_and_ends_no_other(tmp_path: Path) -> None:
    engine = shop(lambda rootfs, argv: (shows_what_is_gone if "/usr/lib/shop/old" in rootfs else sells)(rootfs, argv))
    items = [item(name, Verb.RUN, tmp_path) for name in ("shop:1", "shop:2")]
    report = carried_out(Here(engine), items, tmp_path)
    assert [row.status for row in report.outcomes] == [Status.DIFFERS, Status.DONE]
    assert "shop:1-slim" not in engine.names
    assert report.sharing is not None
    assert [image.target for image in report.sharing.images] == ["shop:2-slim"]
    assert len(engine.image("shop:2-slim").layers) == 1


def test_status_knows_what_was_made_and_what_was_only_looked_at(tmp_path: Path) -> None:
    engine, ledger = shop(), Ledger(tmp_path / "state")
    items = [item(name, Verb.RUN, tmp_path) for name in ("shop:1", "shop:2")]
    executor = Here(engine)
    first = [replace(i, share="kept", plain=i.key) for i in resolve(items, executor).items]
    run(tmp_path / "f", first, Verb.RUN, executor, ledger, Quiet(), "1", shares=lambda _: "kept")
    assert sorted(engine.names) == ["shop:1", "shop:2"]
    assert {row.status for row in standing(items, [row for _, row in ledger.rows()])} == {Status.PENDING}
    # A run that was killed between the steps goes on with the second.
    executor.tasks.clear()
    carried_out(executor, items, tmp_path)
    assert [task.verb for task in executor.tasks] == [Verb.APPLY, Verb.APPLY]
    assert {row.status for row in standing(items, [row for _, row in ledger.rows()])} == {Status.DONE}


def test_a_list_that_is_lost_is_said(tmp_path: Path) -> None:
    engine = shop()
    items = [item("shop:1", Verb.RUN, tmp_path)]
    carried_out(Here(engine), items, tmp_path)
    for name in (KEPT_FILE, LOCK):
        (path,) = (tmp_path / "state").glob(f"items/*/{KEPT_FILE}")
        (path.parent / name).rename(path.parent / "elsewhere")
        with pytest.raises(UsageError, match=f"cannot read .*{name}"):
            carried_out(Here(engine), items, tmp_path)
        (path.parent / "elsewhere").rename(path.parent / name)
