"""Layers in directories of this machine, laid over each other and listed by `serve`, their files read here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from debloat import sensor
from debloat.core.errors import EngineUnavailable
from debloat.image.contents import Below
from debloat.image.mounted import root_of, serving
from debloat.image.reader import index


@pytest.fixture
def binary() -> bytes:
    return sensor.binary(os.uname().machine)


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="layers are mounted")
def test_files_are_read_when_the_process_has_gone(binary: bytes, tmp_path: Path) -> None:
    for name in ("top", "low"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(name.encode() * 1_000_000)
    (tmp_path / "low" / "link").symlink_to("/etc/passwd")
    (tmp_path / "low" / "etc").symlink_to("/etc")
    os.mkfifo(tmp_path / "low" / "pipe")
    before, descriptors = mounts(), len(os.listdir("/proc/self/fd"))
    layers = [str(tmp_path / "top"), str(tmp_path / "low")]
    with serving(binary, layers, tmp_path / "view") as (channel, process):
        assert {entry.path for entry in index(channel)} == {"/", "/top", "/low", "/link", "/etc", "/pipe"}
        contents = Below(root_of(process))
    assert not os.path.exists(f"/proc/{process}")
    assert mounts() == before
    assert contents.read("/low") == b"low" * 1_000_000
    assert contents.read("/low", 4) == b"lowl"
    assert b"".join(contents.chunks("/top")) == b"top" * 1_000_000
    assert contents.read("/pipe") == b"", "nothing waits for who writes to it"
    for path in ("/link", "/missing", "/top/below"):
        with pytest.raises(EngineUnavailable, match="cannot read"):
            contents.read(path)
    contents.close()
    contents.close()
    assert len(os.listdir("/proc/self/fd")) == descriptors
    with pytest.raises(EngineUnavailable):
        contents.read("/low")


def test_what_cannot_be_mounted_is_no_index(binary: bytes, tmp_path: Path) -> None:
    with (
        serving(binary, [str(tmp_path / "missing")], tmp_path / "view") as (channel, _),
        pytest.raises(EngineUnavailable),
    ):
        list(index(channel))


def test_what_is_no_program_is_not_started(tmp_path: Path) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(EngineUnavailable, match="start"), serving(b"no program", ["/"], tmp_path / "view"):
        pass
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_process_that_is_gone_has_no_root() -> None:
    with pytest.raises(EngineUnavailable, match="see"):
        root_of(1 << 22)
