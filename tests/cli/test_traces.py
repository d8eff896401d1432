"""`debloat record` and `debloat combine`: traces as files; `debloat why`: what they came to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from debloat.record import trace
from tests.support.cli import CommandLine


def used(path: Path) -> set[str]:
    return {access.path for access in trace.parse(path.read_bytes(), path.name).accesses}


def test_record_saves_what_was_touched(debloat: CommandLine, here: Path) -> None:
    done = debloat("record", "shop:1", "--save-trace", "./one.trace", "-q")
    assert (done.code, done.out, done.err) == (0, "./one.trace\n", "")
    assert used(here / "one.trace") >= {"/usr/share/shop/catalogue", "/usr/lib/libshop.so.1.0"}
    assert set(debloat.engine.names) == {"shop:1", "shop:2"}
    assert "load" not in debloat.engine.calls


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("record", "shop:1"), "Missing option '--save-trace'"),
        (("record", "nowhere:1", "--save-trace", "t"), "cannot find the image nowhere:1"),
        (("record", "shop:1", "--save-trace", "/proc/none/t"), "cannot write /proc/none/t"),
        (("record", "shop:1", "--save-trace", "t", "--args", "'"), "args: cannot split"),
        (("combine", "-o", "t"), "Missing argument 'TRACE...'"),
        (("combine", "none.trace", "-o", "t"), "cannot read the trace none.trace"),
        (("import", "shop:1", "-o", "t"), "Missing argument 'FILE...'"),
        (("import", "shop:1", "none.log", "-o", "t"), "cannot import none.log: No such file"),
        (("import", "shop:1", "/dev/null", "-o", "t"), "cannot import /dev/null: it is none of the formats"),
        (("pod", "shop:1", "--name", "Shop"), "--name 'Shop' is not a name for a pod"),
        (("pod", "shop:1", "--args", "'"), "--args: cannot split"),
        (("pod", "nowhere:1"), "cannot find the image nowhere:1"),
        (("why", "shop:1"), "Missing argument 'PATH'"),
        (("why", "shop:1", "/usr/bin/shop"), "nothing is remembered of a run on shop:1"),
        (("why", "nowhere:1", "/x"), "cannot find the image nowhere:1"),
        (("why", "shop:1", "/x", "--trace", "none.trace"), "cannot read the trace none.trace"),
    ],
)
def test_bad_input_ends_with_2(debloat: CommandLine, here: Path, argv: tuple[str, ...], says: str) -> None:
    done = debloat(*argv)
    assert done.code == 2
    assert says in done.complaint
    assert list(here.iterdir()) == []


def test_combine_unites(debloat: CommandLine, here: Path) -> None:
    for number in "12":
        assert debloat("record", f"shop:{number}", "-q", "--save-trace", f"{number}.trace").code == 0
    connected = debloat.connected
    done = debloat("combine", "1.trace", "2.trace", "-o", "both.trace")
    assert (done.code, done.out, done.err) == (0, "both.trace\n", "")
    assert debloat.connected == connected
    assert used(here / "both.trace") == used(here / "1.trace") | used(here / "2.trace")
    assert debloat("combine", "2.trace", "1.trace", "both.trace", "-o", "again.trace").code == 0
    assert (here / "again.trace").read_bytes() == (here / "both.trace").read_bytes()


def test_combine_of_a_damaged_trace(debloat: CommandLine, here: Path) -> None:
    (here / "bad.trace").write_text("nonsense")
    done = debloat("combine", "bad.trace", "-o", "out.trace")
    assert done.code == 2
    assert "bad.trace" in done.complaint
    assert not (here / "out.trace").exists()


# ------------------------------------------------------------------------------------------ traces of other tools

STRACE = """\
7 execve("/usr/bin/spare", ["spare"], 0x1 /* 2 vars */) = 0
7 openat(AT_FDCWD, "/usr/share", O_RDONLY|O_PATH) = 3
7 openat(3, "shop/catalogue", O_RDONLY) = 4
"""


def test_what_strace_saw_is_kept(debloat: CommandLine, here: Path) -> None:
    (here / "soak.log").write_text(STRACE)
    done = debloat("import", "shop:1", "soak.log", "-o", "soak.trace")
    assert (done.code, done.out) == (0, "soak.trace\n")
    assert "note: 3 of 3 paths are in shop:1" in done.err
    assert used(here / "soak.trace") == {"/usr/bin/spare", "/usr/share", "/usr/share/shop/catalogue"}
    assert debloat("shop:1", "-q", "--level", "exact", "--trace", "soak.trace").code == 0
    assert "because of probe:strace soak.log" in debloat("why", "shop:1", "/usr/bin/spare").out


def test_what_another_tool_wrote_is_no_trace_yet(debloat: CommandLine, here: Path) -> None:
    (here / "soak.log").write_text(STRACE)
    for argv in (("shop:1", "--trace", "soak.log"), ("combine", "soak.log", "-o", "t")):
        done = debloat(*argv)
        assert done.code == 2
        assert "cannot use the trace soak.log: strace wrote it" in done.complaint
        assert "debloat import IMAGE soak.log -o FILE" in done.complaint


def test_what_is_of_another_image_is_refused(debloat: CommandLine, here: Path) -> None:
    event = {"runtime": {"containerImageName": "shop:2"}, "fname": "/usr/bin/spare", "proc": {"comm": "shop"}}
    (here / "node.json").write_text(json.dumps(event))
    done = debloat("import", "shop:1", "node.json", "-o", "t")
    assert done.code == 2
    assert "cannot import for shop:1: what was recorded is of shop:2" in done.complaint
    assert not (here / "t").exists()
    assert debloat("import", "shop:1", "node.json", "-o", "t", "--any-image", "-q").code == 0
    assert used(here / "t") == {"/usr/bin/spare"}


# ------------------------------------------------------------------------------------------ why


@pytest.fixture
def told(debloat: CommandLine) -> CommandLine:
    """A command line after a run."""
    assert debloat("shop:1", "-q", "--level", "exact").code == 0
    return debloat


@pytest.mark.parametrize("image", ["shop:1", "shop:1-slim"])
def test_why_a_path_is_kept(told: CommandLine, image: str) -> None:
    done = told("why", image, "/usr/share/shop/catalogue")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("kept: /usr/share/shop/catalogue (shop)\n  trace")
    assert "because of probe:" in done.out


def test_why_a_path_is_gone(told: CommandLine) -> None:
    done = told("why", "shop:1", "usr/bin/spare")
    assert done.code == 0
    assert done.out.startswith("removed: /usr/bin/spare (spare)\n")
    assert "of spare, 0 of 2 files stay" in done.out
    assert "to keep it: --keep '/usr/bin/spare'" in done.out


@pytest.mark.parametrize("more", [("--keep", "/usr/bin/spare"), ("--keep-package", "spare")])
def test_why_under_another_policy(told: CommandLine, more: tuple[str, str]) -> None:
    done = told("why", "shop:1", "/usr/bin/spare", *more)
    assert done.out.startswith("kept: /usr/bin/spare (spare)\n")
    assert told("why", "shop:1", "/usr/bin/shop", "--level", "package").out.startswith("kept: ")


def test_why_of_a_path_that_is_not_there(told: CommandLine) -> None:
    done = told("why", "shop:1", "/no/such/file")
    assert done.code == 2
    assert "the image has no '/no/such/file'" in done.complaint
    assert "its path ends at '/no'" in done.complaint
    moved = told("why", "shop:1", "shop")
    assert "hint: did you mean /usr/bin/shop?" in moved.complaint


def test_why_by_a_trace(debloat: CommandLine) -> None:
    assert debloat("record", "shop:1", "-q", "--save-trace", "one.trace").code == 0
    done = debloat("why", "shop:1", "/usr/share/shop/catalogue", "--trace", "one.trace", "--level", "exact")
    assert done.out.startswith("kept: ")
    gone = debloat("why", "shop:1", "/usr/bin/dash", "--trace", "one.trace", "--level", "exact")
    assert gone.out.startswith("removed: ")
