"""The explorer, driven by Textual's own pilot: what is shown, what keys do, whatever the names."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from debloat.anatomy.explored import Explored
from debloat.anatomy.layers import Buried, Layers, LayerShare
from debloat.core.model import Closure, Entry, Evidence, Kind
from debloat.core.text import name
from debloat.image.rootfs import MemoryContents, Rootfs
from tests.report.test_page import CLOSURE, LAYERS, OWNED, TREE
from tests.support.reports import EVIL
from tests.support.trees import FakePackages, tree

pytest.importorskip("textual")

from textual.widgets import OptionList, Static, Tree

from debloat.report.explorer import MOST, Explorer, Item

PLAIN = Explored("shop:1", TREE, OWNED, replace(LAYERS, buried=(Buried("/srv/secret", 30, 0, 1),)))
COMPARED = replace(PLAIN, title="shop:1 against shop:1-slim", kept=CLOSURE.evidence.keys(), closure=CLOSURE)


def drive(image: Explored, steps: Callable[[Explorer, Any], Awaitable[None]]) -> None:
    """Run the explorer without a terminal, and do something with it."""

    async def run() -> None:
        app = Explorer(image)
        async with app.run_test(size=(140, 40)) as pilot:
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(run())


def labels(app: Explorer, key: str = "paths") -> list[str]:
    """The first level of a tree."""
    return [str(node.label) for node in app.query_one(f"#{key}-tree", Tree).root.children]


def panel(app: Explorer) -> str:
    return str(app.query_one("#detail", Static).content)


def test_an_image_by_path_package_and_layer() -> None:
    async def steps(app: Explorer, pilot: Any) -> None:
        assert app.sub_title == "shop:1"
        assert labels(app) == ["usr  10.0 kB", "srv  500 B", "bin -> usr/bin"]
        assert panel(app).startswith("/\ndir, mode 0755, owner 0:0\n10.5 kB in 6 files")
        await pilot.press("2")
        assert labels(app, "packages") == [
            *("tool  7.0 kB, 2 files", "spare  2.0 kB, 1 file"),
            *(
                "no package: /usr/lib/spare  1.0 kB, 1 file",
                "no package: /srv  500 B, 1 file",
                "no package: /  0 B, 1 file",
            ),
        ]
        await pilot.press("down", "enter")
        await pilot.pause()
        assert panel(app).startswith("tool\nversion 1, source tool\n7.0 kB in 2 files")
        node = app.query_one("#packages-tree", Tree).root.children[0]
        assert [str(child.label) for child in node.children] == [
            "/usr/bin/tool  4.0 kB",
            "/usr/lib/libtool.so.1  3.0 kB",
        ]
        await pilot.press("3")
        assert labels(app, "layers") == ["1  10.0 kB  ADD rootfs", "2  500 B  COPY app /srv/app"]
        await pilot.press("down", "enter")
        await pilot.pause()
        first = app.query_one("#layers-tree", Tree).root.children[0]
        assert [str(child.label) for child in first.children] == ["/usr/bin/tool  4.0 kB", "/srv/secret  30 B"]

    drive(PLAIN, steps)


def test_what_stays_and_why() -> None:
    async def steps(app: Explorer, pilot: Any) -> None:
        assert labels(app) == ["◐ usr  10.0 kB, 70 % stays", "● srv  500 B, 100 % stays", "○ bin -> usr/bin"]
        assert app.query_one("#detail", Static).content is not None
        told = "\n".join(map(str, app.detail(Item("file", "/usr/lib/libtool.so.1"))))
        assert told.endswith(
            "stays\n    by elf.needed: libtool.so.1\n  /usr/bin/tool\n    by python.command\n"
            "  /srv/app/main.py\n    by trace: open by tool\n  for probe:start"
        )
        gone = "\n".join(map(str, app.detail(Item("file", "/usr/lib/spare/a"))))
        assert "gone: no probe touched it" in gone
        assert "package spare" in gone

    drive(COMPARED, steps)


def test_keys_sort_and_filter() -> None:
    async def steps(app: Explorer, pilot: Any) -> None:
        await pilot.press("s")
        assert [label.split()[1] for label in labels(app)] == ["bin", "srv", "usr"]
        await pilot.press("k")
        assert [label.split()[1] for label in labels(app)] == ["srv", "usr"]
        await pilot.press("k")
        assert [label.split()[1] for label in labels(app)] == ["bin", "usr"]
        shown = {binding.key for _, binding, *_ in app.active_bindings.values() if binding.show}
        assert shown >= {"q", "slash", "s", "k", "1", "2", "3"}

    drive(COMPARED, steps)


def test_a_search_leads_to_the_path() -> None:
    async def steps(app: Explorer, pilot: Any) -> None:
        await pilot.press("slash", *"LIB/SPARE", "enter")
        await pilot.pause()
        assert app.query_one("#found", OptionList).option_count == 3
        await pilot.press("down", "enter")
        await pilot.pause()
        cursor = app.query_one("#paths-tree", Tree).cursor_node
        assert cursor is not None
        assert cursor.data == Item("file", "/usr/lib/spare/a")
        assert panel(app).startswith("/usr/lib/spare/a\n")
        await pilot.press("slash", *"nowhere", "enter")
        assert app.query_one("#found", OptionList).option_count == 0
        await pilot.press("escape")
        assert not app.query_one("#search").display

    drive(COMPARED, steps)


def test_hostile_names_stay_text() -> None:
    path = "/" + EVIL.strip("/").replace("/", "|").replace("\0", "")
    image = Explored(
        EVIL,
        tree({path: "x" * 50, "/d/link": f"-> {path}"}),
        FakePackages({EVIL: [path]}),
        Layers((LayerShare(EVIL, EVIL, 1, 9),), (Buried(path, 1, 0, 0),), {path: 0}),
        kept={path},
        closure=Closure({path: (Evidence(EVIL, EVIL, EVIL),)}),
        note=EVIL,
    )

    async def steps(app: Explorer, pilot: Any) -> None:
        assert name(path.strip("/")) in " ".join(labels(app))
        for key in "123":
            await pilot.press(key, "down", "enter")
            await pilot.pause()
            assert all(char.isprintable() or char == "\n" for char in panel(app))
        await pilot.press("slash", *"srv", "enter")
        await pilot.pause()
        texts = [str(line) for line in app.detail(Item("file", path))]
        assert all(text.isprintable() for text in texts)
        for key in ("paths", "packages", "layers"):
            assert all(label.isprintable() for label in labels(app, key))

    drive(image, steps)


def test_a_directory_of_very_many_names_shows_the_first_and_says_so() -> None:
    entries = [Entry("/", Kind.DIR), Entry("/d", Kind.DIR)]
    entries += [Entry(f"/d/{number:06}", Kind.FILE, size=1) for number in range(MOST + 7)]
    image = Explored("many:1", Rootfs(entries, MemoryContents({})), FakePackages({}))

    async def steps(app: Explorer, pilot: Any) -> None:
        tree = app.query_one("#paths-tree", Tree)
        assert not tree.root.children[0].children, "nothing is made before it is opened"
        await pilot.press("down", "enter")
        await pilot.pause()
        found = tree.root.children[0].children
        assert len(found) == MOST + 1
        assert str(found[-1].label) == "... and 7 more"

    drive(image, steps)
