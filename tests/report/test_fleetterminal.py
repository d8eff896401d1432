"""A fleet on the terminal: what is shown while it runs, and what is left of that in a pipe."""

from __future__ import annotations

import io
import re
import sys

import pytest
from msgspec.structs import replace

from debloat.fleet.model import FleetReport, Outcome, Status, Verb, Worker
from debloat.report import fleetterminal
from debloat.report.fleetterminal import FleetProgress
from tests.support.reports import EVIL

DONE = Outcome(
    "k1",
    "shop/web:1",
    Status.DONE,
    Verb.RUN,
    "shop/web:1-slim",
    digest="sha256:0",
    bytes_before=90_000_000,
    bytes_after=9_000_000,
    seconds=4.0,
)
KEPT = replace(DONE, key="k2", name="shop/web:2", status=Status.UNCHANGED, target="shop/web:2-slim")
BAD = Outcome(
    "k3", "shop/api:1", Status.DIFFERS, Verb.RUN, exit_code=5, error="it differs", hint="keep more", log="items/k3/log"
)
WORKERS = (Worker("w1", "one", "1", 2), Worker("w2", "two", "1"))


def report(*rows: Outcome) -> FleetReport:
    return FleetReport("debloat 1", Verb.RUN, "fleet.toml", "dask", WORKERS, rows, 5.0)


def test_the_lines_of_a_summary() -> None:
    assert [line.plain for line in fleetterminal.lines(report(DONE, KEPT, BAD), ".debloat-fleet")] == [
        "",
        "  differs    shop/api:1: it differs",
        "             keep more",
        "             log: .debloat-fleet/items/k3/log",
        "  done       shop/web:1 -> shop/web:1-slim  90.0 MB -> 9.0 MB  -90 %  4.0 s",
        "  unchanged  shop/web:2 -> shop/web:2-slim  90.0 MB -> 9.0 MB  -90 %",
        "",
        "  3 images: 1 done, 1 unchanged, 1 differs",
        "  180 MB -> 18.0 MB  -90 %",
    ]


def test_a_pipe_gets_a_line_for_what_ends(capsys: pytest.CaptureFixture[str]) -> None:
    progress = FleetProgress()
    progress.begin(3, WORKERS)
    progress.working({"w1": ("shop/web:1",)})
    for row in (KEPT, DONE, BAD):
        progress.ended(row)
    progress.finish()
    assert capsys.readouterr().err.splitlines() == [
        "  3 images: 2 workers on 2 engines, 3 at a time",
        "  done       shop/web:1 -> shop/web:1-slim  90.0 MB -> 9.0 MB  -90 %  4.0 s",
        "  differs    shop/api:1: it differs",
    ]


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_failures_first_then_workers_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    progress = FleetProgress()
    progress.begin(30, WORKERS)
    progress.working({f"w{n:02}": ("shop/web:3",) for n in range(10)})
    for row in (KEPT, DONE, BAD):
        progress.ended(row)
    progress._live.refresh()  # type: ignore[union-attr]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue())
    progress.finish()
    order = [
        "shop/api:1: it differs",
        "w00: shop/web:3",
        "and 2 more workers",
        "3 of 30 images, 1 unchanged, 1 failed, ",
    ]
    places = [shown.rindex(text) for text in order]
    assert places == sorted(places)


def test_names_are_inert() -> None:
    rows = [replace(row, name=EVIL, target=EVIL, error=EVIL, hint=EVIL) for row in (DONE, BAD)]
    text = "\n".join(line.plain for line in fleetterminal.lines(report(*rows)))
    assert "\x1b" not in text
    assert len(text.splitlines()) == 7
