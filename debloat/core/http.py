"""What is asked over HTTP: a request and all that it sends, and what its answer must be."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.core.table import SCALAR, TEXT, key, list_of, map_of, one_of, table_of, text, value_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_TARGET = re.compile(r"(?:(?P<scheme>https?)://)?(?::?(?P<port>\d{1,5})(?=[/:?]|$):?)?(?P<path>/.*|)")

MAX_BODY_FILE = 64 << 20
"""Bytes of a file that a request may send."""


class Expectation(Struct, frozen=True):
    """What the answer to a request must be; what is empty is not looked at.

    `status` are the statuses that are right. `header` and `body` are regular expressions that are found in the value of
    the header, in the body as text. `json` is JSON that the answer contains: of an object the keys that are named, of
    anything else all of it.
    """

    status: tuple[int, ...] = ()
    header: tuple[tuple[str, str], ...] = ()
    body: str = ""
    json: str = ""


class HttpProbe(Struct, frozen=True):
    """An HTTP request; `port` 0 is every port that answers HTTP, `scheme` empty tries http, then https.

    The rest is for requests that share cookies: `label` is what the user calls it, `form` fields and `files` (field,
    path on this machine) are sent as forms are, `cookies` are sent unless the server has set others of that name.
    `version` `2` is HTTP/2, over TLS or not. `save` are values of the answer (name, source as in `saved`) that stand
    for `{name}` in later requests. What is `found` was not written by the user but read in a page, a description or a
    recording: it counts only where the original answers it, and the hidden fields of its form are those of the page.
    """

    method: str = "GET"
    path: str = "/"
    port: int = 0
    scheme: str = ""
    label: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    cookies: tuple[tuple[str, str], ...] = ()
    body: str = ""
    body_file: str = ""
    form: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    version: str = ""
    expect: Expectation | None = None
    save: tuple[tuple[str, str], ...] = ()
    found: bool = False

    @property
    def name(self) -> str:
        """What reports call the probe: `http GET :8080/health`, `http POST :80/login (as a guest)`."""
        where = f"{self.scheme + '://' if self.scheme else ''}{':' + str(self.port) if self.port else ''}"
        label = f" ({self.label})" if self.label else ""
        return f"http {self.method} {where}{self.path}{label}"

    @classmethod
    def parse(cls, line: str) -> HttpProbe:
        """`[METHOD ][SCHEME://][:PORT]/PATH`: `/`, `POST /login`, `:8080/x`, `https://:8443/`; UsageError otherwise."""
        method, _, target = line.strip().rpartition(" ")
        method = method.strip().upper() or "GET"
        match = _TARGET.fullmatch(target)
        if method not in METHODS or not match or not target:
            raise UsageError(
                f"{line!r} is not an HTTP probe", "write [METHOD ]PATH, for example `/health`, `POST /login`, `:8080/`"
            )
        return cls(method, match["path"] or "/", int(match["port"] or 0), match["scheme"] or "")


class Crawl(Struct, frozen=True):
    """Pages to be found by following links from the paths `start`: at most `pages`."""

    pages: int
    start: tuple[str, ...] = ("/",)


# ------------------------------------------------------------------------------------------ the keys of debloat.toml


def expression(pattern: str) -> str:
    """A regular expression as it is written; UsageError for one that is none."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(
            f"{pattern!r} is not a regular expression: {error}", "put a backslash before what is meant as it stands"
        ) from None
    return pattern


def _header_name(name: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):  # RFC 9110, 5.1
        raise UsageError(f"{name!r} is not the name of a header", 'write it as in { "X-Request-Id" = "7" }')
    return name


def _header_value(value: str) -> str:
    if not value.isprintable() and re.search(r"[\r\n\0]", value):
        raise UsageError(f"{value!r} is not the value of a header", "keep it on one line")
    return value


def _status_list(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _is_status(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599


def _json(value: Any) -> str:
    try:
        return json.dumps(value, default=str, allow_nan=False)
    except ValueError as error:
        raise UsageError(f"{value!r} is not JSON: {error}", "JSON has neither infinity nor NaN") from None


def saved(source: str) -> str:
    """A source of a value that is saved: `json:KEY.0.KEY`, `header:NAME`, `body:REGEX`; UsageError for another."""
    kind, colon, rest = source.partition(":")
    if kind == "body" and rest:
        return f"body:{expression(rest)}"
    if kind == "header" and rest:
        return f"header:{_header_name(rest)}"
    if kind != "json" or not colon:
        raise UsageError(f"{source!r} is not a value of an answer", "write json:KEY.KEY, header:NAME or body:REGEX")
    return source


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII):
        raise UsageError(f"{name!r} is not the name of a value", "use letters, digits and underscores")
    return name


def _account(value: str) -> str:
    if ":" not in value:
        raise UsageError(f"{value!r} has no colon", 'write basic = "USER:PASSWORD"')
    return value


EXPRESSION = text("a regular expression", '"welcome"', expression)
HTTP_LINE = text("an HTTP probe", '"/"', HttpProbe.parse)
HTTP = list_of(HTTP_LINE)
HEADER_NAME = text("the name of a header", '"Accept-Language"', _header_name)
HEADER_TEXT = text(convert=_header_value)
_SAVED = text("what to save of the answer", '"json:access"', lambda source: saved(source))
_STATUS_SCHEMA = {"type": "integer", "minimum": 100, "maximum": 599}
_STATUS = value_of(
    "a status from 100 to 599, or a list of them",
    "200",
    {"anyOf": [_STATUS_SCHEMA, {"type": "array", "items": _STATUS_SCHEMA, "minItems": 1}]},
    lambda value: all(map(_is_status, value)) and bool(value) if isinstance(value, list) else _is_status(value),
    _status_list,
)
_JSON = value_of("a value that JSON has", "{ ok = true }", {}, lambda value: True, _json)


@dataclass(frozen=True, slots=True)
class ExpectSettings:
    """What the answer to a request must be, on the original image too."""

    status: tuple[int, ...] | None = key(_STATUS, "The status, or those that are right.", example="[200, 204]")
    header: Mapping[str, str] = key(
        map_of(EXPRESSION, names_like=HEADER_NAME),
        "Regular expressions that are found in headers.",
        example='{ Content-Type = "^text/html" }',
    )
    body: str | None = key(EXPRESSION, "A regular expression that is found in the body.", example='"Signed in as ada"')
    json: str | None = key(
        _JSON,
        "What the JSON of the body contains: of a table the keys that are written, else the whole value.",
        example='{ user = { name = "ada" } }',
    )


@dataclass(frozen=True, slots=True)
class RequestSettings:
    """One HTTP request with all that it sends. Requests are made in their order, and share cookies, as in a browser."""

    http: HttpProbe | None = key(HTTP_LINE, "The request: as in `http`.", example='"POST /login"', required=True)
    name: str | None = key(TEXT, "What reports add to it.", example='"as a guest"')
    headers: Mapping[str, str] = key(
        map_of(HEADER_TEXT, names_like=HEADER_NAME),
        "Headers to send.",
        example='{ Accept-Language = "de" }',
    )
    basic: str | None = key(
        text("a user and a password", '"ada:secret"', _account), "User and password of basic authentication."
    )
    bearer: str | None = key(HEADER_TEXT, "Token of bearer authentication.", example='"eyJhbGciOi..."')
    body: str | None = key(TEXT, "Text to send as the body.", example='"<order/>"')
    body_file: str | None = key(TEXT, "File to send as the body.", example='"tests/order.xml"')
    json: str | None = key(_JSON, "Value to send as JSON.", example='{ user = "ada", roles = ["admin"] }')
    form: Mapping[str, str] = key(
        map_of(SCALAR),
        "Fields of a form. Hidden fields come from the form itself, if a page before it had it.",
        example='{ user = "ada", password = "secret" }',
    )
    files: Mapping[str, str] = key(
        map_of(TEXT), "Files to upload by the field of a form.", example='{ photo = "tests/photo.jpg" }'
    )
    version: str | None = key(one_of(("1.1", "2"), '"2"'), "The version of HTTP; 2 over TLS or without it.")
    save: Mapping[str, str] = key(
        map_of(_SAVED, names_like=text("the name of a value", '"token"', _variable)),
        "Values of the answer, by the names under which later requests have them: `{token}`.",
        example='{ token = "json:access" }',
    )
    expect: ExpectSettings = key(
        table_of(ExpectSettings, '{ status = 200, body = "welcome" }'), "What the answer must be."
    )


def request_of(table: RequestSettings, where: str) -> HttpProbe:
    """The request that a table describes; `where` names the table. UsageError for what cannot be sent together."""
    line = table.http or HttpProbe()
    said = [name for name in ("body", "body_file", "json") if getattr(table, name) is not None]
    said += ["form or files"] if table.form or table.files else []
    if len(said) > 1:
        raise UsageError(f"{where} has {' and '.join(said)}: a request has one body", "keep one of them")
    headers = dict(table.headers)
    body = table.body or ""
    if table.basic is not None:
        account = base64.b64encode(table.basic.encode("utf-8", "surrogateescape")).decode()
        headers.setdefault("Authorization", f"Basic {account}")
    if table.bearer is not None:
        headers.setdefault("Authorization", f"Bearer {table.bearer}")
    if table.json is not None:
        body = table.json
        if "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = "application/json"
    for path in (table.body_file, *table.files.values()):
        if path is not None:
            must_be_a_file(path, where, MAX_BODY_FILE)
    expect = Expectation(
        table.expect.status or (),
        tuple(table.expect.header.items()),
        table.expect.body or "",
        table.expect.json or "",
    )
    return HttpProbe(
        line.method,
        line.path,
        line.port,
        line.scheme,
        table.name or "",
        tuple(headers.items()),
        body=body,
        body_file=table.body_file or "",
        form=tuple(table.form.items()),
        files=tuple(table.files.items()),
        version=table.version or "",
        expect=None if expect == Expectation() else expect,
        save=tuple(table.save.items()),
    )


def must_be_a_file(path: str, where: str, most: int) -> None:
    """UsageError unless a path is a file of at most `most` bytes; `where` names what it is for."""
    try:
        size = Path(path).stat().st_size if Path(path).is_file() else -1
    except (OSError, ValueError):
        size = -1
    if size < 0:
        raise UsageError(f"{where}: cannot read {path}", "name a file, from the directory that debloat is started in")
    if size > most:
        raise UsageError(f"{where}: {path} has more than {most >> 20} MB", "name a smaller file")
