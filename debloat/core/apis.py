"""What describes or records requests (OpenAPI, HAR), and what is asked over WebSocket and gRPC."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.core.http import EXPRESSION, HEADER_NAME, HEADER_TEXT, HttpProbe, must_be_a_file
from debloat.core.table import TEXT, either, key, list_of, map_of, table_of, tables_of, text, value_of

MAX_DESCRIPTION = 16 << 20
"""Bytes of an OpenAPI document that are read."""
MAX_HAR = 256 << 20
"""Bytes of a HAR file that are read."""

_SERVICE = re.compile(r"(?:https?://)?(?::\d+)?/(?!/).*|https?://:.*")
_SOCKET = re.compile(r"(?:(?P<scheme>wss?)://)?(?::(?P<port>\d{1,5})(?=[/?]|$))?(?P<path>/.*|)")


class ApiDescription(Struct, frozen=True):
    """An OpenAPI document: a file of this machine, or else `[SCHEME://][:PORT]/PATH` of the service itself.

    `headers` are sent with each request that it leads to.
    """

    document: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def is_file(self) -> bool:
        return _is_file(self.document)

    @property
    def where(self) -> HttpProbe:
        """The request for a document of the service."""
        return HttpProbe() if self.is_file else replace(HttpProbe.parse(self.document), headers=self.headers)


class WebSocketProbe(Struct, frozen=True):
    """A conversation over WebSocket (RFC 6455): connect, send each of `send`, wait for each of `expect`, ping, close.

    `expect` are regular expressions, each found in a message that comes after that of the one before. Without any, as
    many messages are waited for as are sent, and none is needed. `port` 0 is the first that speaks HTTP, `scheme`
    (`ws`, `wss`) empty tries both.
    """

    path: str = "/"
    port: int = 0
    scheme: str = ""
    label: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    protocols: tuple[str, ...] = ()
    send: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What reports call the probe: `websocket ws://:80/chat`."""
        where = f"{self.scheme + '://' if self.scheme else ''}{':' + str(self.port) if self.port else ''}"
        return f"websocket {where}{self.path}{f' ({self.label})' if self.label else ''}"


# ------------------------------------------------------------------------------------------ the keys of debloat.toml


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _socket(line: str) -> WebSocketProbe:
    match = _SOCKET.fullmatch(line.strip())
    if not match or not line.strip():
        raise UsageError(f"{line!r} is not a WebSocket", "write [ws://:PORT]/PATH, for example `/chat`, `wss://:8443/`")
    return WebSocketProbe(match["path"] or "/", int(match["port"] or 0), match["scheme"] or "")


def _address(line: str) -> HttpProbe:
    probe = HttpProbe.parse(line) if re.fullmatch(r"(https?://)?:\d+", line) else None
    if probe is None:
        raise UsageError(f"{line!r} is not an address", 'write ":PORT", or "https://:PORT" for TLS')
    return probe


_DOCUMENT = text("a file or a path of the service", '"openapi.yaml"')


@dataclass(frozen=True, slots=True)
class OpenApiSettings:
    """An OpenAPI document (2 or 3), each operation of which is asked."""

    document: str | None = key(
        _DOCUMENT,
        "A file, or a path of the service as in `http`.",
        example='"/openapi.json"',
        required=True,
    )
    headers: Mapping[str, str] = key(
        map_of(HEADER_TEXT, names_like=HEADER_NAME),
        "Headers to send with each request.",
        example='{ Authorization = "Bearer {token}" }',
    )


@dataclass(frozen=True, slots=True)
class WebSocketSettings:
    """One conversation over WebSocket: what is sent, and what must come."""

    url: WebSocketProbe | None = key(
        text("a WebSocket", '"/chat"', _socket),
        "Where: /PATH, with ws://:PORT or wss://:PORT before it.",
        required=True,
    )
    name: str | None = key(TEXT, "What reports add to it.", example='"as a guest"')
    headers: Mapping[str, str] = key(
        map_of(HEADER_TEXT, names_like=HEADER_NAME), "Headers to send.", example='{ Origin = "https://shop.example" }'
    )
    protocols: tuple[str, ...] = key(list_of(TEXT), "Subprotocols to offer.", example='["mqtt"]')
    send: tuple[str, ...] = key(list_of(TEXT), "Messages to send, in their order.", example='["hello"]')
    expect: tuple[str, ...] = key(
        list_of(EXPRESSION), "Regular expressions, each found in a message that comes after.", example='["^hello"]'
    )


OPENAPI = either(
    text("a file or a path of the service", '"openapi.yaml"', OpenApiSettings),
    table_of(OpenApiSettings, '{ document = "openapi.yaml" }'),
    "a file, a path of the service or a table",
    '"openapi.yaml"',
)
HAR = list_of(text("a HAR file", '"session.har"'))
WEBSOCKETS = tables_of(WebSocketSettings, '[{ url = "/chat", send = ["hello"], expect = ["^hello"] }]')


def _every_port(value: Any) -> tuple[HttpProbe, ...]:
    return (HttpProbe(),) if value else ()


GRPC = either(
    value_of("true or false", "true", {"type": "boolean"}, lambda value: isinstance(value, bool), _every_port),
    list_of(text("an address", '":50051"', _address)),
    "true, false or a list of addresses",
    "true",
)


def description_of(settings: OpenApiSettings | None, where: str) -> ApiDescription | None:
    """The document that a table names; UsageError for neither a file nor a path of the service. `where` names it."""
    if settings is None or settings.document is None:
        return None
    api = ApiDescription(settings.document, tuple(settings.headers.items()))
    if not api.is_file and _SERVICE.fullmatch(api.document):
        HttpProbe.parse(api.document)
    else:
        must_be_a_file(api.document, where, MAX_DESCRIPTION)
    return api


def socket_of(table: WebSocketSettings) -> WebSocketProbe:
    """The conversation that a table describes."""
    where = table.url or WebSocketProbe()
    headers = tuple(table.headers.items())
    return WebSocketProbe(
        where.path, where.port, where.scheme, table.name or "", headers, table.protocols, table.send, table.expect
    )
