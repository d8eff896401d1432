"""The page in a real browser: its map, its list of every path, its chains; whatever the names, and for many of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from debloat.anatomy.inventory import Line, inventory
from debloat.anatomy.layers import Layers, LayerShare
from debloat.core.model import Closure, Entry, Evidence, Kind
from debloat.core.text import name
from debloat.image.rootfs import MemoryContents, Rootfs
from debloat.report.html import render
from debloat.report.pagedata import PageContents, Point, columns, shown
from tests.support.browser import browser, opened
from tests.support.pages import ATTRIBUTES, Reader
from tests.support.reports import EVIL, HOSTILE, PLAIN
from tests.support.trees import FakePackages, tree

pytestmark = pytest.mark.slow

TREE = tree(
    {
        "/usr/bin/tool": ("0755", "t" * 4000),
        "/usr/lib/libtool.so.1": "l" * 3000,
        "/usr/lib/spare/a": "a" * 2000,
        "/usr/lib/spare/b": "b" * 1000,
        "/srv/app/main.py": "m" * 500,
        "/bin": "-> usr/bin",
    }
)
OWNED = FakePackages({"tool": ["/usr/bin/tool", "/usr/lib/libtool.so.1"], "spare": ["/usr/lib/spare/a"]})
CLOSURE = Closure(
    {
        "/": (Evidence("parent", "/usr"),),
        "/srv": (Evidence("parent", "/srv/app"),),
        "/srv/app": (Evidence("parent", "/srv/app/main.py"),),
        "/srv/app/main.py": (Evidence("trace", "probe:start", "open by tool"),),
        "/usr": (Evidence("parent", "/usr/bin"),),
        "/usr/bin": (Evidence("parent", "/usr/bin/tool"),),
        "/usr/bin/tool": (Evidence("python.command", "/srv/app/main.py"),),
        "/usr/lib": (Evidence("parent", "/usr/lib/libtool.so.1"),),
        "/usr/lib/libtool.so.1": (Evidence("elf.needed", "/usr/bin/tool", "libtool.so.1"),),
    }
)
LAYERS = Layers(
    (LayerShare("sha256:1", "ADD rootfs", 4, 10000), LayerShare("sha256:2", "COPY app /srv/app", 1, 500)),
    of={"/usr/bin/tool": 0, "/srv/app/main.py": 1},
)
CONTENTS = PageContents(
    tuple(inventory(TREE, OWNED, CLOSURE, LAYERS)),
    LAYERS.layers,
    (Point("january.lock (shop:1)", 20_000_000, 900, 3), Point("may.lock (shop:1)", 14_000_000, 800, 2)),
)


def many(count: int) -> PageContents:
    """An image of so many files in hundreds of directories, of which a third stays."""
    entries = [Entry("/", Kind.DIR)]
    entries += [Entry(f"/d{n:03}", Kind.DIR) for n in range(300)]
    entries += [Entry(f"/d{n % 300:03}/file{n:06}", Kind.FILE, size=n % 5000) for n in range(count)]
    kept = {e.path: (Evidence("trace", "probe:start"),) for e in entries[1::3]}
    return PageContents(tuple(inventory(Rootfs(entries, MemoryContents({})), FakePackages({}), Closure(kept))))


def hostile() -> PageContents:
    """An image whose every name and reason is hostile."""
    path = "/" + EVIL.strip("/").replace("/", "|").replace("\0", "")
    entry = Entry(path, Kind.FILE, size=900)
    lines = (
        Line(Entry("/", Kind.DIR), 0, "", -1, Evidence(EVIL, path, EVIL)),
        Line(entry, 900, EVIL, 0, Evidence(EVIL, EVIL, EVIL)),
    )
    return PageContents(lines, (LayerShare(EVIL, EVIL, 1, 900),), (Point(EVIL, 1, 1, 1),))


# ------------------------------------------------------------------------------------------ without a browser


@pytest.mark.parametrize("contents", [CONTENTS, hostile()], ids=["plain", "hostile"])
def test_the_page_is_whole_and_adds_nothing_that_loads(contents: PageContents) -> None:
    page = render(HOSTILE, contents)
    assert all(char.isprintable() or char == "\n" for char in page)
    reader = Reader(page)
    assert reader.open == []
    assert len(reader.of("script")) == 2
    more = {"data-by", "aria-live", "tabindex", "checked", "height"}
    assert {key for _, attributes in reader.tags for key in attributes} <= ATTRIBUTES | more
    assert "alert(1)</script>" not in page


def test_a_report_without_contents_has_no_map() -> None:
    assert "Every path" not in render(PLAIN)


def test_columns_lead_back_to_roots() -> None:
    table = columns(CONTENTS.lines)
    names = table["name"]
    at = names.index("libtool.so.1")
    way = []
    while at >= 0:
        way.append((names[at], table["rules"][table["rule"][at]]))
        at = table["source"][at]
    assert way == [("libtool.so.1", "elf.needed"), ("tool", "python.command"), ("main.py", "trace")]
    assert table["roots"][-1 - at] == "probe:start"
    assert table["kind"][names.index("bin")] in "dl"
    assert all(names[table["parent"][n]] in ("/", *names) for n in range(len(names)))


def test_a_page_holds_a_bounded_number_of_paths() -> None:
    lines = many(2000).lines
    found = shown(lines, 1500)
    assert len(found) == 1500
    assert {line.entry.path for line in lines if line.step} <= {line.entry.path for line in found}
    sizes = [line.size for line in lines if line not in set(found)]
    assert max(sizes) <= min(line.size for line in found if line.step is None and line.entry.is_file)


# ------------------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as found:
        yield found


def written(directory: Path, contents: PageContents, report: Any = PLAIN) -> Path:
    file = directory / "page.html"
    file.write_text(render(report, contents), "utf-8")
    return file


def cells(page: Any) -> list[str]:
    return [cell.get_attribute("aria-label") for cell in page.locator("#map-areas .cell").all()]


def test_the_map_shows_what_stays_and_goes_in_and_out(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, written(tmp_path, CONTENTS)) as page:
        assert page.locator("#map-none").is_hidden()
        assert "usr: 10.0 kB, 4 files, 70 % stays" in cells(page)
        assert "lib/spare: 3.0 kB, 2 files, gone" not in cells(page)
        assert page.locator("#map-said").inner_text() == "/: 10.5 kB, 6 files, 71 % stays"
        page.locator("#map-areas .cell").first.focus()
        page.keyboard.press("Enter")
        assert [b.inner_text() for b in page.locator("#map-way button").all()] == ["/", "usr"]
        assert "spare: 3.0 kB, 2 files, gone" in cells(page)
        assert page.locator("#files-shown").inner_text() == "8 of 13"
        first = page.evaluate("document.activeElement.getAttribute('aria-label')")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") != first
        page.keyboard.press("Backspace")
        assert [b.inner_text() for b in page.locator("#map-way button").all()] == ["/"]
        page.get_by_label("by package").check()
        assert "spare: 2.0 kB, 1 file, gone" in [c.replace("spare/usr/lib/spare", "spare") for c in cells(page)]
        assert sum(c.startswith("no package") for c in cells(page)) == 1


def test_a_path_says_for_what_it_stays(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, written(tmp_path, CONTENTS), scheme="dark") as page:
        page.get_by_label("part of a path").fill("LIBTOOL")
        assert page.locator("#files-shown").inner_text() == "1 of 13"
        page.locator("#files-rows tbody button").first.click()
        steps = [step.inner_text() for step in page.locator("#chain li").all()]
        assert steps == [
            "this stays by elf.needed (libtool.so.1), for",
            "/usr/bin/tool stays by python.command, for",
            "/srv/app/main.py stays by trace (open by tool), for",
            "probe:start",
        ]
        page.locator("#chain button", has_text="/usr/bin/tool").click()
        assert page.locator("#chain h3").inner_text() == "/usr/bin/tool"
        assert "layer 1" in page.locator("#chain p").inner_text()
        page.get_by_label("part of a path").fill("spare/b")
        page.locator("#files-rows tbody button").first.click()
        assert "Gone" in page.locator("#chain").inner_text()


def test_paths_are_filtered_and_sorted(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, written(tmp_path, CONTENTS)) as page:
        rows = page.locator("#files-rows tbody button")
        page.locator("#files-state").select_option("gone")
        assert [row.inner_text() for row in rows.all()] == [
            *("/bin", "/usr/lib/spare", "/usr/lib/spare/a", "/usr/lib/spare/b"),
        ]
        page.locator("#files-state").select_option("")
        page.locator("#files-rows th button", has_text="size").click()
        assert rows.first.inner_text() == "/usr/bin/tool"
        assert page.locator("#files-rows th[data-by=size]").get_attribute("aria-sort") == "descending"


def test_of_many_paths_only_those_in_sight_are_drawn(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, written(tmp_path, many(30_000))) as page:
        rows = page.locator("#files-rows tbody button")
        assert page.locator("#files-shown").inner_text() == "30,301 of 30,301"
        assert 10 < rows.count() < 60
        page.locator("#files-rows").evaluate("box => { box.scrollTop = box.scrollHeight; }")
        page.locator("#files-rows tbody button", has_text="/d299/file029999").wait_for()
        assert rows.count() < 60
        page.get_by_label("part of a path").fill("file0123")
        assert page.locator("#files-shown").inner_text() == "100 of 30,301"
        assert page.locator("#map-areas .cell").count() < 2000


def test_hostile_names_stay_text(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, written(tmp_path, hostile(), HOSTILE)) as page:
        page.evaluate("() => { window.alert = () => console.error('alert'); }")
        for choice in ("by package", "by directory"):
            page.get_by_label(choice).check()
        page.locator("#files-rows tbody button").nth(1).click()
        assert page.locator("script").count() == 2
        assert page.locator("#chain code").inner_text() == name(EVIL)
        assert page.locator("#chain b, #chain i, #chain script, #map-areas script").count() == 0


def test_what_the_pages_tables_say(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, written(tmp_path, replace(CONTENTS, earlier=CONTENTS.earlier))) as page:
        over_time = page.locator("section", has_text="Over time").locator("tbody tr").all()
        assert [" ".join(row.inner_text().split()) for row in over_time] == [
            "january.lock (shop:1) 20.0 MB 900 3",
            "may.lock (shop:1) 14.0 MB -30 % 800 2",
            "this run 11.7 MB -16 % 747 2",
        ]
        layers = page.locator("section", has_text="Layers of the original").locator("tbody tr").all()
        assert [" ".join(row.inner_text().split()) for row in layers] == [
            "1 10.0 kB 4 0 B 4.0 kB ADD rootfs",
            "2 500 B 1 0 B 500 B COPY app /srv/app",
        ]


def test_the_page_fits_a_narrow_screen(chromium: Any, tmp_path: Path) -> None:
    with opened(chromium, written(tmp_path, CONTENTS), width=360) as page:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
