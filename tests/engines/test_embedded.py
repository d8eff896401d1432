"""debloat's own engine makes the images that Docker's makes: as root, and as root of a user namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from debloat.embedded.place import VARIABLE
from tests.engines.setups import FIXTURES
from tests.support import fixtures

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1200)]

WITHOUT = ["setpriv", "--bounding-set", "-sys_admin"]
"""Root as it is in a container without privileges."""
LAYERS: dict[str, str] = {}
"""By fixture: the layer that Docker's engine makes."""


def layer(image: str, engine: str, fixture: str, directory: Path, wrapper: list[str], *more: str) -> str:
    report = directory / f"{engine}.json"
    argv = [*wrapper, sys.executable, "-m", "debloat", image, "-q", "--engine", engine, "--json", str(report), *more]
    env = {**os.environ, VARIABLE: str(directory / "store"), "PYTHONPATH": str(fixtures.FIXTURES.parent)}
    done = subprocess.run(argv, cwd=fixtures.FIXTURES / fixture, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    made: str = json.loads(report.read_bytes())["layer"]
    return made


@pytest.mark.parametrize(
    ("fixture", "wrapper"),
    [
        *(pytest.param(fixture, [], id=f"root-{fixture}") for fixture in FIXTURES),
        *(pytest.param(fixture, WITHOUT, id=f"namespace-{fixture}") for fixture in ("nginx", "scratch")),
    ],
)
def test_the_same_image_as_of_docker(fixture: str, wrapper: list[str], tmp_path: Path) -> None:
    image = fixtures.build(fixture)
    if fixture not in LAYERS:
        LAYERS[fixture] = layer(image, "docker", fixture, tmp_path, [], "-t", "debloat-embedded:slim")
        subprocess.run(["docker", "rmi", "debloat-embedded:slim"], check=True, capture_output=True)
    archive = tmp_path / "image.tar"
    subprocess.run(["docker", "save", "-o", str(archive), image], check=True)
    output = tmp_path / "result"
    made = layer(f"docker-archive:{archive}", "embedded", fixture, tmp_path, wrapper, "--output", f"oci:{output}")
    assert made == LAYERS[fixture]
    assert (output / "oci-layout").exists()
    assert not list((tmp_path / "store" / "containers").iterdir())
