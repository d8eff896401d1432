"""The project as it is published: a copy of its tree to build in, and the distributions that are built of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from debloat.sensor import SOURCE, machine

PROJECT = SOURCE.parents[3]
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, f'build_{sys.argv[1]}')(sys.argv[2])"


def copy(to: Path, sensor: bytes, architecture: str = "amd64") -> Path:
    """Copy what the distributions are made of into a directory, with a sensor's binary: building writes into the tree.

    The binary's path; without a file beside it that says what it was made of, it is not used.
    """
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, to)
    (to / "docs").mkdir()
    shutil.copy(PROJECT / "docs" / "debloat.1", to / "docs")
    shutil.copytree(PROJECT / "debloat", to / "debloat", ignore=shutil.ignore_patterns("__pycache__", "bin"))
    binary = to / "debloat" / "sensor" / "bin" / f"sensor-{machine(architecture)}"
    binary.parent.mkdir()
    binary.write_bytes(sensor)
    return binary


def built(project: Path, kind: str) -> Path:
    """The `wheel` or `sdist` of a copy."""
    directory = project / "dist"
    subprocess.run(
        [sys.executable, "-c", BUILD, kind, directory], cwd=project, check=True, capture_output=True, timeout=300
    )
    (path,) = directory.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


def requirements() -> list[str]:
    """What installing the project needs: its dependencies, and what builds it."""
    document = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    return [*document["project"]["dependencies"], *document["build-system"]["requires"]]
