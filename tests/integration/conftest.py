"""The place that each test gets, and that it must leave as it was."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

from tests.integration.harness import Place
from tests.support import fixtures, network


@pytest.fixture(scope="session")
def client() -> Iterator[docker.APIClient]:
    found = docker.APIClient(version="auto", timeout=120)
    yield found
    found.close()


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all processes of this test run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def fixtures_of(tests: Iterable[pytest.Item]) -> list[str]:
    """The fixtures that tests ask for by parameter."""
    asked = {
        test.callspec.params.get("fixture")
        for test in tests
        if isinstance(test, pytest.Function) and hasattr(test, "callspec")
    }
    return [name for name in fixtures.names() if name in asked]


class Builds:
    """The fixtures' images, built one after another while cheaper tests run. They stay, as a cache.

    `common` is the directory that the processes of the run share: one builds at a time, and each image once.
    """

    def __init__(self, names: list[str], common: Path) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._common = common
        self._images = {name: self._pool.submit(self._build, name) for name in names}

    def _build(self, name: str) -> str:
        built = self._common / f"built-{name}"
        with (self._common / "builds.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not built.exists():
                built.write_text(fixtures.build(name))
        return built.read_text()

    def image(self, name: str) -> str:
        """The image of a fixture, when it is there; FixtureError when it cannot be built."""
        network.require("a fixture's image")
        if name not in self._images:
            self._images[name] = self._pool.submit(self._build, name)
        return self._images[name].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session", autouse=True)
def builds(request: pytest.FixtureRequest, common: Path) -> Iterator[Builds]:
    """Begins with the first test here to build what the selected tests ask for by parameter."""
    found = Builds(fixtures_of(request.session.items), common)
    yield found
    found.close()


@pytest.fixture
def place(tmp_path: Path, client: docker.APIClient) -> Iterator[Place]:
    """A place whose images and containers are gone in the end; that a run left any is a failure of the test."""
    found = Place(tmp_path, client)
    try:
        yield found
        assert found.left() == []
    finally:
        found.remove()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, client: docker.APIClient) -> Iterator[Place]:
    """A place for the images that the tests of a module only look at."""
    found = Place(tmp_path_factory.mktemp("shared"), client)
    try:
        yield found
    finally:
        found.remove()
