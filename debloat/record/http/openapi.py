"""The operations that an OpenAPI document describes, as requests.

Specifications: OpenAPI 2.0, 3.0.4 and 3.1.1 (spec.openapis.org). An operation is asked with all that it takes and,
where that differs, with what it needs alone. What deletes comes last, what only reads comes first and, where its path
has a parameter, once more after what writes: then there is something to be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.core.http import METHODS, HttpProbe
from debloat.record.http.description import Description
from debloat.record.http.values import MAX_ITEMS, NoValue, Values

MAX_REQUESTS = 200
"""Requests that a document leads to."""
MAX_PATHS = 1000
"""Paths of a document that are looked at."""

_BOUNDARY = "----debloat-part"
_READS = ("GET", "HEAD", "OPTIONS")
_SEPARATORS = {"csv": ",", "ssv": " ", "tsv": "\t", "pipes": "|", "spaceDelimited": " ", "pipeDelimited": "|"}


class _Operation(Struct, frozen=True):
    method: str
    path: str
    base: str
    parameters: tuple[tuple[dict[str, Any], str], ...]
    body: tuple[dict[str, Any], str] | None
    consumes: tuple[str, ...] = ()


class _Parts(Struct):
    """What a request consists of, while its parameters are looked at."""

    path: dict[str, str] = {}
    query: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    cookies: dict[str, str] = {}
    form: dict[str, Any] = {}
    files: set[str] = set()
    body: str = ""


def requests_of(description: Description, headers: tuple[tuple[str, str], ...] = ()) -> tuple[HttpProbe, ...]:
    """The requests that a description leads to; `headers` are sent with each.

    UsageError where there is none. An operation that no value is found for is left out.
    """
    operations = list(_operations(description))
    found: dict[HttpProbe, str] = {}
    for lean in (False, True):
        values = Values(description, lean=lean)
        for operation in operations:
            try:
                probe = _request(operation, values, description.version, dict(headers), lean)
            except NoValue:
                continue
            found.setdefault(probe, operation.path)
    if not found:
        raise UsageError(f"{description.name} has no operation that can be asked", "name a document that has some")
    reads = [probe for probe in found if probe.method in _READS]
    writes = [probe for probe in found if probe.method not in (*_READS, "DELETE")]
    again = [probe for probe in reads if writes and "{" in found[probe]]
    deletes = [probe for probe in found if probe.method == "DELETE"]
    most = max(MAX_REQUESTS - len(deletes), MAX_REQUESTS // 2)
    return tuple([*[*reads, *writes, *again][:most], *deletes][:MAX_REQUESTS])


def _operations(description: Description) -> Iterator[_Operation]:
    document = description.document
    prefix = _prefix(document.get("servers")) if description.version == 3 else str(document.get("basePath") or "")
    for path, raw in list(document["paths"].items())[:MAX_PATHS]:
        item, base, _ = description.resolved(raw)
        if not isinstance(path, str) or not path.startswith("/"):
            continue
        for method, operation in item.items():
            if str(method).upper() not in METHODS or not isinstance(operation, Mapping):
                continue
            if operation.get("deprecated") is True:
                continue
            parameters: dict[tuple[str, str], tuple[dict[str, Any], str]] = {}
            for reference in (*_list(item.get("parameters")), *_list(operation.get("parameters"))):
                parameter, place, _ = description.resolved(reference, base)
                parameters[str(parameter.get("in")), str(parameter.get("name"))] = (parameter, place)
            servers = operation.get("servers", item.get("servers"))
            own = prefix if servers is None or description.version == 2 else _prefix(servers)
            body, place, _ = description.resolved(operation.get("requestBody"), base)
            consumes = tuple(map(str, _list(operation.get("consumes", document.get("consumes")))))
            yield _Operation(
                str(method).upper(),
                own.rstrip("/") + path,
                place,
                tuple(parameters.values()),
                (body, place) if body else None,
                consumes,
            )


def _prefix(servers: Any) -> str:
    """The path of the first server, its variables replaced by their defaults; the host is the container."""
    server = next((server for server in _list(servers) if isinstance(server, Mapping)), {})
    url, variables = str(server.get("url") or ""), server.get("variables")
    for name, variable in variables.items() if isinstance(variables, Mapping) else ():
        if isinstance(variable, Mapping):
            url = url.replace("{" + str(name) + "}", str(variable.get("default", "")))
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return path if path.startswith("/") else f"/{path}".rstrip("/")


def _request(operation: _Operation, values: Values, version: int, headers: dict[str, str], lean: bool) -> HttpProbe:
    parts = _Parts()
    for parameter, base in operation.parameters:
        where = parameter.get("in")
        if where == "body":
            parts.body = json.dumps(values.of(parameter.get("schema"), base))
            parts.headers["Content-Type"] = "application/json"
        elif where != "path" and lean and parameter.get("required") is not True:
            continue
        elif where in ("path", "query", "header", "cookie", "formData"):
            _add(parts, parameter, _of_parameter(parameter, values, base))
    multipart = "multipart/form-data" in operation.consumes and bool(parts.form)
    if operation.body and (operation.body[0].get("required") is True or not lean):
        multipart = _add_body(parts, *operation.body, values) or multipart
    path = re.sub(r"\{([^{}]*)\}", lambda match: quote(parts.path.get(match[1], "1"), safe=""), operation.path)
    if multipart:
        parts.body = _multipart(parts.form, parts.files)
        parts.headers["Content-Type"] = f"multipart/form-data; boundary={_BOUNDARY}"
    # What the user says of a header lies over what the document says.
    given = {name.lower() for name in headers}
    sent = {**{name: value for name, value in parts.headers.items() if name.lower() not in given}, **headers}
    form = {} if multipart else {key: _text(value) for key, value in parts.form.items()}
    return HttpProbe(
        operation.method,
        path + (f"?{urlencode(parts.query)}" if parts.query else ""),
        headers=tuple(sent.items()),
        cookies=tuple(parts.cookies.items()),
        body=parts.body,
        form=tuple(form.items()),
        found=True,
    )


def _of_parameter(parameter: Mapping[str, Any], values: Values, base: str) -> Any:
    """The value of a parameter: its example, or one for its schema, which OpenAPI 2 writes into it."""
    if (example := _example(parameter)) is not None:
        return example
    content = parameter.get("content")
    if isinstance(content, Mapping) and content:
        media = next(iter(content.values()))
        return json.dumps(values.of(media.get("schema") if isinstance(media, Mapping) else None, base))
    if "schema" in parameter:
        return values.of(parameter["schema"], base)
    return values.of({key: value for key, value in parameter.items() if key not in ("in", "name", "required")}, base)


def _example(table: Mapping[str, Any]) -> Any:
    """The example of a parameter or a body; None where it has none."""
    examples = table.get("examples")
    named = (
        [e.get("value") for e in examples.values() if isinstance(e, Mapping)] if isinstance(examples, Mapping) else []
    )
    return next((value for value in (table.get("example"), *named) if value is not None), None)


def _add(parts: _Parts, parameter: Mapping[str, Any], value: Any) -> None:
    """Add a parameter to a request, as its style says (OpenAPI 3.1, 4.8.12.2)."""
    name, where = str(parameter.get("name")), parameter.get("in")
    if not name or re.search(r"[\x00-\x1f\x7f]", name):
        raise NoValue("its name cannot be sent")
    style = str(
        parameter.get("style") or parameter.get("collectionFormat") or ("form" if "schema" in parameter else "csv")
    )
    if where == "query":
        parts.query += _query(name, value, style, parameter.get("explode", style == "form") is not False)
    elif where == "formData":
        parts.form[name] = value
        parts.files |= {name} if parameter.get("type") == "file" else set()
    elif where == "path":
        text = _joined(value, ",")
        prefix = {"label": ".", "matrix": f";{name}="}.get(style, "")
        parts.path[name] = prefix + (text or "1")
    else:
        text = _joined(value, ",")
        if re.search(r"[\x00-\x1f\x7f]", text) or (
            where == "header" and not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name)
        ):
            raise NoValue("it cannot be sent")
        # OpenAPI 3.0, 4.7.12.1: these are described elsewhere, and are not parameters.
        if where == "cookie":
            parts.cookies[name] = text
        elif name.lower() not in ("accept", "content-type", "authorization", "content-length", "host"):
            parts.headers[name] = text


def _query(name: str, value: Any, style: str, explode: bool) -> list[tuple[str, str]]:
    if isinstance(value, list):
        if style == "multi" or (style == "form" and explode):
            return [(name, _text(item)) for item in value[:MAX_ITEMS]]
        return [(name, _joined(value, _SEPARATORS.get(style, ",")))]
    if isinstance(value, dict):
        if style == "deepObject":
            return [(f"{name}[{key}]", _text(item)) for key, item in value.items()]
        if explode and style == "form":
            return [(str(key), _text(item)) for key, item in value.items()]
        return [(name, ",".join(f"{key},{_text(item)}" for key, item in value.items()))]
    return [(name, _text(value))]


def _joined(value: Any, separator: str) -> str:
    if isinstance(value, list):
        return separator.join(map(_text, value))
    if isinstance(value, dict):
        return separator.join(f"{key}{separator}{_text(item)}" for key, item in value.items())
    return _text(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, default=str)


def _add_body(parts: _Parts, body: Mapping[str, Any], base: str, values: Values) -> bool:
    """Add the body of an operation, in the type that is said best; whether it is a form with files."""
    content = body.get("content")
    types = {str(kind): media for kind, media in content.items()} if isinstance(content, Mapping) else {}
    kind = min(types, key=_rank, default="")
    media = types.get(kind)
    if not kind or not isinstance(media, Mapping):
        return False
    plain = kind.partition(";")[0].strip().lower()
    example = _example(media)
    value = values.of(media.get("schema"), base) if example is None else example
    if plain in _FORMS and isinstance(value, dict):
        parts.form.update(value)
        parts.files |= values.files(media.get("schema"), base)
        return plain == "multipart/form-data"
    if "json" not in plain and not isinstance(value, str):
        raise NoValue(f"no {plain} is generated")
    parts.body = value if isinstance(value, str) and "json" not in plain else json.dumps(value, default=str)
    parts.headers["Content-Type"] = "application/json" if "*" in kind else kind
    return False


_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def _rank(kind: str) -> tuple[int, str]:
    """Which of several types of content is sent: the lowest."""
    plain = kind.partition(";")[0].strip().lower()
    ranks = ("application/json", "+json", "*/*", *_FORMS, "text/plain")
    return next(
        (n for n, rank in enumerate(ranks) if plain == rank or (rank[0] == "+" and plain.endswith(rank))), 9
    ), kind


def _multipart(form: Mapping[str, Any], files: set[str]) -> str:
    """A form as multipart/form-data (RFC 7578)."""
    lines = []
    for name, value in form.items():
        quoted = name.replace('"', "%22").replace("\r", "").replace("\n", "")
        file = '; filename="file.txt"\r\nContent-Type: text/plain' if name in files else ""
        lines += [f"--{_BOUNDARY}", f'Content-Disposition: form-data; name="{quoted}"{file}', "", _text(value)]
    return "\r\n".join([*lines, f"--{_BOUNDARY}--", ""])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
