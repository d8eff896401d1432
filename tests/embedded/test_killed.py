"""A tool that is killed: what it leaves is found and removed, and its mounts were nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    engine = connect()
    try:
        assert not engine.leftovers()
    finally:
        engine.close()
    assert not list((place / "containers").iterdir())
    assert not list((place / "drafts").iterdir())
