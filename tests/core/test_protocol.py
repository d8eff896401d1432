"""Probes of other protocols, as they are written."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.errors import UsageError
from debloat.core.protocol import SCHEMES, TLS_SCHEMES, ProtocolProbe
from debloat.record.protocols import table


@pytest.mark.parametrize(
    ("line", "protocol", "port", "name"),
    [
        ("redis://", "redis", 6379, "probe redis://:6379"),
        ("redis://:7000/2", "redis", 7000, "probe redis://:7000/2"),
        ("valkey://localhost", "redis", 6379, "probe valkey://:6379"),
        ("postgres://shop:se%40me@:5433/orders", "postgres", 5433, "probe postgres://shop@:5433/orders"),
        ("mysql://root:x@127.0.0.1/shop", "mysql", 3306, "probe mysql://root@:3306/shop"),
        ("smtps://", "smtp", 465, "probe smtps://:465"),
        ("tcp://:4000?send=PING%0A&expect=PONG", "tcp", 4000, "probe tcp://:4000"),
    ],
)
def test_a_url_is_a_probe(line: str, protocol: str, port: int, name: str) -> None:
    probe = ProtocolProbe.parse(line)
    assert (probe.protocol, probe.port, probe.name) == (protocol, port, name)


def test_what_a_url_says_of_the_login() -> None:
    probe = ProtocolProbe.parse("postgres://shop:se%40me@:5433/orders?a=1")
    assert (probe.user, probe.password, probe.path, dict(probe.options)) == ("shop", "se@me", "orders", {"a": "1"})
    assert "se@me" not in repr(probe)


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("redsi://:6379", "is not a probe", "did you mean `redis://`?"),
        ("6379", "is not a probe", "known schemes"),
        ("redis", "is not a probe", "known schemes"),
        ("redis:6379", "is not a probe", "redis://:6379/0"),
        ("redis://db:6379", "leads to db", "leave the host out"),
        ("tcp://", "names no port", "tcp://:4000"),
        ("redis://:99999", "is not a probe", "SCHEME://"),
        ("tcp://:4000?expect=(", "expects no regular expression", "escape"),
    ],
)
def test_what_is_no_probe_is_told(line: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as told:
        ProtocolProbe.parse(line)
    assert message in told.value.message
    assert hint in told.value.hint


@given(st.one_of(st.text(), st.text().map("redis://".__add__), st.text().map("tcp://:1?expect=".__add__)))
def test_any_line_is_a_probe_or_a_mistake(line: str) -> None:
    with contextlib.suppress(UsageError):
        assert 0 < ProtocolProbe.parse(line).port < 65536


def test_every_scheme_has_its_protocol() -> None:
    assert {protocol for protocol, _ in SCHEMES.values()} == set(table.PROTOCOLS)
    assert set(SCHEMES) >= set(TLS_SCHEMES)
    assert all(name == protocol.name for name, protocol in table.PROTOCOLS.items())


def test_a_port_belongs_to_one_protocol() -> None:
    ports = [port for protocol in table.PROTOCOLS.values() for port in (*protocol.ports, *protocol.tls_ports)]
    assert len(ports) == len(set(ports))
