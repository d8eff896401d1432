"""Which engine a verb gets: the one that is named, the daemon that answers, or debloat itself."""

from __future__ import annotations

import pytest

from debloat.cli.engines import VARIABLE, Engines
from debloat.core.errors import EngineUnavailable, UsageError
from tests.support.engine import Behaviour, FakeEngine

OWN = FakeEngine({}, lambda rootfs, argv: Behaviour())


@pytest.fixture(autouse=True)
def _no_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(product: str = "") -> None:
        raise EngineUnavailable(f"cannot reach {product or 'a daemon'}", "start it")

    monkeypatch.setattr("debloat.engine.docker.connect", refuse)
    monkeypatch.setattr("debloat.embedded.engine.connect", lambda: OWN)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")


def engines(choice: str = "") -> Engines:
    made = Engines()
    made.choice = choice
    return made


def test_debloat_itself_where_no_daemon_answers() -> None:
    assert engines().connect() is OWN
    assert engines("embedded").connect() is OWN


def test_a_daemon_that_is_named_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineUnavailable, match="docker"):
        engines("docker").connect()
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere")
    with pytest.raises(EngineUnavailable, match="a daemon"):
        engines().connect()


def test_the_environment_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "podman")
    with pytest.raises(EngineUnavailable, match="podman"):
        engines().connect()
    assert engines("embedded").connect() is OWN
    monkeypatch.setenv(VARIABLE, "rocket")
    with pytest.raises(UsageError, match="rocket"):
        engines().connect()


def test_both_causes_where_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise EngineUnavailable("cannot run containers: neither crun nor runc is installed", "apt-get install crun")

    monkeypatch.setattr("debloat.embedded.engine.connect", refuse)
    with pytest.raises(EngineUnavailable, match="no daemon answers") as raised:
        engines().connect()
    assert "neither crun nor runc" in raised.value.message
    assert raised.value.hint == "apt-get install crun"
