"""Starting an engine beside another, and that stopping it leaves nothing."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines.setups import CI, HOME, MORE, SCRIPTS, THOROUGH, started

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1200)]


def traces(name: str) -> list[str]:
    """Whatever on this machine speaks of an engine: files, mounts, interfaces, control groups, processes."""
    found = [str(HOME / name)] if (HOME / name).exists() else []
    found += [line for line in Path("/proc/mounts").read_text().splitlines() if f"/{name}/" in line]
    found += [p.name for p in Path("/sys/class/net").iterdir() if p.name == f"de-{name}"]
    found += [str(p) for p in Path("/sys/fs/cgroup").glob(f"**/debloat-{name}")]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended
        if any(f"{HOME}/{name}/".encode() in word for word in words):
            found.append(str(process))
    return found


BRIEF = [("containerd26", ()), ("containerd26", ("isolated",)), ("podman5", ())]


@pytest.mark.parametrize(("name", "more"), [*BRIEF, *([("rootless5", ())] if THOROUGH else [])])
def test_nothing_is_left_of_an_engine(name: str, more: tuple[str, ...]) -> None:
    setup = replace(next(s for s in (*CI, *MORE) if s.name == name), name="brief")
    with started(setup, *more) as endpoint:
        docker = ["docker", "--host", endpoint]
        tar = subprocess.run(["tar", "-c", "-f", "-", "-T", "/dev/null"], capture_output=True, check=True).stdout
        subprocess.run([*docker, "import", "-", "empty:1"], input=tar, check=True, capture_output=True)
        subprocess.run([*docker, "create", "empty:1", "/none"], check=True, capture_output=True)
        assert traces(setup.name)
    assert traces(setup.name) == []


@pytest.mark.parametrize("script", ["docker.sh", "podman.sh"])
@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("start",),
        ("start", "Name", "trixie", "classic"),
        ("start", "n", "trixie", "zfs"),
        ("stop",),
        ("root",),
        ("go",),
    ],
)
def test_a_wrong_word_is_said(script: str, argv: tuple[str, ...]) -> None:
    done = subprocess.run([SCRIPTS / script, *argv], capture_output=True, text=True)
    assert done.returncode == 1
    assert "hint: usage: " in done.stderr


def test_the_scripts_take_the_names_of_all_setups() -> None:
    names = [setup.name for setup in (*CI, *MORE)]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"[a-z0-9]{1,12}", name)] == []
