"""Which engine is talked to: what is named, else Docker's socket, else Podman's."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker.context import ContextAPI

from debloat.core.errors import EngineUnavailable
from debloat.engine.docker import connect
from tests.engine.test_podman import CONFIG, fake
from tests.support.httpengine import HttpEngine, serving
from tests.support.podmanengine import PodmanEngine


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for sockets: Docker's is `docker.sock`, the runtime directory is `run`. Nothing else names one."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "run" / "podman").mkdir(parents=True)

    class Default:
        Name = "default"
        Host = f"unix://{tmp_path}/docker.sock"
        TLSConfig = None

    monkeypatch.setattr(ContextAPI, "get_current_context", lambda: Default)
    return tmp_path


def reached() -> str:
    engine = connect()
    try:
        return f"{engine.info().name} at {engine.info().endpoint}"
    finally:
        engine.close()


def test_podman_where_docker_does_not_answer(place: Path) -> None:
    with serving(PodmanEngine(fake(CONFIG), "5"), place / "run" / "podman" / "podman.sock") as url:
        assert reached() == f"Podman at {url}"


def test_docker_where_it_answers(place: Path) -> None:
    podman = serving(PodmanEngine(fake(CONFIG), "5"), place / "run" / "podman" / "podman.sock")
    with podman, serving(HttpEngine(fake(CONFIG)), place / "docker.sock") as url:
        assert reached() == f"Fake Engine at {url}"


def test_a_socket_behind_which_nothing_is_left(place: Path) -> None:
    """The complaint is about the engine that was looked for first."""
    path = place / "run" / "podman" / "podman.sock"
    with serving(PodmanEngine(fake(CONFIG), "4"), path):
        pass
    with pytest.raises(EngineUnavailable, match=f"cannot reach the container engine at unix://{place}/docker.sock"):
        connect()


@pytest.mark.parametrize("variable", ["DOCKER_HOST", "DOCKER_CONTEXT"])
def test_what_is_named_is_not_passed_over(place: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    value = f"unix://{place}/docker.sock" if variable == "DOCKER_HOST" else "default"
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(
        ContextAPI,
        "get_context",
        lambda name: ContextAPI.get_current_context(),
    )
    podman = serving(PodmanEngine(fake(CONFIG), "5"), place / "run" / "podman" / "podman.sock")
    with podman, pytest.raises(EngineUnavailable, match="cannot reach"):
        connect()
