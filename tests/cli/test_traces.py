"""`debloat record` and `debloat combine`: traces as files; `debloat why`: what they came to."""

from __future__ import annotations

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


def test_why_by_a_trace(debloat: CommandLine) -> None:
    assert debloat("record", "shop:1", "-q", "--save-trace", "one.trace").code == 0
    done = debloat("why", "shop:1", "/usr/share/shop/catalogue", "--trace", "one.trace", "--level", "exact")
    assert done.out.startswith("kept: ")
    gone = debloat("why", "shop:1", "/usr/bin/dash", "--trace", "one.trace", "--level", "exact")
    assert gone.out.startswith("removed: ")
