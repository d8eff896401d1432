"""The place that each test gets, and that it must leave as it was."""

from __future__ import annotations

from collections.abc import Iterator
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


class Builds:
    """The fixtures' images, built one after another while cheaper tests run. They stay, as a cache."""

    def __init__(self, names: list[str]) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._images = {name: self._pool.submit(fixtures.build, name) for name in names}

    def image(self, name: str) -> str:
        """The image of a fixture, when it is there; FixtureError when it cannot be built."""
        network.require("a fixture's image")
        return self._images[name].result()

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session", autouse=True)
def builds(request: pytest.FixtureRequest) -> Iterator[Builds]:
    """Begins with the first test here to build what the selected tests ask for by parameter."""
    asked = [i.callspec.params.get("fixture") for i in request.session.items if hasattr(i, "callspec")]
    found = Builds([name for name in fixtures.names() if name in asked])
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
