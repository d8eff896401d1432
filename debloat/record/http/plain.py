"""One HTTP request of a probe by itself, and the response."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from urllib.parse import quote

from msgspec import Struct

from debloat.core.http import HttpProbe
from debloat.core.probes import HEADERS, Masked, ProbeResult, excerpt, masked, shape

MAX_BODY_BYTES = 64 << 20
NON_HTTP_PORTS = frozenset(
    {
        *(21, 22, 23, 25, 53, 88, 110, 111, 119, 139, 143, 389, 445, 465, 514, 587, 636, 853, 873, 990, 993, 995),
        *(1433, 1521, 1883, 3260, 3306, 4369, 5060, 5222, 5269, 5432, 5672, 6379, 6432, 6667, 8883, 9092, 11211),
        *(26379, 27017, 33060),
    }
)
"""Ports of other protocols (IANA's registry; 6432, 26379 and 27017 by their servers' defaults)."""


class Response(Struct, frozen=True):
    """The response to a request: the probe's result, whether there was none in time (`silent`), and whether it was of
    another protocol than HTTP (`foreign`)."""

    result: ProbeResult
    silent: bool = False
    foreign: bool = False


def request(
    port: int, probe: HttpProbe, name: str, encoding: str, timeout: float, names: tuple[Masked, ...]
) -> Response:
    """Make one request to 127.0.0.1:`port`, with `encoding` as Accept-Encoding unless it is empty. Never raises.

    `name` is the probe's. `timeout` is in seconds. `names` (container id, ports) are masked in what is compared.
    """
    connection: http.client.HTTPConnection
    if probe.scheme == "https":
        # The certificate is the image's own affair: what counts is that it answers as before.
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    headers = {"User-Agent": "debloat", "Accept": "*/*"}
    try:
        connection.putrequest(probe.method, encoded(probe.path), skip_accept_encoding=True)
        for key, value in headers.items():
            connection.putheader(key, value)
        if encoding:
            connection.putheader("Accept-Encoding", encoding)
        if probe.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", "0")
        connection.endheaders()
        response = connection.getresponse()
        body, ended = _body(response, time.monotonic() + timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        result = ProbeResult(name, False, detail=f"{type(error).__name__}: {error}")
        return Response(result, isinstance(error, TimeoutError), _is_foreign(error))
    finally:
        connection.close()
    headers_seen = tuple((h, masked(response.getheader(h) or "", *names)) for h in HEADERS)
    ok = response.status < 500
    detail = "" if ok else f"status {response.status}: {excerpt(body, 300)}"
    shaped = _shape(body, response, names) if ended else "without an end"
    return Response(ProbeResult(name, ok, response.status, headers_seen, shaped, excerpt(body), detail))


def encoded(path: str) -> str:
    """A path with what is not ASCII percent-encoded, as browsers send it (RFC 3987, 3.1)."""
    return "".join(c if c.isascii() else quote(c, errors="surrogateescape") for c in path)


def _body(response: http.client.HTTPResponse, deadline: float) -> tuple[bytes, bool]:
    """The body, bounded, and whether it ended in time: a stream of events never does."""
    if response.length is not None:
        return response.read(MAX_BODY_BYTES), True
    body = bytearray()
    while len(body) < MAX_BODY_BYTES:
        piece = response.read1(1 << 16)
        if not piece:
            return bytes(body), True
        body += piece
        if time.monotonic() > deadline:
            return bytes(body), False
    return bytes(body), True


def _shape(body: bytes, response: http.client.HTTPResponse, names: tuple[Masked, ...]) -> str:
    """The shape of a body, uncompressed where it came compressed: compressors stamp times and vary."""
    coding = (response.getheader("content-encoding") or "").lower()
    if coding in ("gzip", "deflate", "x-gzip"):
        import zlib

        try:
            body = zlib.decompressobj(wbits=47).decompress(body, MAX_BODY_BYTES)
        except zlib.error:
            return "undecodable"
    elif coding:
        return f"encoded {coding}"
    return shape(body, *names)


def _is_foreign(error: Exception) -> bool:
    """Whether a response is of another protocol than HTTP, except a TLS alert (RFC 8446, 6: it begins with 21).

    A connection that is closed without a response is not foreign.
    """
    answered = isinstance(error, http.client.BadStatusLine) and not isinstance(error, http.client.RemoteDisconnected)
    return answered and not str(error).startswith("\x15")


def may_speak_tls(port: int, timeout: float) -> bool:
    """Whether 127.0.0.1:`port` reacts at all to a TLS ClientHello within `timeout` seconds."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=timeout) as plain,
            ssl._create_unverified_context().wrap_socket(plain),
        ):
            return True
    except TimeoutError:
        return False
    except OSError:
        return True  # a refusal or a wrong answer is a reaction too
