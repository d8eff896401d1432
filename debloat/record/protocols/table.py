"""Every protocol there is, and what follows from the table: which one a port speaks, and a conversation in it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.probes import Masked, ProbeResult, excerpt, shape
from debloat.core.protocol import ProtocolProbe
from debloat.record.protocols.amqp import AMQP
from debloat.record.protocols.base import Account, Protocol, Silenced, Target, Transcript
from debloat.record.protocols.dns import DNS
from debloat.record.protocols.ftp import FTP
from debloat.record.protocols.imap import IMAP, POP3
from debloat.record.protocols.ldap import LDAP
from debloat.record.protocols.memcached import MEMCACHED
from debloat.record.protocols.mqtt import MQTT
from debloat.record.protocols.mysql import MYSQL
from debloat.record.protocols.plain import TCP, TLS, UDP
from debloat.record.protocols.postgres import POSTGRES
from debloat.record.protocols.redis import REDIS
from debloat.record.protocols.smtp import SMTP
from debloat.record.protocols.ssh import SSH

_ALL = (AMQP, DNS, FTP, IMAP, LDAP, MEMCACHED, MQTT, MYSQL, POP3, POSTGRES, REDIS, SMTP, SSH, TCP, TLS, UDP)
PROTOCOLS: Mapping[str, Protocol] = {p.name: p for p in _ALL}

EXTRA = "pip install 'debloat[protocols]'"

CONVERSATION = 60.0
"""Seconds that a conversation takes at most."""
GREETING = 3.0
"""Seconds within which a server of a protocol that belongs to a port says something."""
GUESS = 1.0
"""Seconds within which a server says something, where nothing tells which protocol it speaks."""
_ENOUGH = 512


class Ways(Struct, frozen=True):
    """Ports of 127.0.0.1 that lead to a server: `port`, `udp` for datagrams, each 0 where there is none.

    `within` is that of `Target`.
    """

    port: int
    udp: int = 0
    within: Callable[[int], int] = lambda port: port


def usual(port: int) -> ProtocolProbe | None:
    """The protocol whose port this usually is; None where there is none."""
    for protocol in PROTOCOLS.values():
        if port in protocol.ports or port in protocol.tls_ports:
            return ProtocolProbe.of(protocol.name, port, tls=port in protocol.tls_ports)
    return None


def speaks(probe: ProtocolProbe, port: int, timeout: float) -> bool:
    """Whether 127.0.0.1:`port` greets as the probe's protocol does, within `timeout` seconds."""
    protocol = PROTOCOLS[probe.protocol]
    return protocol.greets(_first(Target(port, timeout, probe.tls), protocol.hello))


def guessed(inside: int, port: int, timeout: float) -> ProtocolProbe | None:
    """The protocol that 127.0.0.1:`port` speaks, by its handshake alone; `inside` is the port in the container."""
    target = Target(port, min(timeout, GUESS))
    greeting = _first(target, b"")
    hellos = sorted({protocol.hello for protocol in PROTOCOLS.values()} - {b""} if not greeting else ())
    with ThreadPoolExecutor(len(hellos) or 1) as pool:
        answers = dict(zip(hellos, pool.map(lambda hello: _first(target, hello), hellos), strict=True))
    for protocol in PROTOCOLS.values():
        first = answers.get(protocol.hello, b"") if protocol.hello else greeting
        if first and protocol.greets(first):
            return ProtocolProbe.of(protocol.name, inside)
    return None


def _first(target: Target, hello: bytes) -> bytes:
    """The first bytes that a server says, after `hello` where it is not empty; b"" where it says nothing."""
    with contextlib.suppress(OSError), contextlib.closing(target.connected()) as connection:
        connection.sendall(hello)
        return connection.recv(_ENOUGH)
    return b""


def available(probe: ProtocolProbe) -> bool:
    """Whether the client library of the probe's protocol is installed."""
    return PROTOCOLS[probe.protocol].available


def accounts(probe: ProtocolProbe, env: Mapping[str, str]) -> tuple[Account, ...]:
    """Who may log in: whom the URL names, else whom the container's environment does."""
    found = tuple(PROTOCOLS[probe.protocol].accounts(env))
    if probe.user or probe.password:
        user = probe.user or (found[0].user if found else "")
        return (Account(user, probe.password, probe.path or (found[0].path if found else "")),)
    return tuple(replace(account, path=probe.path or account.path) for account in found)


def converse(
    probe: ProtocolProbe,
    ways: Ways,
    env: Mapping[str, str],
    timeout: float,
    names: tuple[Masked, ...],
) -> ProbeResult:
    """Talk to the server that `ways` lead to; never raises.

    `env` is the container's environment, `timeout` is in seconds for one answer, `names` are masked in what is
    compared. `ok` says whether the server spoke the protocol at all. The `detail` of a result that is ok is advice.
    """
    protocol = PROTOCOLS[probe.protocol]
    if not protocol.available:
        return ProbeResult(probe.name, False, detail=f"the client library is not installed: {EXTRA}")
    said = Transcript(min(CONVERSATION, 4 * timeout))
    given = bool(probe.user or probe.password)
    target = Target(
        ways.port,
        timeout,
        probe.tls,
        accounts(probe, env),
        given,
        probe.options,
        probe.path,
        probe.port,
        ways.udp,
        ways.within,
    )
    _quiet(protocol)
    why = ""
    try:
        protocol.converse(target, said)
    except Silenced as error:
        why = str(error)
    except Exception as error:  # of a client library, where a server says what it does not foresee
        why = f"{type(error).__name__}: {error}"
        said.lines.append(f"the end -> {type(error).__name__}")
    data = said.text.encode("utf-8", "backslashreplace")
    detail = said.advice if said.spoke else f"no answer: {why}"
    return ProbeResult(probe.name, said.spoke, 0, (), shape(data, *names), excerpt(data), detail)


def _quiet(protocol: Protocol) -> None:
    """What a client library logs of a server that is not ready yet is for nobody."""
    for module in protocol.modules:
        logger = logging.getLogger(module)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())


def programs(probe: ProtocolProbe, env: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The protocol's own programs that an image may bring: a name without the password, and the command line."""
    first = next(iter(accounts(probe, env)), Account())
    for words in PROTOCOLS[probe.protocol].programs:
        filled = {"user": first.user, "password": first.password, "path": first.path, "port": str(probe.port)}
        told = filled | {"password": "..."} if first.password else filled
        yield " ".join(_filled(words, told)), _filled(words, filled)


def _filled(words: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    """A command line with values in it; an option whose value is nothing goes."""
    line: list[str] = []
    for word in words:
        filled = word
        for name, value in values.items():
            filled = filled.replace(f"{{{name}}}", value)
        if word and not filled and line[-1:] and line[-1].startswith("-"):
            line.pop()
        elif filled or not word:
            line.append(filled)
    return tuple(line)
