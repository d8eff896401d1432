"""The sensor and the payload, built once; a place for the traces of each test."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pytest

from debloat.sensor import binary
from tests.sensor.harness import MECHANISMS, Sensor

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def sensor_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sensor") / "sensor"
    path.write_bytes(binary(platform.machine()))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("payload") / "payload"
    flags = ("-O1", "-Wall", "-Wextra", "-Werror", "-static", "-pthread")
    subprocess.run(["cc", *flags, "-o", path, HERE / "payload.c"], check=True, timeout=60)
    return path


@pytest.fixture
def sensor(sensor_binary: Path, tmp_path: Path) -> Sensor:
    traces = tmp_path / "traces"
    traces.mkdir()
    return Sensor(sensor_binary, traces)


@pytest.fixture(params=MECHANISMS)
def mechanism(request: pytest.FixtureRequest) -> str:
    return str(request.param)
