"""`debloat fleet --share`, and where else a fleet's report goes, over the fake engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from prometheus_client.openmetrics import parser

from debloat.fleet import share
from tests.support import schemas
from tests.support.cli import CONFIG, SHOP_1, CommandLine, sells
from tests.support.engine import FakeEngine
from tests.support.fleets import in_this_process, write
from tests.support.trees import tree

Lines = Callable[[FakeEngine], CommandLine]
NAMES = ("shop/api:1", "shop/web:1", "shop/web:2")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    """Shops with a large file in common."""
    monkeypatch.setattr(share, "WORTH", 1)
    monkeypatch.setattr(share, "BOUND", 99)
    tables = {n: {**SHOP_1, "/opt/names": "tea\n" * 20_000, "/usr/share/shop/catalogue": n} for n in NAMES}
    found = FakeEngine({name: (tree(table), CONFIG) for name, table in tables.items()}, sells)
    in_this_process(monkeypatch, found)
    return found


def test_layers_in_common_are_made_and_told_of(lines: Lines, engine: FakeEngine, here: Path) -> None:
    write(here, '[[entry]]\nimage = "shop/*"\n')
    said = ("--json", "out/report.json", "--html", "out/page.html", "--metrics", "out/fleet.prom")
    done = lines(engine)("fleet", "run", "--share", "--layers", "4", *said)
    assert (done.code, done.out.split()) == (0, [f"{name}-slim" for name in NAMES])
    layers = [engine.image(f"{name}-slim").layers for name in NAMES]
    assert {len(each) for each in layers} == {2}
    assert len({each[0] for each in layers}) == 1
    report = json.loads((here / "out/report.json").read_text())
    Draft202012Validator(schemas.ours("fleet.json")).validate(report)
    sharing = report["sharing"]
    assert (sharing["most"], sharing["layers"]) == (4, 1)
    assert "Shared layers" in (here / "out/page.html").read_text()
    read: Any = parser.text_string_to_metric_families
    metrics = {family.name: family for family in read((here / "out/fleet.prom").read_text())}
    assert metrics["debloat_fleet_layers_shared_bytes"].samples[0].value == sharing["shared"]
    assert "1 shared layer" in done.err
    again = lines(engine)("fleet", "status", "--metrics", "-")
    assert 'debloat_fleet_images{status="done"} 3' in again.out


def test_a_report_that_could_not_be_written_is_said_before_anything(
    lines: Lines, engine: FakeEngine, here: Path
) -> None:
    write(here, '[[entry]]\nimage = "shop/*"\n')
    (here / "out").write_text("a file")
    for option in ("--json", "--html", "--metrics"):
        done = lines(engine)("fleet", "run", option, "out/report")
        assert (done.code, "cannot write out/report" in done.complaint) == (2, True)
    assert "create" not in engine.calls


def test_a_check_makes_nothing_that_could_be_shared(lines: Lines, engine: FakeEngine, here: Path) -> None:
    write(here, '[[entry]]\nimage = "shop/*"\n')
    assert "no such option" in lines(engine)("fleet", "check", "--share").complaint.lower()
