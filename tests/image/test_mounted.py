"""`serve` as a process of this machine, on layers in directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from debloat import sensor
from debloat.core.errors import EngineUnavailable
from debloat.image.mounted import serve_layers
from debloat.image.reader import SensorContents


@pytest.fixture
def binary() -> bytes:
    return sensor.binary(os.uname().machine)


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="layers are mounted")
def test_a_process_that_ends_with_its_channel(binary: bytes, tmp_path: Path) -> None:
    for name in ("top", "low"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(name.encode() * 100_000)
    before = mounts()
    channel = serve_layers(binary, [str(tmp_path / "top"), str(tmp_path / "low")], tmp_path / "view")
    contents = SensorContents(channel, tmp_path / "spool")
    assert {entry.path for entry in contents.index()} == {"/", "/top", "/low"}
    assert contents.read("/low") == b"low" * 100_000
    assert mounts() == before
    channel.close()
    assert channel._process.returncode is not None
    with pytest.raises(EngineUnavailable):
        contents.read("/top")


def test_what_cannot_be_mounted_is_no_index(binary: bytes, tmp_path: Path) -> None:
    channel = serve_layers(binary, [str(tmp_path / "missing")], tmp_path / "view")
    with pytest.raises(EngineUnavailable):
        list(SensorContents(channel, tmp_path / "spool").index())
    channel.close()


def test_what_is_no_program_is_not_started(tmp_path: Path) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(EngineUnavailable):
        serve_layers(b"no program", ["/"], tmp_path / "view")
    assert len(os.listdir("/proc/self/fd")) == open_before
