"""Conversations with real servers of Debian's packages, without an engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from debloat.core.probes import ProbeResult, shape
from debloat.core.protocol import ProtocolProbe
from debloat.record.protocols import table
from tests.support import servers

TIMEOUT = 20.0


def asked(url: str, port: int, env: Mapping[str, str] | None = None) -> tuple[ProbeResult, str]:
    """The answer of a server at a port of this machine, and all that was said."""
    result = table.converse(ProtocolProbe.parse(url), port, env or {}, TIMEOUT, (str(port),))
    return result, result.text


def test_redis(directory: Path, transcript: list[str]) -> None:
    with servers.redis(directory) as port:
        first, _ = asked("redis://", port)
        again, _ = asked("redis://", port)
    said = transcript[0]
    assert first.ok, first.detail
    assert not first.detail
    assert "BLPOP debloat_probe:l 1 -> [debloat_probe:l, c]" in said
    assert "SUBSCRIBE, PUBLISH -> news" in said
    assert "166.27" in said
    assert not first.differs(again)
    assert (directory / "dump.rdb").exists(), "the dump was waited for"


def test_redis_that_wants_a_password(directory: Path, transcript: list[str]) -> None:
    with servers.redis(directory, "--requirepass", servers.PASSWORD) as port:
        assert table.speaks(ProtocolProbe.parse("redis://"), port, TIMEOUT)
        without, _ = asked("redis://", port)
        by_env, _ = asked("redis://", port, {"REDIS_PASSWORD": servers.PASSWORD})
        by_url, _ = asked(f"redis://:{servers.PASSWORD}@", port)
    assert without.ok
    assert "REDIS_PASSWORD" in without.detail
    assert "NOAUTH" in transcript[0] or "Authentication" in transcript[0]
    assert by_env.shape == by_url.shape != without.shape
    assert all(servers.PASSWORD not in said for said in transcript)


def test_postgres(directory: Path, transcript: list[str]) -> None:
    env = {"POSTGRES_PASSWORD": servers.PASSWORD}
    with servers.postgres(directory) as port:
        first, _ = asked("postgres://", port, env)
        again, _ = asked("postgres://", port, env)
        refused, _ = asked("postgres://", port)
    said = transcript[0]
    assert first.ok, first.detail
    assert not first.detail
    assert "[[tea, Käse], [tea, bread], [Käse, bread]]" in said
    assert "select 1 / 0 -> refused: [22012, division by zero]" in said
    assert "not asked" not in said
    assert "-> no answer" not in said
    assert not first.differs(again)
    assert refused.ok
    assert "POSTGRES_PASSWORD" in refused.detail


def test_mariadb(directory: Path, transcript: list[str]) -> None:
    env = {"MARIADB_ROOT_PASSWORD": servers.PASSWORD}
    with servers.mariadb(directory) as port:
        assert table.speaks(ProtocolProbe.parse("mysql://"), port, TIMEOUT)
        first, _ = asked("mysql://", port, env)
        again, _ = asked("mariadb://", port, env)
        refused, _ = asked("mysql://", port)
    said = transcript[0]
    assert first.ok, first.detail
    assert not first.detail
    assert "call p() -> [[42]]" in said
    assert "drop database debloat_probe -> []" in said
    assert "not asked" not in said
    assert first.shape == again.shape
    assert "MARIADB_ROOT_PASSWORD" in refused.detail


def test_smtp(directory: Path, transcript: list[str]) -> None:
    with servers.exim(directory) as port:
        first, _ = asked("smtp://", port)
        again, _ = asked("smtp://", port)
        letters = directory / "letters"
        wait_for(lambda: letters.exists() and letters.read_text().count("Subject: =?utf-8?q?h=C3=A4llo?=") == 8)
    said = transcript[0]
    assert first.ok, first.detail
    assert "STARTTLS -> 220" in said
    assert "DATA -> 250" in said
    assert "RCPT elsewhere -> 550" in said
    assert not first.differs(again)


@pytest.mark.parametrize("url", ["redis://", "postgres://", "mysql://", "smtp://"])
def test_nothing_there(url: str) -> None:
    result, _ = asked(url, servers.free_port())
    assert not result.ok
    assert result.detail.startswith("no answer")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)


@pytest.fixture
def directory() -> Iterator[Path]:
    with servers.place() as path:
        yield path


@pytest.fixture
def transcript(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All transcripts of the test, in full: a result has an excerpt."""
    made: list[str] = []

    def noted(data: bytes, *names: str) -> str:
        made.append(data.decode())
        return shape(data, *names)

    monkeypatch.setattr(table, "shape", noted)
    return made
