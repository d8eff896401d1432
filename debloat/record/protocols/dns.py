"""DNS over UDP, TCP and TLS: questions of each kind about names that every server has an answer to, and its zones."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

from debloat.record.protocols.base import Protocol, Refused, Silenced, Target, Transcript

_RECURSIVE = (
    *(("localhost.", "A"), ("localhost.", "AAAA"), ("1.0.0.127.in-addr.arpa.", "PTR"), ("nowhere.invalid.", "A")),
    *(("invalid.", "SOA"), ("10.in-addr.arpa.", "SOA"), ("home.arpa.", "NS")),
)
"""Names that no server asks others for (RFC 6303, 6761, 8375): as a client asks, with recursion desired."""

_PLAIN = (
    *((".", "NS"), (".", "SOA"), (".", "DNSKEY"), ("example.", "MX"), ("example.", "TXT"), ("example.", "ANY")),
    *(("example.", "TYPE65280"), (".", "AXFR")),
)
"""Without recursion: whatever the server has of its own, or that it refuses."""

_CHAOS = ("version.bind.", "version.server.", "id.server.", "hostname.bind.", "authors.bind.")
"""What servers say of themselves (RFC 4892)."""

_ZONE = ("SOA", "NS", "A", "AAAA", "MX", "TXT", "SRV", "CAA", "DNSKEY", "DS", "NSEC3PARAM", "ANY", "AXFR")

_MADE = frozenset({"DNSKEY", "DS", "CDS", "CDNSKEY", "NSEC", "NSEC3", "NSEC3PARAM", "RRSIG"})
"""Records that servers make with keys of their own: of those it counts that they are there."""

_MOST = 1 << 16
_SILENCE = 3.0
"""Seconds after which a question is not answered."""

_ID = b"\x64\x62"
_QUERY = _ID + b"\x01\0\0\x01\0\0\0\0\0\0\x09localhost\0\0\x01\0\x01"
HELLO = len(_QUERY).to_bytes(2, "big") + _QUERY
"""A question with its length before it, as TCP has it (RFC 1035, 4.2.2)."""


def greets(first: bytes) -> bool:
    """Whether these are the first bytes of an answer to `HELLO`, or to the same by a datagram."""
    answer = first if first[:2] == _ID else first[2:]
    return len(answer) >= 12 and answer[:2] == _ID and answer[2] & 0xF8 == 0x80


def _converse(target: Target, said: Transcript) -> None:
    ways: list[tuple[str, Callable[[], socket.socket]]] = []
    if target.udp:
        ways.append(("UDP", target.sender))
    if target.port:
        ways.append(("TLS" if target.tls else "TCP", target.connected))
    limit = min(target.timeout, _SILENCE)
    for way, connect in ways:
        if _first(connect, way, limit):
            _questions(said, connect, way, target, limit)
        else:
            said.lines.append(f"over {way} -> silent")
    if not said.spoke:
        raise Silenced(f"it is silent over {' and '.join(way for way, _ in ways) or 'UDP, which does not lead there'}")


def _questions(said: Transcript, connect: Callable[[], socket.socket], way: str, target: Target, limit: float) -> None:
    for what, query in _messages(target.path):
        said.ask(f"{what} over {way}", lambda query=query: _answer(connect, way, query, limit))  # type: ignore[misc]


def _first(connect: Callable[[], socket.socket], way: str, limit: float) -> bool:
    """Whether the server answers at all, one way."""
    import dns.message

    with contextlib.suppress(OSError, EOFError):
        return _asked(connect, way, dns.message.make_query("localhost.", "A"), limit) is not None
    return False


def _messages(zone: str) -> Iterator[tuple[str, Any]]:
    """Questions, each with what it is called."""
    import dns.edns
    import dns.flags
    import dns.message
    import dns.opcode
    import dns.update

    for name, kind in _RECURSIVE:
        yield f"{name} {kind}", dns.message.make_query(name, kind)
    for name, kind in _PLAIN:
        yield f"{name} {kind}", dns.message.make_query(name, kind, flags=0)
    for name in _CHAOS:
        yield f"{name} CH TXT", dns.message.make_query(name, "TXT", "CH", flags=0)
    nsid, cookie = dns.edns.GenericOption(dns.edns.NSID, b""), dns.edns.GenericOption(dns.edns.COOKIE, b"debloat?")
    yield (
        "localhost. A with EDNS",
        dns.message.make_query("localhost.", "A", use_edns=0, want_dnssec=True, payload=1232, options=[nsid, cookie]),
    )
    yield "EDNS 7", dns.message.make_query("localhost.", "A", use_edns=7)
    status = dns.message.make_query("localhost.", "A")
    status.set_opcode(dns.opcode.STATUS)
    yield "STATUS", status
    notice = dns.message.make_query(zone or "example.", "SOA", flags=dns.flags.AA)
    notice.set_opcode(dns.opcode.NOTIFY)
    yield "NOTIFY", notice
    yield "an update that must not be", dns.update.UpdateMessage("debloat-probe.invalid.")
    if zone:
        for kind in _ZONE:
            yield f"{zone} {kind}", dns.message.make_query(zone, kind, want_dnssec=kind != "AXFR")
        yield f"debloat-probe.{zone} A", dns.message.make_query(f"debloat-probe.{zone}", "A", want_dnssec=True)


def _answer(connect: Callable[[], socket.socket], way: str, query: Any, limit: float) -> object:
    """What came: code, flags, and each section's records, in order and without the time that they are kept."""
    import dns.exception
    import dns.flags
    import dns.rcode

    try:
        answer = _asked(connect, way, query, limit)
    except (dns.exception.DNSException, EOFError, TimeoutError, ConnectionError) as error:
        raise Refused(type(error).__name__) from error
    sections = [
        sorted({_record(rrset, rdata) for rrset in section for rdata in rrset})
        for section in (answer.answer, answer.authority, answer.additional)
    ]
    return dns.rcode.to_text(answer.rcode()), dns.flags.to_text(answer.flags), answer.edns, sections


def _record(rrset: Any, rdata: Any) -> str:
    kind = rdata.rdtype.name
    return kind if kind in _MADE else f"{rrset.name} {kind} {rdata}"


def _asked(connect: Callable[[], socket.socket], way: str, query: Any, limit: float) -> Any:
    """The answer to a question, on a connection of its own. TimeoutError, or EOFError, where there is none."""
    import dns.message

    wire = query.to_wire()
    with contextlib.closing(connect()) as connection:
        connection.settimeout(limit)
        connection.sendall(wire if way == "UDP" else len(wire).to_bytes(2, "big") + wire)
        answer = connection.recv(_MOST) if way == "UDP" else _exactly(connection, _exactly(connection, 2))
    return dns.message.from_wire(answer, ignore_trailing=True)


def _exactly(connection: socket.socket, size: int | bytes) -> bytes:
    """So many bytes of a stream; as many as the two bytes that were read say."""
    wanted = int.from_bytes(size, "big") if isinstance(size, bytes) else size
    data = b""
    while len(data) < wanted:
        piece = connection.recv(wanted - len(data))
        if not piece:
            raise EOFError("the connection ended")
        data += piece
    return data


DNS = Protocol(
    "dns",
    _converse,
    greets,
    hello=HELLO,
    ports=(53, 5353, 5335),
    tls_ports=(853,),
    modules=("dns",),
    programs=(
        ("dig", "@127.0.0.1", "-p", "{port}", "+time=2", "+tries=1", "localhost"),
        ("kdig", "@127.0.0.1", "-p", "{port}", "+time=2", "+retry=0", "localhost"),
        ("drill", "-p", "{port}", "localhost", "@127.0.0.1"),
        ("host", "-p", "{port}", "-W", "2", "localhost", "127.0.0.1"),
        ("unbound-host", "-V"),
        ("unbound-checkconf",),
        ("unbound-control", "status"),
        ("named-checkconf",),
        ("rndc", "status"),
        ("knotc", "status"),
        ("knotc", "conf-check"),
        ("knotc", "zone-status"),
        ("knsupdate", "--version"),
        ("kzonecheck", "--version"),
        ("kjournalprint", "--version"),
        ("keymgr", "--version"),
        ("nsupdate", "-V"),
        ("named-checkzone", "-v"),
        ("dnssec-keygen", "-V"),
        ("nsd-checkconf", "/etc/nsd/nsd.conf"),
    ),
)
