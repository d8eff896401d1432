"""Conversations with real servers of Debian's packages, without an engine."""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from debloat.core.probes import ProbeResult, shape
from debloat.core.protocol import SCHEMES, ProtocolProbe
from debloat.record.protocols import table
from tests.support import servers

TIMEOUT = 20.0


def asked(url: str, port: int, env: Mapping[str, str] | None = None) -> tuple[ProbeResult, str]:
    """The answer of a server at a port of this machine, and all that was said."""
    probe = ProtocolProbe.parse(url)
    udp = port if probe.datagrams else 0
    ways = table.Ways(
        0 if probe.protocol == "udp" else port, udp, lambda inside: port if inside == probe.port else inside
    )
    result = table.converse(probe, ways, env or {}, TIMEOUT, (str(port),))
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


def test_memcached(directory: Path, transcript: list[str]) -> None:
    with servers.memcached(directory) as port:
        assert table.speaks(ProtocolProbe.parse("memcached://"), port, TIMEOUT)
        first, _ = asked("memcached://", port)
        again, _ = asked("memcached://", port)
    said = transcript[0]
    assert first.ok, first.detail
    assert "get_many -> {debloat_probe: abc}" in said
    assert "incr -> 42" in said
    assert "stats slabs -> answered" in said
    assert "too large -> refused" in said
    assert not first.differs(again)


def test_amqp(directory: Path, transcript: list[str]) -> None:
    with servers.rabbitmq(directory) as port:
        assert table.speaks(ProtocolProbe.parse("amqp://"), port, TIMEOUT)
        first, _ = asked("amqp://", port)
        again, _ = asked("amqp://", port)
        refused, _ = asked("amqp://somebody:wrong@", port)
    said = transcript[0]
    assert first.ok, first.detail
    assert not first.detail
    assert all(f"exchange {kind} -> hällo" in said for kind in ("direct", "fanout", "topic", "headers"))
    assert all(f"queue {kind} -> [hello, hello]" in said for kind in ("classic", "durable", "quorum"))
    assert "queue stream -> [hello]" in said
    assert "a transaction -> kept" in said
    assert "a queue that is not there -> refused: [404" in said
    assert not first.differs(again)
    assert refused.ok
    assert "RABBITMQ_DEFAULT_USER" in refused.detail


def test_mqtt(directory: Path, transcript: list[str]) -> None:
    with servers.mosquitto(directory, "allow_anonymous true") as port:
        assert table.speaks(ProtocolProbe.parse("mqtt://"), port, TIMEOUT)
        first, _ = asked("mqtt://", port)
        again, _ = asked("mqtt://", port)
    said = transcript[0]
    assert first.ok, first.detail
    for version in ("MQTT 3.1.1", "MQTT 5"):
        assert f"{version}, quality of service 2 -> [debloat_probe/2, hällo]" in said
        assert f"{version}, a message that is kept -> [debloat_probe/kept, kept]" in said
        assert f"{version}, a shared subscription -> [debloat_probe/shared, hällo]" in said
        assert f"{version}, a will -> [debloat_probe/will, gone]" in said
    assert not first.differs(again)


def test_mqtt_that_wants_a_password(directory: Path) -> None:
    with servers.mosquitto(directory, "allow_anonymous false") as port:
        refused, _ = asked("mqtt://", port)
    assert refused.ok
    assert "MQTT_PASSWORD" in refused.detail


def test_imap(directory: Path, transcript: list[str]) -> None:
    with servers.dovecot(directory) as port:
        assert table.guessed(143, port, TIMEOUT) == ProtocolProbe.parse("imap://")
        without, _ = asked("imap://", port)
        first, _ = asked(f"imap://ann:{servers.PASSWORD}@", port)
        again, _ = asked(f"imap://ann:{servers.PASSWORD}@", port)
    assert "nobody logged in" in without.detail
    said = transcript[1]
    assert first.ok, first.detail
    assert not first.detail
    assert "SEARCH SUBJECT hello -> [OK, [1]]" in said
    assert "DELETE -> [OK" in said
    assert "-> no answer" not in said
    assert not first.differs(again)
    assert not list((directory / "mail" / "box").glob(".debloat*"))


def test_pop3(directory: Path, transcript: list[str]) -> None:
    with servers.dovecot(directory, "pop3") as port:
        assert table.guessed(110, port, TIMEOUT) == ProtocolProbe.parse("pop3://")
        first, _ = asked(f"pop3://ann:{servers.PASSWORD}@", port)
        again, _ = asked(f"pop3://ann:{servers.PASSWORD}@", port)
    assert first.ok, first.detail
    assert "STLS -> " in transcript[0]
    assert "STAT -> [0, 0]" in transcript[0]
    assert "-> no answer" not in transcript[0]
    assert not first.differs(again)


def test_ftp(directory: Path, transcript: list[str]) -> None:
    with servers.ftp(directory) as port:
        assert table.guessed(21, port, TIMEOUT) == ProtocolProbe.parse("ftp://")
        first, _ = asked("ftp://:21/in", port)
        again, _ = asked("ftp://:21/in", port)
    said = transcript[0]
    assert first.ok, first.detail
    assert "anonymous" in first.detail
    assert "RETR -> [226 Transfer complete., hällo" in said
    assert "-> no answer" not in said
    assert not first.differs(again)
    assert not list((directory / "home" / "in").iterdir())


def test_ssh(directory: Path, transcript: list[str]) -> None:
    with servers.sshd(directory) as port:
        assert table.guessed(22, port, TIMEOUT) == ProtocolProbe.parse("ssh://")
        first, _ = asked("ssh://", port)
        again, _ = asked("ssh://", port)
        wrong, _ = asked("ssh://somebody:wrong@", port)
    said = transcript[0]
    assert first.ok, first.detail
    assert "nobody logged in" in first.detail
    assert "host key ssh-ed25519 -> [ssh-ed25519" in said
    assert "host key rsa-sha2-512 -> refused" in said
    assert "ways to log in -> [[keyboard-interactive, password, publickey]" in said or "[[password, publickey]" in said
    assert not first.differs(again)
    assert "refused" in wrong.detail


def test_ssh_with_a_login(directory: Path, transcript: list[str]) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    with servers.sshd(directory) as port:
        first, _ = asked(f"ssh://{user}@?key={directory}/user", port)
        again, _ = asked(f"ssh://{user}@?key={directory}/user", port)
    said = transcript[0]
    assert first.ok, first.detail
    assert not first.detail
    assert "a command -> [42\n, 0]" in said
    assert "a shell -> 0" in said
    assert "files -> [5, True]" in said
    assert not first.differs(again)


def test_dns(directory: Path, transcript: list[str]) -> None:
    with servers.unbound(directory) as port:
        assert table.speaks(ProtocolProbe.parse("dns://"), port, TIMEOUT)
        first, _ = asked("dns://:53/shop.test.", port)
        again, _ = asked("dns://:53/shop.test.", port)
    said = transcript[0]
    assert first.ok, first.detail
    for way in ("UDP", "TCP"):
        assert f"localhost. A over {way} -> [NOERROR, QR AA RD RA, -1, [[localhost. A 127.0.0.1], [], []]]" in said
        assert f"nowhere.invalid. A over {way} -> [NXDOMAIN" in said
        assert f"shop.test. A over {way} -> [NOERROR" in said
        assert f"version.bind. CH TXT over {way} -> [NOERROR" in said
    assert not first.differs(again)


def test_ldap(directory: Path, transcript: list[str]) -> None:
    env = {"LDAP_ADMIN_PASSWORD": servers.PASSWORD, "LDAP_DOMAIN": "example.test"}
    with servers.slapd(directory) as port:
        assert table.speaks(ProtocolProbe.parse("ldap://"), port, TIMEOUT)
        without, _ = asked("ldap://", port)
        first, _ = asked("ldap://", port, env)
        again, _ = asked("ldap://", port, env)
    assert "LDAP_ADMIN_PASSWORD" in without.detail
    said = transcript[1]
    assert first.ok, first.detail
    assert not first.detail
    assert "add -> success" in said
    assert (
        "find it -> [success, [[cn=debloat_probe,dc=example,dc=test, {mail: [probe@localhost], sn: [Käse]}]]]" in said
    )
    assert "delete -> success" in said
    assert "-> no answer" not in said
    assert not first.differs(again)


def test_datagrams() -> None:
    with servers.datagrams() as port:
        first, _ = asked("udp://:4000?send=ping\\n&expect=PING", port)
        other, _ = asked("udp://:4000?send=ping", port)
    assert first.ok, first.detail
    assert not first.detail
    assert other.ok, other.detail
    with socket.socket(type=socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        silent, _ = asked("udp://:4000?send=ping", deaf.getsockname()[1])
    assert (silent.ok, silent.detail) == (True, "no datagram came back; `&expect=TEXT` asks for one")
    gone, _ = asked("udp://:4000?send=ping", servers.free_port())
    assert not gone.ok


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"tcp", "tls", "udp"}))
def test_nothing_there(scheme: str) -> None:
    result, _ = asked(f"{scheme}://", servers.free_port())
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
