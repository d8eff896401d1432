"""Protocols that are not known beyond their bytes: TCP and UDP with what to send and to expect, and TLS itself."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import time

from debloat.record.protocols.base import LOOPBACK, Protocol, Refused, Silenced, Target, Transcript, unverified

_MOST = 1 << 16
"""Bytes of an answer at most."""
_NO_ANSWER = 1.0
"""Seconds within which an answer comes to a datagram that need not be answered."""
_ESCAPE = re.compile(r"\\(n|r|t|0|\\|x[0-9a-fA-F]{2})")
_PLAIN = {"n": b"\n", "r": b"\r", "t": b"\t", "0": b"\0", "\\": b"\\"}


def unescaped(text: str) -> bytes:
    r"""The bytes of an option: UTF-8, with `\n`, `\r`, `\t`, `\0`, `\\` and `\xHH` in it."""
    found, at = bytearray(), 0
    for match in _ESCAPE.finditer(text):
        found += text[at : match.start()].encode("utf-8", "surrogateescape")
        found += _PLAIN.get(match[1]) or bytes([int(match[1][1:], 16)])
        at = match.end()
    return bytes(found + text[at:].encode("utf-8", "surrogateescape"))


def exchange(connection: socket.socket, target: Target, said: Transcript) -> None:
    """Send what the options say, and read until what they expect is there, or as long as something comes."""
    expected = re.compile(unescaped(target.options.get("expect", "")), re.DOTALL)
    if "send" in target.options:
        connection.sendall(unescaped(target.options["send"]))
    answer = bytearray()
    deadline = time.monotonic() + target.timeout
    while len(answer) < _MOST and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left if expected.pattern or not answer else min(left, 0.2))
        try:
            piece = connection.recv(_MOST)
        except TimeoutError:
            break
        answer += piece
        if not piece or (expected.pattern and expected.search(answer)):
            break
    answered(bytes(answer), expected, target, said)


def answered(answer: bytes, expected: re.Pattern[bytes], target: Target, said: Transcript) -> None:
    """Note an answer; Silenced where it is not what is expected."""
    said.ask("answer", lambda: answer)
    if not expected.search(answer):
        said.spoke = False
        raise Silenced(f"{target.options['expect']!r} was expected, and {answer[:200]!r} came")


def _tcp(target: Target, said: Transcript) -> None:
    with contextlib.closing(target.connected()) as connection:
        exchange(connection, target, said)


def _udp(target: Target, said: Transcript) -> None:
    """A datagram, and those that come back until what is expected is there. Where nothing is, none need come."""
    expected = re.compile(unescaped(target.options.get("expect", "")), re.DOTALL)
    answer = bytearray()
    with contextlib.closing(target.sender()) as sender:
        sender.send(unescaped(target.options.get("send", "")))
        deadline = time.monotonic() + (target.timeout if expected.pattern else min(target.timeout, _NO_ANSWER))
        while len(answer) < _MOST and (left := deadline - time.monotonic()) > 0:
            sender.settimeout(left)
            try:
                answer += sender.recv(_MOST)
            except TimeoutError:
                break
            if not expected.pattern or expected.search(answer):
                break
    answered(bytes(answer), expected, target, said)
    if not (answer or expected.pattern):
        said.advice = "no datagram came back; `&expect=TEXT` asks for one"


def _tls(target: Target, said: Transcript) -> None:
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        said.ask(version.name, lambda version=version: _handshake(target, version))  # type: ignore[misc]
    with (
        socket.create_connection((LOOPBACK, target.port), timeout=target.timeout) as plain,
        unverified().wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        said.ask("certificate", lambda: connection.getpeercert(binary_form=True) is not None)
        if target.options:
            exchange(connection, target, said)


def _handshake(target: Target, version: ssl.TLSVersion) -> object:
    context = unverified()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    try:
        with (
            socket.create_connection((LOOPBACK, target.port), timeout=target.timeout) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            return connection.version(), connection.cipher(), connection.selected_alpn_protocol()
    except ssl.SSLError as error:
        raise Refused(error.reason) from error


TCP = Protocol("tcp", _tcp, lambda first: False)
TLS = Protocol("tls", _tls, lambda first: False)
UDP = Protocol("udp", _udp, lambda first: False)
