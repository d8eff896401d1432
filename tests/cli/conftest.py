"""Every verb, from its words to its exit code, over the fake engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from debloat import sensor
from tests.support.cli import CommandLine, shop
from tests.support.engine import FakeEngine


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No sensor, no configuration, no state and no scratch directory but the test's own."""
    (tmp_path / "here").mkdir()
    (tmp_path / "scratch").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    monkeypatch.setattr(sensor, "binary", lambda architecture: b"sensor")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory."""
    return tmp_path / "here"


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[FakeEngine], CommandLine]:
    """Makes a command line on an engine."""
    return lambda engine: CommandLine(capsys, engine)


@pytest.fixture
def debloat(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line on the engine that has the shop."""
    return CommandLine(capsys, shop())
