"""The place that each test gets, and that it must leave as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.integration.harness import Place


@pytest.fixture(scope="session")
def client() -> Iterator[docker.APIClient]:
    found = docker.APIClient(version="auto", timeout=120)
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
