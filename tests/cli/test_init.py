"""`debloat init`: the file is written once, is what a run then reads, and nothing that was there is lost."""

from __future__ import annotations

from pathlib import Path

from debloat.core import config
from debloat.core.recipe import Settings
from tests.support.cli import CommandLine


def test_it_is_what_a_run_reads(debloat: CommandLine, here: Path) -> None:
    done = debloat("init", "shop:1")
    assert (done.code, done.out, done.err) == (0, "debloat.toml\n", "")
    assert config.read(here / "debloat.toml") == Settings()
    assert "ENTRYPOINT   /usr/bin/shop" in (here / "debloat.toml").read_text()
    assert debloat("-q", "shop:1").out == "shop:1-slim\n"


def test_without_an_image_no_engine_is_asked(debloat: CommandLine, here: Path) -> None:
    assert debloat("init", "-o", "-").out.startswith("#:schema ")
    assert not debloat.connected
    assert not list(here.iterdir())


def test_nothing_is_overwritten_unless_it_is_asked_for(debloat: CommandLine, here: Path) -> None:
    (here / "debloat.toml").write_text("ready = 5\n")
    done = debloat("init", "shop:1")
    assert done.code == 2
    assert "cannot write debloat.toml: it is there already" in done.complaint
    assert "--force" in done.complaint
    assert not debloat.connected
    assert (here / "debloat.toml").read_text() == "ready = 5\n"
    assert debloat("init", "shop:1", "--force").code == 0
    assert config.read(here / "debloat.toml") == Settings()


def test_settings_of_a_pyproject_are_not_hidden(debloat: CommandLine, here: Path) -> None:
    (here / "pyproject.toml").write_text("[tool.debloat]\nready = 5\n")
    assert "it would be read in place of pyproject.toml" in debloat("init").complaint
    assert debloat("init", "-o", "other.toml").code == 0


def test_places_that_cannot_be_written_and_images_that_are_not_there(debloat: CommandLine, here: Path) -> None:
    assert debloat("init", "-o", "/proc/none/x").code == 2
    assert not debloat.connected
    done = debloat("init", "nowhere:1")
    assert (done.code, list(here.iterdir())) == (2, [])
    assert "cannot find the image nowhere:1" in done.complaint
