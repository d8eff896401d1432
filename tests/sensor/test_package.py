"""What a wheel and a source distribution carry of the sensor: its sources, and the binaries that were made before."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from debloat.sensor import SOURCE, binary, source_hash
from tests.support.distributions import PROJECT, built, copy

pytestmark = pytest.mark.slow

SOURCES = {p.relative_to(PROJECT).as_posix() for p in SOURCE.parent.rglob("*.[ch]")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("project")
    copy(directory, b"prebuilt")
    return directory


def test_wheel(project: Path, tmp_path: Path) -> None:
    """Unpacked anywhere it has the same sources, and makes the same binary of them."""
    with zipfile.ZipFile(built(project, "wheel")) as wheel:
        assert {n for n in wheel.namelist() if n.endswith((".c", ".h"))} == SOURCES
        assert "debloat/sensor/bin/sensor-x86_64" in wheel.namelist()
        assert any(name.endswith("/data/share/man/man1/debloat.1") for name in wheel.namelist())
        wheel.extractall(tmp_path)
    script = "import sys; from debloat.sensor import *; print(source_hash()); sys.stdout.flush(); "
    script += "sys.stdout.buffer.write(binary(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, platform.machine()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        check=True,
        capture_output=True,
        timeout=300,
    )
    digest, _, program = done.stdout.partition(b"\n")
    assert digest.decode() == source_hash()
    assert program == binary(platform.machine())


def test_source_distribution(project: Path) -> None:
    with tarfile.open(built(project, "sdist")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {n for n in names if n.endswith((".c", ".h"))} == SOURCES
    assert "debloat/sensor/bin/sensor-x86_64" in names
