"""A conversation over WebSocket (RFC 6455), by the library `websockets`."""

from __future__ import annotations

import re
import ssl
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from debloat.core.apis import WebSocketProbe
from debloat.core.errors import UsageError
from debloat.core.probes import Masked, ProbeResult, excerpt, masked, shape
from debloat.record.http.plain import MAX_BODY_BYTES, Response, encoded

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

MAX_MESSAGES = 1000
"""Messages that are looked at for one that is expected."""
QUIET = 2.0
"""Seconds after which no answer is awaited any more where none is expected."""

_PROTOCOL = "sec-websocket-protocol"


class _Heard(Struct):
    """What came: the messages that count, and how many there were."""

    messages: list[bytes] = []
    count: int = 0
    size: int = 0


def converse(
    port: int, probe: WebSocketProbe, name: str, timeout: float, names: tuple[Masked, ...], cookie: str = ""
) -> Response:
    """Hold one conversation with 127.0.0.1:`port`. What the server does never raises.

    `cookie` is sent with the handshake.
    `name` is the probe's. `timeout` is in seconds, for all of it. `names` are masked in what is compared. UsageError
    where the library is not installed.
    """
    try:
        from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus, WebSocketException
        from websockets.sync.client import connect
    except ImportError as error:
        raise UsageError(
            f"cannot speak WebSocket: {error.name or error} is not installed", 'pip install "debloat[http]"'
        ) from None
    deadline, heard = time.monotonic() + timeout, _Heard()
    # The certificate is the image's own affair, as with requests.
    context = ssl._create_unverified_context() if probe.scheme == "wss" else None
    headers = [*probe.headers, *([("Cookie", cookie)] if cookie else [])]
    try:
        with connect(
            f"{probe.scheme or 'ws'}://127.0.0.1:{port}{encoded(probe.path)}",
            ssl=context,
            additional_headers=headers,
            subprotocols=list(probe.protocols) or None,  # type: ignore[arg-type]
            user_agent_header="debloat",
            proxy=None,
            open_timeout=timeout,
            close_timeout=min(timeout, 5.0),
            ping_interval=None,
            max_size=MAX_BODY_BYTES,
        ) as connection:
            problem = _talk(connection, probe, deadline, heard)
            chosen = connection.subprotocol or ""
    except InvalidStatus as error:
        status = error.response.status_code
        result = ProbeResult(name, False, status, detail=f"no WebSocket: status {status}")
        return Response(result)
    except InvalidMessage as error:
        return Response(ProbeResult(name, False, detail=f"no WebSocket: {error}"), foreign=True)
    except (InvalidHandshake, WebSocketException, OSError, ValueError) as error:
        detail = f"no WebSocket: {type(error).__name__}: {error}"
        return Response(ProbeResult(name, False, detail=detail), isinstance(error, TimeoutError))
    said = b"\n".join(heard.messages)
    shaped = shape(said, *names)
    told = ((_PROTOCOL, masked(chosen, *names)),)
    return Response(ProbeResult(name, not problem, 101, told, shaped, excerpt(said), problem))


def _talk(connection: ClientConnection, probe: WebSocketProbe, deadline: float, heard: _Heard) -> str:
    """Send, wait for what is expected, ping: empty, or what has not come."""
    from websockets.exceptions import ConnectionClosed

    expected = list(probe.expect)
    try:
        for message in probe.send:
            connection.send(message)
            if expected and (problem := _wait_for(connection, expected.pop(0), deadline, heard)):
                return problem
        for pattern in expected:
            if problem := _wait_for(connection, pattern, deadline, heard):
                return problem
        quiet = min(deadline, time.monotonic() + QUIET)
        while not probe.expect and heard.count < len(probe.send):
            if _hear(connection, quiet, heard) is None:
                break
        if not connection.ping().wait(max(deadline - time.monotonic(), 0.1)):
            return "no answer to a ping"
    except ConnectionClosed as error:
        code = error.rcvd.code if error.rcvd else None
        # A server that has said all and hangs up has answered; one that was to say more has not.
        return "" if code in (1000, 1001) and not probe.expect else f"the server hung up with code {code}"
    return ""


def _wait_for(connection: ClientConnection, pattern: str, deadline: float, heard: _Heard) -> str:
    while heard.count < MAX_MESSAGES:
        text = _hear(connection, deadline, heard)
        if text is None:
            return f"expected {pattern!r} in a message, there is none in time"
        if re.search(pattern, text):
            return ""
        heard.messages.pop()  # what nobody expects may come or not
    return f"expected {pattern!r} in a message, it is in none of {MAX_MESSAGES}"


def _hear(connection: ClientConnection, deadline: float, heard: _Heard) -> str | None:
    """The next message; None where none comes in time, or more came than is looked at."""
    try:
        message = connection.recv(timeout=max(deadline - time.monotonic(), 0.0))
    except TimeoutError:
        return None
    data = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message
    heard.count, heard.size = heard.count + 1, heard.size + len(data)
    if heard.size > MAX_BODY_BYTES:
        return None
    heard.messages.append(data)
    return data.decode("utf-8", "replace")
