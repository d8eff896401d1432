"""A tool that is killed: what it leaves is found and removed, and its mounts were nobody else's."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from debloat.cli.main import main
from debloat.embedded.engine import connect
from debloat.embedded.place import VARIABLE

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

IMAGE = "debian:bookworm-slim"
PROGRAM = f"""
import subprocess, sys, time
from debloat.embedded.engine import connect
from debloat.engine.base import ContainerSpec
from debloat.engine.run_id import new_run

engine, run = connect(), new_run()
saved = subprocess.Popen(["docker", "save", "{IMAGE}"], stdout=subprocess.PIPE)
engine.load(iter(lambda: saved.stdout.read(1 << 20), b""), "{IMAGE}")
engine.tag("{IMAGE}", f"debloat-pending:{{run}}")
container = engine.create(ContainerSpec("{IMAGE}", run, entrypoint=("sleep", "1000")))
engine.start(container)
print(engine.state(container).pid, flush=True)
time.sleep(1000)
"""


def _runs(pid: int) -> bool:
    """Whether there is such a process, other than one that has ended and that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def test_a_tool_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "store"
    monkeypatch.setenv(VARIABLE, str(place))
    before = Path("/proc/self/mounts").read_text().count(str(place))
    tool = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE)
    assert tool.stdout is not None
    pid = int(tool.stdout.readline())
    assert main(["gc", "--engine", "embedded"]) == 0
    assert Path(f"/proc/{pid}").exists(), "a run at work is left alone"
    tool.send_signal(signal.SIGKILL)
    tool.wait()
    assert Path("/proc/self/mounts").read_text().count(str(place)) == before
    capfd.readouterr()
    assert main(["gc", "--engine", "embedded"]) == 0
    out, err = capfd.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["container", "image"]
    assert "2 leftovers removed" in err
    deadline = time.monotonic() + 30
    while _runs(pid) and time.monotonic() < deadline:  # the kernel takes a killed process away when it gets to it
        time.sleep(0.01)
    assert not _runs(pid)
    engine = connect()
    try:
        assert not engine.leftovers()
    finally:
        engine.close()
    assert not list((place / "containers").iterdir())
    assert not list((place / "drafts").iterdir())
