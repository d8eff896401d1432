"""One real run on a web server, as people see it: the summary, the page in a browser, the explorer.

With DEBLOAT_WRITE_DOCS=1 it writes the pictures of README.md and docs/ (`docs/img`).
"""

from __future__ import annotations

import asyncio
import io
import os
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console

from debloat import pipeline
from debloat.cli import runs
from debloat.cli.engines import Engines
from debloat.cli.explore import explored
from debloat.cli.options import Probes
from debloat.cli.page import contents_of
from debloat.cli.settings import recipe_of
from debloat.engine.docker import connect
from debloat.report import terminal
from debloat.report.html import render
from debloat.result import Outcome, Report, Sink
from debloat.store.location import Destination, image_location
from tests.integration.conftest import Builds
from tests.integration.harness import Place
from tests.support import fixtures
from tests.support.browser import browser, opened
from tests.support.progress import Recording

pytestmark = [pytest.mark.engine, pytest.mark.network, pytest.mark.slow]

IMAGES = fixtures.ROOT / "docs" / "img"
LIBRARY = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"
"""What the server of the fixture links."""

pytest.importorskip("textual")


@dataclass(frozen=True, slots=True)
class Run:
    """A run with its page, and the explorer's view of the image after it."""

    report: Report
    page: Path
    view: Any


@pytest.fixture(scope="module", params=["nginx"])
def fixture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def run(fixture: str, builds: Builds, shared: Place) -> Run:
    image, recipe = builds.image(fixture), recipe_of(Probes(config=str(fixtures.FIXTURES / fixture / "debloat.toml")))
    file, engine = shared.here / "page.html", connect()

    def named(outcome: Outcome) -> None:
        report = replace(outcome.report, reference="shop:1.4", result="shop:1.4-slim")
        file.write_text(render(report, contents_of(outcome, engine)), "utf-8")

    target = shared.images.name("pictured")
    try:
        sinks: list[Sink] = [partial(runs.remember, where=image), named]
        report = pipeline.slim(
            engine, image_location(image), recipe, Recording(), destination=Destination(target), sinks=sinks
        )
        return Run(report, file, replace(explored(Engines(lambda: engine), image, None), title="shop:1.4"))
    finally:
        engine.close()


def write(name: str, data: str | bytes) -> None:
    """A picture of the documents, where these are written anew."""
    if os.environ.get("DEBLOAT_WRITE_DOCS"):
        (IMAGES / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def self_contained(svg: str) -> str:
    """An SVG of Rich without the fonts that it would load from elsewhere."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def test_the_summary(run: Run) -> None:
    console = Console(file=io.StringIO(), record=True, width=100, highlight=False, force_terminal=True)
    console.print("$ debloat shop:1.4 --http /", style="bold")
    named = replace(run.report, reference="shop:1.4", result="shop:1.4-slim")
    for line in terminal.lines(named, 100, bar=True):
        console.print(line)
    svg = self_contained(console.export_svg(title="debloat"))
    assert "all&#160;as&#160;the&#160;original" in svg
    assert "url(http" not in svg.replace('"', "")
    write("run.svg", svg)


def test_the_page_of_a_run(run: Run) -> None:
    with browser() as chromium:
        for scheme, name in (("light", "page.png"), ("dark", "page-dark.png")):
            with opened(chromium, run.page, scheme=scheme) as page:
                page.get_by_label("part of a path").fill(LIBRARY)
                page.locator("#files-rows tbody button").click()
                chain = page.locator("#chain").inner_text()
                (evidence, *_) = run.view.closure.why(LIBRARY)
                assert f"stays by {evidence[1].rule}" in chain
                assert run.view.closure.why(LIBRARY)[-1][1].source in chain
                until = page.locator("section").nth(2).bounding_box()
                clip = {"x": 0, "y": 0, "width": 1200, "height": until["y"] + until["height"] + 24}
                picture = page.screenshot(full_page=True, clip=clip)
                kept = run.report.after.files
                page.get_by_label("part of a path").fill("")
                page.get_by_label("state").first.select_option("kept")
                shown = int(page.locator("#files-shown").inner_text().split(" of ")[0].replace(",", ""))
                assert shown >= kept
                write(name, picture)


def test_the_explorer_after_a_run(run: Run) -> None:
    from debloat.report.explorer import Explorer

    async def drive() -> tuple[str, str]:
        app = Explorer(run.view)
        async with app.run_test(size=(120, 32)) as pilot:
            await pilot.pause()
            await pilot.press("slash", *"libcrypto", "enter")
            await pilot.pause()
            await pilot.press("enter")
            await pilot.pause()
            await pilot.pause()
            panel = str(app.query_one("#detail").content)  # type: ignore[attr-defined]
            return panel, app.export_screenshot()

    panel, svg = asyncio.run(drive())
    assert panel.startswith(f"{LIBRARY}\n")
    assert "\nstays\n" in panel
    assert f"  for {run.view.closure.why(LIBRARY)[-1][1].source}" in panel
    write("explore.svg", self_contained(svg))
