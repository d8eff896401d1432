"""Every protocol there is, and what follows from the table: which one a port speaks, and a conversation in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from debloat.core.probes import Masked, ProbeResult, excerpt, shape
from debloat.core.protocol import ProtocolProbe
from debloat.record.protocols.base import Account, Protocol, Silenced, Target, Transcript
from debloat.record.protocols.mysql import MYSQL
from debloat.record.protocols.plain import TCP, TLS
from debloat.record.protocols.postgres import POSTGRES
from debloat.record.protocols.redis import REDIS
from debloat.record.protocols.smtp import SMTP

PROTOCOLS: Mapping[str, Protocol] = {p.name: p for p in (MYSQL, POSTGRES, REDIS, SMTP, TCP, TLS)}

EXTRA = "pip install 'debloat[protocols]'"

CONVERSATION = 60.0
"""Seconds that a conversation takes at most."""
GREETING = 3.0
"""Seconds within which a server of a protocol that belongs to a port says something."""
GUESS = 1.0
"""Seconds within which a server says something, where nothing tells which protocol it speaks."""
_ENOUGH = 512


def usual(port: int) -> ProtocolProbe | None:
    """The protocol whose port this usually is; None where there is none."""
    for protocol in PROTOCOLS.values():
        if port in protocol.ports or port in protocol.tls_ports:
            return ProtocolProbe(protocol.name, protocol.name, port, tls=port in protocol.tls_ports)
    return None


def speaks(probe: ProtocolProbe, port: int, timeout: float) -> bool:
    """Whether 127.0.0.1:`port` greets as the probe's protocol does, within `timeout` seconds."""
    protocol = PROTOCOLS[probe.protocol]
    return protocol.greets(_first(Target(port, timeout, probe.tls), protocol.hello))


def guessed(inside: int, port: int, timeout: float) -> ProtocolProbe | None:
    """The protocol that 127.0.0.1:`port` speaks, by its handshake alone; `inside` is the port in the container."""
    target = Target(port, min(timeout, GUESS))
    greeting = _first(target, b"")
    for protocol in PROTOCOLS.values():
        first = greeting if not protocol.hello else b"" if greeting else _first(target, protocol.hello)
        if first and protocol.greets(first):
            return ProtocolProbe(protocol.name, protocol.name, inside)
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
    return tuple(replace(account, path=probe.path or account.path) for account in found) or (
        (Account(path=probe.path),) if probe.path else ()
    )


def converse(
    probe: ProtocolProbe, port: int, env: Mapping[str, str], timeout: float, names: tuple[Masked, ...]
) -> ProbeResult:
    """Talk to the server at 127.0.0.1:`port`; never raises.

    `env` is the container's environment, `timeout` is in seconds for one answer, `names` are masked in what is
    compared. `ok` says whether the server spoke the protocol at all. The `detail` of a result that is ok is advice.
    """
    protocol = PROTOCOLS[probe.protocol]
    if not protocol.available:
        return ProbeResult(probe.name, False, detail=f"the client library is not installed: {EXTRA}")
    said = Transcript(min(CONVERSATION, 4 * timeout))
    given = bool(probe.user or probe.password)
    target = Target(port, timeout, probe.tls, accounts(probe, env), given, probe.options)
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


def programs(probe: ProtocolProbe, env: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The protocol's own programs that an image may bring: a name without the password, and the command line."""
    first = next(iter(accounts(probe, env)), Account())
    for words in PROTOCOLS[probe.protocol].programs:
        filled = {"user": first.user, "password": first.password, "path": first.path, "port": str(probe.port)}
        told = filled | {"password": "..."} if first.password else filled
        yield " ".join(_filled(w, told) for w in words), tuple(_filled(w, filled) for w in words)


def _filled(word: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(f"{{{name}}}", value)
    return word
