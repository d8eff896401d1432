"""Whether a run is under way is told from its id alone, and `gc` takes what is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from debloat.cli.engines import Engines
from debloat.cli.main import cli
from debloat.engine import run_id as owner
from debloat.engine.base import ContainerSpec
from debloat.engine.run_id import Life, life, new_run
from debloat.engine.workspace import Workspace
from tests.support.engine import Behaviour, FakeEngine
from tests.support.trees import tree


def of_a_dead_process() -> str:
    code = "from debloat.engine.run_id import new_run; print(new_run())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def elsewhere(seconds: int) -> str:
    return f"00000000-{os.getpid()}-1-{int(time.time()) - seconds}-abcdef"


def test_a_run_of_this_process_lives() -> None:
    assert life(new_run()) is Life.ALIVE
    assert new_run() != new_run()


def test_a_run_whose_process_has_ended_is_dead() -> None:
    assert life(of_a_dead_process()) is Life.DEAD


def test_a_run_whose_process_was_killed_and_waits_to_be_reaped_is_dead() -> None:
    code = "import sys, debloat.engine.run_id; print(debloat.engine.run_id.new_run(), flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        run = process.stdout.readline().decode().strip()
        assert life(run) is Life.ALIVE
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert life(run) is Life.DEAD


def test_a_number_that_another_process_has_now_is_dead() -> None:
    place, pid, start, rest = new_run().split("-", 3)
    assert life(f"{place}-{pid}-{int(start) + 1}-{rest}") is Life.DEAD


def test_a_run_elsewhere_is_dead_after_a_day() -> None:
    assert life(elsewhere(60)) is Life.UNKNOWN
    assert life(elsewhere(owner.STALE + 60)) is Life.DEAD


@pytest.mark.parametrize("run", ["", "4f6a", "0a1b2c3d4e5f", "x-1-2-3-abcdef", "00000000-9999999999999-1-1-abcdef"])
def test_of_what_is_no_id_nothing_is_known(run: str) -> None:
    assert life(run) is Life.UNKNOWN


def test_an_id_is_a_tag() -> None:
    assert len(new_run()) <= 128
    assert set(new_run()) <= set("0123456789abcdef-")


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    engine = FakeEngine({"a:1": (tree({"/x": ""}), {})}, lambda rootfs, argv: Behaviour())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return engine


def test_gc_spares_a_run_at_work(engine: FakeEngine, tmp_path: Path) -> None:
    with Workspace(engine) as workspace:
        mine = workspace.create(ContainerSpec("a:1", workspace.run))
        dead = engine.create(ContainerSpec("a:1", of_a_dead_process()))
        away = engine.create(ContainerSpec("a:1", elsewhere(60)))
        assert workspace.directory.is_dir()
        left = tmp_path / f"debloat-{of_a_dead_process()}-word"
        left.mkdir()
        (tmp_path / "debloat-of-mine").mkdir()
        listed = CliRunner().invoke(cli, ["gc", "--dry-run"], obj=Engines(lambda: engine))
        assert listed.exit_code == 0
        assert set(engine.containers) == {mine, dead, away}
        done = CliRunner().invoke(cli, ["gc"], obj=Engines(lambda: engine))
        assert listed.stdout == done.stdout
        assert set(engine.containers) == {mine, away}
        assert not left.exists()
        assert workspace.directory.is_dir()
        assert (tmp_path / "debloat-of-mine").is_dir()
        assert "2 leftovers removed" in done.stderr
        assert "2 things under way: not touched" in done.stderr
        CliRunner().invoke(cli, ["gc", "--all"], obj=Engines(lambda: engine))
        assert set(engine.containers) == {mine}
