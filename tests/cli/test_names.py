"""What a result cannot be called is said before anything is started, by whichever verb and option it is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.cli import CONFIG, SHOP_1, CommandLine, shop
from tests.support.engine import FakeEngine
from tests.support.trees import tree

Lines = Callable[[FakeEngine], CommandLine]

LONG = "a" * 129
LONGEST = "a" * (255 - len("docker.io/library/"))


@pytest.fixture
def locked(debloat: CommandLine) -> CommandLine:
    assert debloat("lock", "shop:1", "-q").code == 0
    Path("notes").write_text("")
    debloat.engine.calls.clear()
    return debloat


@pytest.mark.parametrize("name", ["Shop", f"shop:{LONG}", f"{LONG}{LONG}:1", "shop:1:2", "shop@sha256:" + "0" * 64])
@pytest.mark.parametrize(
    "argv",
    [
        ("shop:1", "-t"),
        ("shop:1", "--canary"),
        ("lock", "shop:1", "-t"),
        ("run", "shop:1", "-t", "?", "--", "true"),
        ("apply", "shop:1", "-t"),
        ("apply", "shop:1", "--canary"),
        ("apply", "shop:1", "--dry-run", "-t"),
        ("apply", "shop:1", "--dry-run", "--canary"),
        ("heal", "notes", "-t"),
        ("heal", "notes", "--canary"),
        ("shop:1", "--output", "docker-daemon:?"),
        ("shop:1", "--output", "docker-archive:image.tar:?"),
        ("shop:1", "--output", "docker://registry.example/?"),
        ("shop:1", "--output", "containers-storage:?"),
    ],
)
def test_a_name_that_no_image_can_have(locked: CommandLine, argv: tuple[str, ...], name: str) -> None:
    words = [word.replace("?", name) for word in argv]
    before = dict(locked.engine.names)
    done = locked(*words, *(() if "?" in "".join(argv) else (name,)))
    assert done.code == 2
    assert "is not an image" in done.complaint
    assert "hint: write NAME:TAG" in done.complaint
    assert (locked.engine.names, "create" in locked.engine.calls) == (before, False)


def test_the_longest_name_that_an_image_can_have(debloat: CommandLine) -> None:
    name = f"{LONGEST}:{LONG[1:]}"
    assert debloat("shop:1", "-q", "-t", name).out == f"{name}\n"


@pytest.mark.parametrize("argv", [(), ("--dry-run",), ("--output", "image.tar")])
def test_a_usual_name_that_is_too_long(lines: Lines, argv: tuple[str, ...]) -> None:
    reference = f"shop:{LONG[:124]}"
    debloat = lines(shop(more={reference: (tree(SHOP_1), CONFIG)}))
    done = debloat(reference, *argv)
    assert done.code == 2
    assert f"cannot name the result {reference}-slim: no image can be called so" in done.complaint
    assert "choose with -t" in done.complaint
    assert "create" not in debloat.engine.calls
    assert debloat(reference, "-q", "-t", "shop:short").code == 0
