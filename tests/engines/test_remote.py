"""Engines that are somewhere else: docker-in-docker over TCP, as jobs of GitHub and GitLab have it, and SSH."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines.setups import CI, HERE, HOME, ROOT, copy_image, started
from tests.support import fixtures
from tests.support.relay import relay

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1200)]

FIXTURE = "nginx"


@pytest.fixture(scope="module")
def dind() -> Iterator[str]:
    """The endpoint of an engine with the containerd store in a network of its own, and an image on it."""
    (setup,) = (s for s in CI if s.name == "containerd26")
    with started(replace(setup, name="dind26"), "isolated") as endpoint:
        copy_image(fixtures.build(FIXTURE), endpoint)
        yield endpoint


def debloat(place: Path, image: str, target: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own that sees nothing of an engine's files."""
    hidden = f"mount -t tmpfs tmpfs '{HOME}' && mount -t tmpfs tmpfs /run && exec \"$@\""
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hidden, "sh"]
    argv += [sys.executable, "-m", "debloat", image, "-q", "-t", target]
    argv += ["-c", str(fixtures.FIXTURES / FIXTURE / "debloat.toml"), "--json", str(place / "report.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(place), **environment}
    return subprocess.run(argv, env=environment, cwd=place, capture_output=True, text=True, timeout=300)


def layers(endpoint: str, image: str) -> str:
    argv = ["docker", "--host", endpoint, "inspect", "--format", "{{.RootFS.Layers}}", image]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def remove(endpoint: str, image: str) -> None:
    subprocess.run(["docker", "--host", endpoint, "rmi", image], capture_output=True, check=True)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The layer that the engine of this machine gives."""
    place, target = tmp_path_factory.mktemp("here"), "debloat-matrix/remote:here"
    with started(HERE) as endpoint:
        argv = [sys.executable, "-m", "debloat", fixtures.build(FIXTURE), "-q", "-t", target]
        argv += ["-c", str(fixtures.FIXTURES / FIXTURE / "debloat.toml")]
        subprocess.run(argv, cwd=place, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=300)
        try:
            return layers(endpoint, target)
        finally:
            remove(endpoint, target)


def test_docker_in_docker_over_tcp(tmp_path: Path, dind: str, wanted: str) -> None:
    """The engine's ports are not this machine's, nor are its files; the result is the same."""
    target = "debloat-matrix/remote:tcp"
    with relay(Path(dind.removeprefix("unix://"))) as port:
        done = debloat(tmp_path, fixtures.tag(FIXTURE), target, DOCKER_HOST=f"tcp://127.0.0.1:{port}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{target}\n"
    assert layers(dind, target) == wanted
    remove(dind, target)
    left = ["docker", "--host", dind, "ps", "--all", "--quiet"]
    assert subprocess.run(left, capture_output=True, text=True, check=True).stdout == ""


def test_over_ssh(tmp_path: Path, dind: str, wanted: str) -> None:
    """An `ssh` that goes nowhere else, so that only the way through it is tested: several connections, both ends."""
    target = "debloat-matrix/remote:ssh"
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    with relay(Path(dind.removeprefix("unix://"))) as port:
        ssh.write_text(
            f'#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done; shift 2\nDOCKER_HOST=tcp://127.0.0.1:{port} exec "$@"\n'
        )
        ssh.chmod(0o755)
        path = f"{ssh.parent}:{os.environ['PATH']}"
        done = debloat(tmp_path, fixtures.tag(FIXTURE), target, DOCKER_HOST="ssh://user@elsewhere", PATH=path)
    assert done.returncode == 0, done.stderr
    assert layers(dind, target) == wanted
    remove(dind, target)
