"""Recorded sessions: HAR 1.1 and 1.2 (w3c.github.io/web-performance/specs/HAR), as browsers and proxies save them.

A file is read as a stream: of an entry only the request is kept, so a session with all its pictures needs no more
memory than one without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.core.http import METHODS, HttpProbe

MAX_REQUESTS = 500
"""Requests of a file that are replayed: the first."""
MAX_ENTRIES = 20_000
"""Entries of a file that are looked at."""
MAX_BODY = 8 << 20
"""Characters of a request's body; one that is larger is left out."""
MAX_DEPTH = 100
"""Tables and lists that a value may stand in."""
MAX_VALUES = 3_000_000
"""Values and brackets of a file: a session of 50 MB has a tenth of that."""
_MAX_EVENTS = 20_000
"""Values that one request may consist of; one that has more is left out."""
_PIECE = 1 << 20
"""Bytes that are read at a time: a text that is longer is looked at anew with each further piece."""

_ENTRY = ["log", "entries", "item"]
_ENDS = ("end_map", "end_array")
_HAR_HINT = "save it again in the browser's network tab, as HAR"
_NOT_SENT = frozenset(
    {
        # Of the connection, not of the request (RFC 9110, 7.6.1), or counted anew.
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "host"),
        *("content-length", "expect", "proxy-authorization"),
        # What is sent of them is the replay's own affair: cookies are carried, answers are whole and readable.
        *("cookie", "accept-encoding", "if-none-match", "if-modified-since", "if-match", "if-unmodified-since"),
        *("if-range", "range"),
        # They name the host that was recorded.
        *("origin", "referer"),
    }
)


class _Entry(Struct):
    started: str = ""
    request: Any = None


def requests_of(file: IO[bytes], name: str) -> tuple[HttpProbe, ...]:
    """The requests of a HAR file that went to the origin of its first one, in the order in which they were made.

    `name` is the file's in messages. UsageError for what is no HAR, and for one without any such request.
    """
    try:
        entries = sorted(_entries(file, name), key=lambda entry: entry.started)
    except ImportError as error:
        raise UsageError(
            f"cannot replay {name}: {error.name or error} is not installed", 'pip install "debloat[http]"'
        ) from None
    origin, found = "", []
    for entry in entries:
        parts = _url(entry.request)
        if parts is None:
            continue
        path, here = parts
        origin = origin or here
        if here == origin and (probe := _probe(entry.request, path)):
            found.append(probe)
    if not found:
        raise UsageError(f"{name} has no request that can be replayed", _HAR_HINT)
    return tuple(found[:MAX_REQUESTS])


def _entries(file: IO[bytes], name: str) -> Iterator[_Entry]:
    import ijson

    try:
        if file.read(3) != b"\xef\xbb\xbf":
            file.seek(0)
        yield from _read(ijson, file, name)
    except (ijson.JSONError, UnicodeDecodeError, ValueError) as error:
        cause = " ".join(str(error).split())[:120]
        raise UsageError(f"{name} is not a HAR file: {cause or type(error).__name__}", _HAR_HINT) from None


def _read(ijson: Any, file: IO[bytes], name: str) -> Iterator[_Entry]:
    """Each entry's start and request. Whatever else is in the file is passed over."""
    entry, builder, values, count, left = _Entry(), None, 0, 0, MAX_VALUES
    version: Any = None
    place: list[str] = []  # the names of all that a value stands in, and its own
    for event, value in ijson.basic_parse(file, use_float=True, buf_size=_PIECE):
        left -= 1
        if len(place) > MAX_DEPTH or not left:
            raise ValueError("it is nested too deeply" if left else f"it has more than {MAX_VALUES} values")
        if event in _ENDS:
            place.pop()
        if len(place) > len(_ENTRY) + (event == "map_key") and place[3] == "request" and place[:3] == _ENTRY:
            builder = builder or ijson.ObjectBuilder()
            values += 1
            if values <= _MAX_EVENTS and not (isinstance(value, str) and len(value) > MAX_BODY):
                builder.event(event, value)
            else:
                values = _MAX_EVENTS + 1
        elif event == "string" and place[3:] == ["startedDateTime"] and place[:3] == _ENTRY:
            entry.started = value[:40]
        elif place == ["log", "version"] and event != "map_key":
            version = value
        elif event == "end_map" and place == _ENTRY:
            if builder is not None and values <= _MAX_EVENTS:
                entry.request = builder.value
                yield entry
            entry, builder, values, count = _Entry(), None, 0, count + 1
            if count == MAX_ENTRIES:
                break
        if event == "map_key":
            place[-1] = value
        elif event in ("start_map", "start_array"):
            place.append("item" if event == "start_array" else "")
    if version is not None and not (isinstance(version, str) and re.fullmatch(r"1\.\d{1,3}|", version)):
        raise UsageError(f"{name} is HAR {str(version)[:20]!r}, which is not known", "save it as HAR 1.2")


def _url(request: Any) -> tuple[str, str] | None:
    """Path with query, and origin, of a request; None for one that is not HTTP."""
    url = request.get("url") if isinstance(request, dict) else None
    if not isinstance(url, str) or len(url) > 8000 or re.search(r"[\x00-\x20\x7f]", url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return None
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), f"{parts.scheme}://{parts.netloc}"


def _probe(request: dict[str, Any], path: str) -> HttpProbe | None:
    method = str(request.get("method", "")).upper()
    headers = tuple(_pairs(request.get("headers")))
    if method not in METHODS or any(name.lower() == "upgrade" for name, _ in headers):
        return None
    posted = request.get("postData")
    posted = posted if isinstance(posted, dict) else {}
    kind = str(posted.get("mimeType", ""))
    content = posted.get("text")
    body, form = content if isinstance(content, str) else "", dict(_pairs(posted.get("params")))
    if kind.startswith("application/x-www-form-urlencoded") and body:
        # As fields, for the hidden ones among them are the page's, and others in each run.
        pairs = parse_qsl(body, keep_blank_values=True)
        form = dict(pairs) if len(dict(pairs)) == len(pairs) else {}
    if form:
        body = ""
    return HttpProbe(
        method,
        path,
        headers=tuple(
            (key, value)
            for key, value in headers
            if key.lower() not in _NOT_SENT and not (form and key.lower() == "content-type")
        ),
        cookies=tuple(_pairs(request.get("cookies"))),
        body=body,
        form=tuple(form.items()),
        found=True,
    )


def _pairs(values: Any) -> Iterator[tuple[str, str]]:
    """Names and values of a list of them, those that can be sent."""
    for item in values if isinstance(values, list) else ():
        name, value = (item.get("name"), item.get("value")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(value, str) or not name or name.startswith(":"):
            continue
        if not re.search(r"[\x00\r\n]", name + value):
            yield name, value
