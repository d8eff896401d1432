"""Recording for a profile: which system calls are made, each noted once by its number, and no paths."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

from debloat.profile.calls import names
from debloat.profile.seccomp import unseen
from debloat.record.trace import parse_events
from tests.sensor.harness import TIMEOUT, Sensor

MACHINE = platform.machine()

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the sensor is started as root")


def noted(sensor: Sensor, mechanism: str, calls: str, *program: str | Path) -> list[tuple[str, int]]:
    argv = [*sensor.argv(mechanism, "--calls", calls), *map(str, program)]
    subprocess.run(argv, capture_output=True, timeout=TIMEOUT, check=True)
    data = (sensor.traces / "main.events").read_bytes()
    lines = data.splitlines()[1:]
    assert len(lines) == len(set(lines)), "each is written once"
    assert all(line.startswith(b"c\t") for line in lines), "no paths"
    found = parse_events(data, "main", {}).calls
    assert len(found) == len(lines)
    return sorted(found)


def test_what_a_program_calls(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    script = tmp_path / "script"
    script.write_text("mkdirat cwd s:made 0755\nmkdirat cwd s:made 0755\nunlinkat cwd s:made 0x200\ngetpid\n")
    found = noted(sensor, mechanism, unseen(MACHINE), payload, "script", script)
    called = {names(MACHINE)[number] for abi, number in found if abi == "native"}
    assert {"execve", "mkdirat", "unlinkat", "getpid"} <= called
    assert not {"read", "write", "mmap", "exit_group"} & called, "those are let through unseen"
    assert not {"seccomp", "setuid", "capset", "socketpair"} & called, "those are the sensor's own"


def test_all_but_the_sensors_own(sensor: Sensor, mechanism: str) -> None:
    """With an empty list, and the end of a program with it, which no answer comes back from."""
    found = {names(MACHINE)[number] for _, number in noted(sensor, mechanism, "", "/bin/true")}
    assert {"execve", "exit_group"} <= found


def test_children(sensor: Sensor, mechanism: str) -> None:
    found = {
        names(MACHINE)[n] for _, n in noted(sensor, mechanism, unseen(MACHINE), "/bin/sh", "-c", "(umask 1); cd /")
    }
    assert "umask" in found
    assert "clone" in found or "fork" in found or "vfork" in found


@pytest.mark.skipif(MACHINE != "x86_64", reason="int 0x80 is of x86")
def test_calls_of_the_other_abi(sensor: Sensor, payload: Path, tmp_path: Path, mechanism: str) -> None:
    script = tmp_path / "script"
    script.write_text("!20\n!4 1 0 0\n")  # getpid and write by their numbers on i386
    found = noted(sensor, mechanism, unseen(MACHINE), payload, "script", script)
    assert {number for abi, number in found if abi == "compat"} == {20, 4}, "of that one no call is let through unseen"


@pytest.mark.parametrize("calls", ["x", "1,-1", "999", ",".join(map(str, range(200)))])
def test_a_list_that_is_none(sensor: Sensor, payload: Path, calls: str) -> None:
    done = subprocess.run(
        [*sensor.argv("auto", "--calls", calls), payload, "touch", "/x"],
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 2
    assert b"--calls" in done.stderr
