"""A fleet as a page and as metrics: complete, inert, and read by those they are for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from debloat.core.text import name
from debloat.fleet.model import FleetReport, InLayers, Outcome, Sharing, Status, Verb, Worker
from debloat.report import fleethtml, fleetterminal, openmetrics
from tests.support.pages import Reader, must_admit_its_own_only, must_be_whole
from tests.support.reports import EVIL

MADE = Outcome(
    "k1", "shop/web:1", Status.DONE, Verb.RUN, "shop/web:1-slim", bytes_before=97_000_000, bytes_after=12_000_000,
    seconds=5.25, worker="local", log="items/k1/log",
)  # fmt: skip
OLD = replace(MADE, key="k2", name="shop/db:1", status=Status.UNCHANGED, target="shop/db:1-slim", seconds=0.0)
BAD = Outcome(
    "k3", "shop/api:1", Status.DIFFERS, Verb.RUN, "shop/api:1-slim", bytes_before=90_000_000, bytes_after=11_000_000,
    exit_code=5, error="http GET /: status 500, was 200", hint="try --level package", seconds=6.0, log="items/k3/log",
)  # fmt: skip
WAITING = Outcome("k4", "shop/old:1", Status.PENDING, Verb.RUN)
SHARING = Sharing(
    10,
    3,
    before=26_000_000,
    after=15_600_000,
    shared=9_000_000,
    images=(
        InLayers("shop/db:1-slim", 13_000_000, 3_000_000, 13_100_000, 3),
        InLayers("shop/web:1-slim", 13_000_000, 3_600_000, 13_100_000, 4),
    ),
)
WORKERS = (Worker("local", "host unix:///var/run/docker.sock", "0.1.0", 2),)
WELL = FleetReport("debloat 0.1.0", "run", "fleet.toml", "local", WORKERS, (MADE, OLD), 12.5)
SHARED = replace(WELL, sharing=SHARING)
FAILED = replace(WELL, outcomes=(MADE, BAD, OLD))
HALF = replace(WELL, outcomes=(MADE, WAITING))
EMPTY = FleetReport("debloat 0.1.0", "check", "fleet.toml", "", (), ())
HOSTILE = FleetReport(
    EVIL, EVIL, EVIL, EVIL, (Worker(EVIL, EVIL, EVIL),),
    (
        replace(MADE, name=EVIL, target=EVIL, worker=EVIL),
        replace(BAD, name=f"{EVIL}2", error=EVIL, hint=EVIL, log=EVIL, target=EVIL),
    ),
    1.0,
    replace(SHARING, images=(replace(SHARING.images[0], target=EVIL),)),
)  # fmt: skip
REPORTS = {"well": WELL, "shared": SHARED, "failed": FAILED, "half": HALF, "empty": EMPTY, "hostile": HOSTILE}

everywhere = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())


# ------------------------------------------------------------------------------------------ the page


@everywhere
def test_the_page_is_whole_and_admits_nothing_else(report: FleetReport) -> None:
    page = fleethtml.render(report)
    must_be_whole(page)
    must_admit_its_own_only(page)
    assert page == fleethtml.render(report)


def test_hostile_names_are_text() -> None:
    page = fleethtml.render(HOSTILE)
    assert all(char.isprintable() or char == "\n" for char in page)
    assert "alert(1)</script>" not in page
    assert Reader(page).text().count(name(EVIL)) > 10


@pytest.mark.parametrize(
    ("report", "kind", "words"),
    [
        (WELL, "good", "2 images, all well"),
        (FAILED, "bad", "1 of 3 images failed"),
        (HALF, "warn", "1 of 2 images not done yet"),
        (EMPTY, "warn", "0 of 0 images not done yet"),
    ],
)
def test_what_came_of_it_is_the_first_thing(report: FleetReport, kind: str, words: str) -> None:
    assert f'<span class="badge {kind}">{words}</span>' in fleethtml.render(report)


def test_failures_come_first_with_what_to_do() -> None:
    text = Reader(fleethtml.render(FAILED)).text()
    assert text.index("http GET /: status 500, was 200") < text.index("shop/web:1-slim")
    assert "try --level package" in text
    assert "items/k3/log" in text
    assert "Failures" not in Reader(fleethtml.render(WELL)).text()


def test_the_picture_has_bytes_before_after_and_shared() -> None:
    text = Reader(fleethtml.render(SHARED)).text()
    # 24.0 MB of files, of which sharing leaves 60 %.
    for words in ("original194 MB", "minimal24.0 MB", "shared14.4 MB", "-93 %", "3 layers of several images each"):
        assert words in text, words
    assert "shared" not in Reader(fleethtml.render(WELL)).text()


# ------------------------------------------------------------------------------------------ the metrics


def parsed(report: FleetReport) -> dict[str, Any]:
    read: Any = text_string_to_metric_families
    return {family.name: family for family in read(openmetrics.render(report))}


def values(family: Any, *labels: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels[label] for label in labels): sample.value for sample in family.samples}


@everywhere
def test_metrics_are_read(report: FleetReport) -> None:
    text = openmetrics.render(report)
    assert text.endswith("# EOF\n")
    found = parsed(report)
    assert all(each.startswith(openmetrics.PREFIX) for each in found)
    for family in found.values():
        assert family.documentation
        assert family.unit in ("", "bytes", "seconds")
        assert family.name.endswith(family.unit)


def test_metrics_say_what_the_report_says() -> None:
    found = parsed(replace(FAILED, sharing=SHARING))
    assert values(found["debloat_fleet_images"], "status") == {
        (str(status),): float(FAILED.count(status)) for status in Status
    }
    assert values(found["debloat_fleet_passed"]) == {(): 0.0}
    assert values(found["debloat_fleet_image_well"], "image") == {
        ("shop/web:1",): 1.0,
        ("shop/api:1",): 0.0,
        ("shop/db:1",): 1.0,
    }
    # What failed has no result, and what was done before took no time in this run.
    assert values(found["debloat_fleet_image_minimal_bytes"], "image") == {
        ("shop/web:1",): 12e6,
        ("shop/db:1",): 12e6,
    }
    assert values(found["debloat_fleet_image_duration_seconds"], "image") == {("shop/web:1",): 5.25, ("shop/api:1",): 6}
    assert values(found["debloat_fleet_layers_shared_bytes"]) == {(): 9e6}
    assert values(found["debloat_fleet_layer_own_bytes"], "target")[("shop/web:1-slim",)] == 3.6e6
    assert values(found["debloat_fleet_run"], "verb", "tool") == {("run", "debloat 0.1.0"): 1.0}
    assert not any("layer" in each for each in parsed(FAILED))


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec=None), max_size=40))
def test_any_name_is_a_label(text: str) -> None:
    found = parsed(replace(WELL, outcomes=(replace(MADE, name=text),)))
    assert list(values(found["debloat_fleet_image_well"], "image")) == [(name(text),)]


# ------------------------------------------------------------------------------------------ the terminal


def lines(report: FleetReport) -> Iterable[str]:
    return [line.plain for line in fleetterminal.lines(report)]


def test_the_summary_says_what_sharing_bought() -> None:
    assert "  layers, each once: 26.0 MB -> 15.6 MB  -40 %, 9.0 MB of them in 3 shared layers" in lines(SHARED)
    assert not any("layers, each once" in line for line in lines(WELL))
