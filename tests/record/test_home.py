"""The sensor's directory in a container, and what comes back of it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import cast

import pytest

from debloat.core.errors import EngineUnavailable, SensorUnavailable
from debloat.core.model import Image, ImageConfig
from debloat.engine.base import ContainerSpec, Engine, Leftover
from debloat.engine.workspace import Workspace
from debloat.image.reader import SENSOR_HOME
from debloat.record import home
from debloat.record.home import IN_A_VOLUME, Home, with_sensor

SPEC = ContainerSpec(image="app", run="run", anonymous=(SENSOR_HOME, "/data"))
IMAGE = Image("app", "sha256:0", "linux", "amd64", "", "1970-01-01T00:00:00Z", ImageConfig({}))


class Box:
    """An engine that makes containers, with directories of this machine mounted unless it `refuses` them."""

    def __init__(self, *, here: bool, refuses: bool = False) -> None:
        self._here, self._refuses = here, refuses
        self.specs: list[ContainerSpec] = []
        self.filled: list[str] = []
        self.removed: list[str] = []

    def directories(self, image: Image) -> tuple[str, ...]:
        return ("/layers/top",) if self._here else ()

    def create(self, spec: ContainerSpec) -> str:
        if spec.mounts and self._refuses:
            raise EngineUnavailable("cannot create a container: bind source path does not exist")
        self.specs.append(spec)
        return "box"

    def put(self, container: str, directory: str, tar: bytes) -> None:
        self.filled.append(directory)

    def remove(self, container: str) -> None:
        self.removed.append(container)

    def leftovers(self, run: str) -> tuple[Leftover, ...]:
        return ()


def test_a_directory_where_the_engine_mounts_them() -> None:
    box = Box(here=True)
    with Workspace(cast(Engine, box)) as workspace:
        with with_sensor(workspace, IMAGE, SPEC, b"program") as (container, found):
            assert (container, found.directory is not None, box.filled) == ("box", True, [])
            assert found.directory is not None
            program = found.directory / "sensor"
            assert (program.read_bytes(), program.stat().st_mode & 0o777) == (b"program", 0o755)
            assert found.directory.stat().st_mode & 0o777 == 0o755
            (spec,) = box.specs
            assert (spec.anonymous, spec.mounts) == (("/data",), ((str(found.directory), SENSOR_HOME),))
            (found.directory / "trace" / "main.events").write_bytes(b"events")
            assert found.traces(workspace.engine, container)["main.events"] == b"events"
        assert box.removed == ["box"]
        assert not found.directory.exists()


@pytest.mark.parametrize("box", [Box(here=False), Box(here=True, refuses=True)], ids=["elsewhere", "refused"])
def test_a_volume_else(box: Box) -> None:
    with (
        Workspace(cast(Engine, box)) as workspace,
        with_sensor(workspace, IMAGE, SPEC, b"program") as (container, found),
    ):
        assert (container, found, box.specs, box.filled) == ("box", IN_A_VOLUME, [SPEC], [SENSOR_HOME])


def test_an_error_of_the_recording_is_not_taken_for_a_refusal() -> None:
    box = Box(here=True)
    with (
        pytest.raises(EngineUnavailable, match="started"),
        Workspace(cast(Engine, box)) as workspace,
        with_sensor(workspace, IMAGE, SPEC, b"program"),
    ):
        raise EngineUnavailable("cannot be started")
    assert len(box.specs) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system is mounted")
def test_not_where_nothing_may_be_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", tmp_path], check=True)
    try:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        box = Box(here=True)
        with (
            Workspace(cast(Engine, box)) as workspace,
            with_sensor(workspace, IMAGE, SPEC, b"program") as (_, found),
        ):
            assert found == IN_A_VOLUME
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_what_a_program_puts_there_leads_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root of the container can write to the directory that is read as root of this machine."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    traces = tmp_path / "home" / "trace"
    traces.mkdir(parents=True)
    (traces / "main.events").symlink_to(secret)
    (traces / "directory.state").mkdir()
    os.mkfifo(traces / "pipe.events")
    (traces / "exec0.events").write_bytes(b"events")
    here = Home(tmp_path / "home")
    assert here.traces(cast(Engine, None), "box") == {"exec0.events": b"events"}
    monkeypatch.setattr(home, "MAX_TRACE_BYTES", 5)
    with pytest.raises(SensorUnavailable, match="larger"):
        here.traces(cast(Engine, None), "box")
    monkeypatch.undo()
    traces.rename(tmp_path / "home" / "moved")
    traces.symlink_to(tmp_path / "home" / "moved")
    with pytest.raises(SensorUnavailable, match="gone"):
        here.traces(cast(Engine, None), "box")
    assert secret.read_bytes() == b"secret"
