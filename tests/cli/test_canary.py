"""`--canary` and `debloat heal`: from a cut path that was looked up to an image that has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from debloat import canary
from debloat.image.rootfs import Rootfs
from tests.support.cli import CommandLine, sells, shop
from tests.support.engine import Behaviour, FakeEngine

Lines = Callable[[FakeEngine], CommandLine]
SPARE = "/usr/bin/spare"


@pytest.fixture
def locked(debloat: CommandLine, here: Path) -> CommandLine:
    """A command line after `debloat lock shop:1 --canary shop:canary`."""
    (here / "debloat.toml").write_text('level = "exact"\n')
    done = debloat("lock", "shop:1", "--canary", "shop:canary")
    assert (done.code, done.out) == (0, "shop:1-slim\n")
    assert "shop:canary watches " in done.err
    return debloat


def rootfs(line: CommandLine, reference: str) -> Rootfs:
    return line.engine.images[line.engine.names[reference]][0]


def noted(line: CommandLine, path: str, reference: str = "shop:canary") -> bytes:
    """The note on a path, as the canary's list has it."""
    head, *paths = rootfs(line, reference).read(f"{canary.HOME}/list").decode().splitlines()
    return f"{head}{next(p for p in paths if json.loads(p) == path)}}}\n".encode()


def test_what_a_canary_noted_is_added(locked: CommandLine, here: Path) -> None:
    """To the lock, with evidence of its own, and to the image; a second time there is nothing to add."""
    assert SPARE not in rootfs(locked, "shop:1-slim")
    assert rootfs(locked, "shop:canary").get(SPARE).is_symlink  # type: ignore[union-attr]
    (here / "canary.jsonl").write_bytes(noted(locked, SPARE))
    done = locked("heal", "canary.jsonl", "--canary", "shop:canary")
    assert (done.code, done.out) == (0, "shop:1-slim\n")
    assert "adding 1 path" in done.err
    assert rootfs(locked, "shop:1-slim").get(SPARE).mode == 0o4755  # type: ignore[union-attr]
    assert not rootfs(locked, "shop:canary").get(SPARE).is_symlink  # type: ignore[union-attr]
    lock = (here / "debloat.lock").read_text()
    assert f"[healed]\n{SPARE}\tcanary\tcanary:canary.jsonl\t" in lock
    assert locked("check", "shop:1").code == 0
    again = locked("heal", "canary.jsonl")
    assert (again.code, again.out) == (0, "shop:1-slim\n")
    assert "nothing to add" in again.err
    assert (here / "debloat.lock").read_text() == lock


def test_the_next_build_keeps_it(locked: CommandLine, here: Path) -> None:
    (here / "log").write_bytes(b"started\n" + noted(locked, SPARE))
    done = locked("heal", "log", "--image", "shop:2", "-t", "shop:new", "--verify")
    assert (done.code, done.out) == (0, "shop:new\n")
    assert SPARE in rootfs(locked, "shop:new")
    assert locked("apply", "shop:2", "--canary", "shop:canary2", "-q").code == 0
    assert SPARE in rootfs(locked, "shop:2-slim")
    assert rootfs(locked, "shop:canary2").get(f"{canary.HOME}/sensor") is not None


def test_notes_on_another_image(locked: CommandLine, here: Path) -> None:
    (here / "notes").write_bytes(noted(locked, SPARE).replace(b"sha256:", b"sha256:0"))
    done = locked("heal", "notes")
    assert done.code == 2
    assert "the notes are on another image" in done.complaint
    assert locked("heal", "notes", "--any-image", "-q").code == 0
    assert SPARE in rootfs(locked, "shop:1-slim")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("heal",), "Missing argument 'NOTES..."),
        (("heal", "none"), "cannot read the notes none"),
        (("heal", "debloat.toml", "--lock", "none.lock"), "cannot read the lock none.lock"),
        (("shop:1", "--canary", "UPPER"), "--canary 'UPPER' is not an image name"),
        (("apply", "shop:1", "--canary", "a:b:c"), "--canary 'a:b:c' is not an image name"),
        (("shop:1", "--trace", "list.json"), "cannot use the trace list.json: it is not a debloat trace"),
    ],
)
def test_bad_input_ends_with_2(locked: CommandLine, argv: tuple[str, ...], says: str) -> None:
    Path("list.json").write_text("[]\n")
    done = locked(*argv)
    assert done.code == 2
    assert says in done.complaint


def test_what_cannot_be_written_is_found_before_anything_is_named(locked: CommandLine) -> None:
    before = dict(locked.engine.names)
    done = locked("apply", "shop:1", "-t", "shop:new", "--json", "/proc/none/x")
    assert done.code == 2
    assert "cannot write /proc/none/x" in done.complaint
    assert locked.engine.names == before


@pytest.mark.parametrize("argv", [("shop:1",), ("apply", "shop:1"), ("shop:1", "--dry-run")])
@pytest.mark.parametrize(
    ("name", "whose"), [("shop:1", "original"), ("docker.io/library/shop:1-slim", "minimal image")]
)
def test_a_canary_takes_no_name_of_others(locked: CommandLine, argv: tuple[str, ...], name: str, whose: str) -> None:
    """Neither the original's nor the minimal image's; nothing has been started or named by then."""
    before = dict(locked.engine.names)
    done = locked(*argv, "--canary", name)
    assert done.code == 2
    assert f"cannot name the canary {name}: that is the {whose}'s name" in done.complaint
    assert "shop:1-slim-canary" in done.complaint
    assert locked.engine.names == before


def test_a_canary_that_answers_differently_is_not_made(lines: Lines) -> None:
    """The minimal image stands, with all that was to be written of it: a program that is confused by links that lead
    nowhere has nothing to do with it."""

    def confused(seen: Rootfs, argv: tuple[str, ...]) -> Behaviour:
        entry = seen.get("/usr/bin/dash")
        return Behaviour((), b"what is that?") if entry is not None and entry.is_symlink else sells(seen, argv)

    line = lines(shop(confused))
    for argv in (("lock", "shop:1", "--level", "exact"), ("apply", "shop:1", "--verify", "-t", "shop:again")):
        done = line(*argv, "--canary", "shop:canary", "--json", "report.json")
        assert (done.code, done.out) == (5, "")
        assert "the canary shop:canary does not answer as the original does" in done.complaint
        assert "shop:canary" not in line.engine.names
        assert Path("debloat.lock").exists()
        result = json.loads(Path("report.json").read_bytes())["result"]
        assert result in line.engine.names
        Path("report.json").unlink()


def test_a_report_tells_of_it(debloat: CommandLine) -> None:
    assert debloat("shop:1", "--canary", "shop:canary", "--json", "report.json").code == 0
    report = json.loads(Path("report.json").read_bytes())
    watched = len(rootfs(debloat, "shop:canary").read(f"{canary.HOME}/list").splitlines()) - 1
    assert report["canary"] == {"tag": "shop:canary", "watched": watched, "differences": {}}
    assert report["stages"][-1]["name"] == "canary"


def test_a_plan_names_it(locked: CommandLine) -> None:
    for argv in (("shop:1",), ("apply", "shop:1")):
        planned = locked(*argv, "--canary", "shop:bird", "--dry-run", "--json", "-").json
        assert {"what": "canary", "where": "shop:bird"}.items() <= planned["outputs"][1].items()
    assert "shop:bird" not in locked.engine.names
