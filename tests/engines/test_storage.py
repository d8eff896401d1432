"""Podman's storage by its own command: `containers-storage:` in and out, with Podman's engine and debloat's own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from debloat.embedded.place import VARIABLE
from tests.engines.conftest import Engine, Engines
from tests.engines.setups import CI, HOME, ROOT
from tests.support import fixtures

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(600)]

FIXTURE = "nginx"
IMAGE = "localhost/shop:1"
STORAGE = f"containers-storage:{IMAGE}"


@dataclass(frozen=True, slots=True)
class Podman:
    """A `podman` command in a directory of its own, and a place that it and this machine have in common."""

    command: Path
    shared: Path
    endpoint: str

    def __call__(self, *words: str) -> str:
        return subprocess.run([self.command, *words], check=True, capture_output=True, text=True).stdout

    def debloat(self, *argv: str, path: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "PATH": path or f"{self.command.parent}:{os.environ['PATH']}",
            "TMPDIR": str(self.shared),
            "XDG_STATE_HOME": str(self.shared / "state"),
            "PYTHONPATH": str(ROOT),
            VARIABLE: str(self.shared / "store"),
            **environment,
        }
        words = [sys.executable, "-m", "debloat", *argv]
        return subprocess.run(words, cwd=self.shared, env=env, capture_output=True, text=True, timeout=300)

    def made(self, image: str, output: str, **environment: str) -> tuple[str, str]:
        """The layer and the id of what comes of an image; `output` may be empty for the engine."""
        report, recipe = self.shared / "report.json", fixtures.FIXTURES / FIXTURE / "debloat.toml"
        more = ("--output", output) if output else ()
        done = self.debloat(image, "-q", "-c", str(recipe), "--json", str(report), *more, **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == (output or f"{image}-slim")
        read = json.loads(report.read_bytes())
        return read["layer"], read["result_id"]


def command_of(engine: Engine, directory: Path) -> Path:
    """Podman as it is called in the root that the engine runs in."""
    place = HOME / engine.setup.name
    environment = {"HOME": "home", "XDG_RUNTIME_DIR": "run", "TMPDIR": "tmp", "CONTAINERS_CONF": "containers.conf"}
    pid = (place / "pid").read_text().strip()
    words = ["nsenter", "--target", pid, "--mount", "--pid", "--net", "--cgroup", "env"]
    words += [f"{name}={place / value}" for name, value in environment.items()]
    words += ["podman", "--root", str(place / "data"), "--runroot", str(place / "run" / "containers")]
    command = directory / "podman"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    command.chmod(0o755)
    return command


@pytest.fixture(scope="module")
def podman(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    (setup,) = (setup for setup in CI if setup.name == "podman5")
    engine, shared = engines.get(setup), HOME / setup.name / "tmp"
    shared.mkdir()
    found = Podman(command_of(engine, tmp_path_factory.mktemp("bin")), shared, engine.endpoint)
    found("tag", f"localhost/{fixtures.tag(FIXTURE)}", IMAGE)
    yield found
    found("rmi", "--force", IMAGE, f"{IMAGE}-slim", f"{IMAGE}-own")


def test_in_and_out_by_either_engine(podman: Podman) -> None:
    """What comes of an image of Podman's storage is what Podman's engine gives of it, and what it gets is that."""
    wanted = podman.made(IMAGE, "", DOCKER_HOST=podman.endpoint)
    podman("rmi", f"{IMAGE}-slim")
    assert podman.made(STORAGE, f"{STORAGE}-slim", DOCKER_HOST=podman.endpoint) == wanted
    assert podman.made(STORAGE, f"{STORAGE}-own", DEBLOAT_ENGINE="embedded") == wanted
    for name in ("slim", "own"):
        assert podman("inspect", "--format", "{{.Id}}", f"{IMAGE}-{name}").strip() == wanted[1].removeprefix("sha256:")
    assert "debloat-pending" not in podman("images", "--all")
    assert [path.name for path in podman.shared.iterdir() if path.name.startswith("debloat")] == []


@pytest.mark.parametrize("engine", [{"DEBLOAT_ENGINE": "embedded"}, {}], ids=["own engine", "none"])
def test_an_image_that_is_not_there(podman: Podman, engine: dict[str, str]) -> None:
    verb = () if engine else ("inspect",)
    done = podman.debloat(*verb, "containers-storage:localhost/nothing:1", **engine)
    assert (done.returncode, done.stdout) == (2, "")
    said, hint = done.stderr.splitlines()
    assert said.endswith(
        "cannot use containers-storage:localhost/nothing:1: Podman says: localhost/nothing:1: image not known"
    )
    assert hint == "  hint: `podman images` says which there are"


def test_without_podman(podman: Podman, tmp_path: Path) -> None:
    """Said before anything is started, of either side."""
    for argv in ((STORAGE,), ("apply", "oci:nowhere", "--output", STORAGE)):
        done = podman.debloat(*argv, path=str(tmp_path), DEBLOAT_ENGINE="embedded")
        assert done.returncode == 2
        assert "Podman is not installed here\n  hint: apt-get install podman" in done.stderr
