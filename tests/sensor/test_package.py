"""What a wheel and a source distribution carry of the sensor: its sources, and the binaries that were made before."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from debloat.sensor import SOURCE, binary, source_hash

PROJECT = SOURCE.parents[3]
pytestmark = pytest.mark.slow

SOURCES = {p.relative_to(PROJECT).as_posix() for p in SOURCE.parent.rglob("*.[ch]")}
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, f'build_{sys.argv[1]}')(sys.argv[2])"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the distributions are made of, with a prebuilt binary: building writes into the tree."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, copy)
    shutil.copytree(PROJECT / "debloat", copy / "debloat", ignore=shutil.ignore_patterns("__pycache__", "bin"))
    (copy / "debloat" / "sensor" / "bin").mkdir()
    (copy / "debloat" / "sensor" / "bin" / "sensor-x86_64").write_bytes(b"prebuilt")
    return copy


def built(project: Path, kind: str) -> Path:
    directory = project / "dist"
    subprocess.run(
        [sys.executable, "-c", BUILD, kind, directory], cwd=project, check=True, capture_output=True, timeout=300
    )
    (path,) = directory.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


def test_wheel(project: Path, tmp_path: Path) -> None:
    """Unpacked anywhere it has the same sources, and makes the same binary of them."""
    with zipfile.ZipFile(built(project, "wheel")) as wheel:
        assert {n for n in wheel.namelist() if n.endswith((".c", ".h"))} == SOURCES
        assert "debloat/sensor/bin/sensor-x86_64" in wheel.namelist()
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
