"""What is written has a place of its own: said before anything is started, for every pair of options."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import pytest

from debloat.cli.apart import Named, must_differ
from debloat.core.errors import UsageError
from tests.support.cli import CommandLine

OF_A_RUN = ("--json", "--html", "--lock", "--save-trace", "--seccomp", "--output", "--attest")


@pytest.fixture
def quick(debloat: CommandLine) -> CommandLine:
    """A command line for calls that have to end before the engine starts anything."""
    assert debloat("lock", "shop:1", "-q").code == 0
    debloat.engine.calls.clear()
    return debloat


def refused(debloat: CommandLine, *argv: str) -> str:
    done = debloat(*argv)
    assert done.code == 2
    assert "create" not in debloat.engine.calls
    return done.complaint


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(OF_A_RUN, 2)))
def test_two_outputs_of_a_run_in_one_place(quick: CommandLine, one: str, other: str) -> None:
    for first, second in (("new", "new"), ("new", "./x/../new"), ("new", os.path.abspath("new"))):
        complaint = refused(quick, "shop:1", one, first, other, second)
        assert "would be written over each other" in complaint
        assert one in complaint
        assert other in complaint
    assert not Path("new").exists()


@pytest.mark.parametrize("where", ["docker-archive:new", "oci:new", "oci-archive:new", "oci:new:a"])
def test_an_image_in_the_place_of_a_report(quick: CommandLine, where: str) -> None:
    for verb in (("shop:1",), ("apply", "shop:1")):
        assert "would be written over each other" in refused(quick, *verb, "--output", where, "--json", "new")


@pytest.mark.parametrize(
    "argv",
    [
        ("shop:1", "--output", "oci:new", "--json", "new/report.json"),
        ("shop:1", "--output", "oci:new", "--attest", "new"),
        ("shop:1", "--output", "new", "--json", "new/report.json"),
        ("lock", "shop:1", "--json", "debloat.lock"),
        ("run", "shop:1", "--lock", "a", "--json", "a", "--", "true"),
        ("apply", "shop:1", "--update-lock", "--json", "debloat.lock"),
        ("check", "--format", "json=new", "--format", "sarif=new"),
        ("check", "--format", "json=new", "--format", "sarif", "--output", "new"),
        ("fleet", "run", "--json", "new", "--html", "new"),
        ("fleet", "status", "--json", "-", "--metrics", "-"),
        ("fleet", "check", "--json", "-", "--metrics", "/dev/stdout"),
        ("shop:1", "--json", "/dev/stdout", "--html", "/dev/fd/1"),
    ],
    ids=" ".join,
)
def test_other_outputs_in_one_place(quick: CommandLine, argv: tuple[str, ...]) -> None:
    assert "would be written over each other" in refused(quick, *argv)


@pytest.mark.parametrize(
    "argv",
    [
        ("shop:1", "-c", "given", "--json", "given"),
        ("shop:1", "--har", "given", "--lock", "given"),
        ("shop:1", "--openapi", "given", "--html", "given"),
        ("shop:1", "--trace", "given", "--json", "given"),
        ("shop:1", "--html", "given", "--earlier", "given"),
        ("shop:1", "--scan", "given", "--output", "given"),
        ("apply", "shop:1", "--json", "debloat.lock"),
        ("apply", "shop:1", "--output", "debloat.lock"),
        ("check", "--baseline", "given", "--format", "json=given"),
        ("check", "--format", "json", "--lock", "given", "--output", "given"),
        ("record", "shop:1", "--har", "given", "--save-trace", "given"),
        ("import", "shop:1", "given", "-o", "given"),
        ("vex", "shop:1", "--report", "given", "--output", "given"),
        ("fleet", "run", "given", "--json", "given"),
        ("fleet", "plan", "given", "--output", "given"),
        ("compose", "web", "-f", "given", "--json", "given"),
    ],
    ids=" ".join,
)
def test_what_is_read_is_not_written_over(quick: CommandLine, argv: tuple[str, ...]) -> None:
    Path("given").write_text("")
    lock = Path("debloat.lock").read_bytes()
    assert "would be written over what" in refused(quick, *argv)
    assert (Path("given").read_text(), Path("debloat.lock").read_bytes()) == ("", lock)


def test_services_of_a_stack(quick: CommandLine) -> None:
    complaint = refused(quick, "compose", "web", "db", "--json", "{service}.x", "--html", "{service}.x")
    assert "--json web.x and --html web.x would be written over each other" in complaint


@pytest.mark.parametrize("option", [option for option in OF_A_RUN if option not in ("--json", "--attest")])
def test_a_file_that_is_called_minus(quick: CommandLine, option: str) -> None:
    assert "goes to standard output" in refused(quick, "shop:1", option, "-")
    assert not Path("-").exists()


def test_what_grows_and_what_takes_anything(debloat: CommandLine, here: Path) -> None:
    """A trace with one more run, a lock after the earlier one, a directory of several things, the null device."""
    assert debloat("shop:1", "-q", "--save-trace", "a.trace", "--lock", "a.lock").code == 0
    more = ("--trace", "a.trace", "--save-trace", "a.trace", "--lock", "a.lock", "--earlier", "a.lock")
    outputs = ("--attest", "out", "--json", "out/report.json", "--html", "/dev/null", "--output", "/dev/null")
    done = debloat("shop:1", "-q", *more, *outputs)
    assert (done.code, done.err) == (0, "")
    assert (here / "out" / "report.json").stat().st_size > 0
    assert Path("/dev/null").is_char_device()


def test_links_lead_to_the_same_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "out").symlink_to("/dev/stdout")
    pairs = [("link", "file", True), ("out", "/dev/stdout", True), ("link", "other", False)]
    for one, other, meet in pairs:
        both = [Named(f"--{n}", str(tmp_path / name)) for n, name in (("a", one), ("b", other))]
        if meet:
            with pytest.raises(UsageError, match=re.escape("--a")):
                must_differ(both)
        else:
            must_differ(both)
