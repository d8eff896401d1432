"""Requests that belong together: cookies and hidden fields of forms go from one answer to the next request."""

from __future__ import annotations

import contextlib
import http.cookiejar
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from debloat.core.errors import OriginalFails
from debloat.core.http import MAX_BODY_FILE, HttpProbe
from debloat.core.probes import HEADERS, Masked, ProbeResult, excerpt, masked, shape
from debloat.record.http.expect import unmet
from debloat.record.http.pages import Page, local_path, page
from debloat.record.http.plain import MAX_BODY_BYTES, Response, encoded
from debloat.record.http.saved import fill_in, filled_in, taken

BOUNDARY = "----debloat-part"
"""Between the parts of a form with files: the same in every run."""


class Browser:
    """A user agent for the requests of one exercise."""

    def __init__(self) -> None:
        self._jar = http.cookiejar.CookieJar()
        self._clients: dict[str, httpx.Client] = {}
        self._forms: dict[str, Mapping[str, str]] = {}
        self._saved: dict[str, str] = {}
        self.page = Page()
        """What the last answer leads to."""
        self.body = b""
        """The body of the last answer."""

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def ask(self, port: int, probe: HttpProbe, name: str, timeout: float, names: tuple[Masked, ...]) -> Response:
        """Make one request to 127.0.0.1:`port`. `name` is the probe's, `names` are masked in what is compared.

        `timeout` is in seconds. Whatever the server does is in the response; OriginalFails for a file that is not there
        any more.
        """
        self.page, self.body = Page(), b""
        probe = filled_in(probe, self._saved)
        client, scheme = self._client(probe.version), probe.scheme or "http"
        origins = (f"{scheme}://127.0.0.1:{port}", f"{scheme}://localhost:{port}")
        try:
            request = self._request(client, probe, f"{origins[0]}{encoded(probe.path)}", timeout)
            deadline = time.monotonic() + timeout
            with contextlib.closing(client.send(request, stream=True)) as response:
                body, ended = _body(response, deadline)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
            result = ProbeResult(name, False, detail=f"{type(error).__name__}: {error}")
            return Response(result, isinstance(error, httpx.TimeoutException), _is_foreign(error))
        self.page, self.body = _page_of(response, probe.path, body, origins), body
        self._forms |= self.page.forms
        headers = {key: response.headers.get(key, "") for key in HEADERS}
        problem = _problem(probe, response, body)
        if not problem and probe.save:
            values, problem = taken(probe.save, dict(response.headers), body)
            self._saved |= values
        coding = headers["content-encoding"].lower()
        shaped = f"encoded {coding}" if coding not in ("", "gzip", "deflate", "identity") else shape(body, *names)
        return Response(
            ProbeResult(
                name,
                not problem,
                response.status_code,
                tuple((key, masked(value, *names)) for key, value in headers.items()),
                shaped if ended else "without an end",
                excerpt(body),
                f"{problem}: {excerpt(body, 300)}" if problem.startswith("status") else problem,
            )
        )

    def _client(self, version: str) -> httpx.Client:
        if version not in self._clients:
            self._clients[version] = httpx.Client(
                # The certificate is the image's own affair: what counts is that it answers as before.
                verify=False,
                trust_env=False,
                http1=version != "2",
                http2=version == "2",
                cookies=self._jar,
                headers={"User-Agent": "debloat", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"},
                limits=httpx.Limits(max_keepalive_connections=0),
            )
        return self._clients[version]

    def _request(self, client: httpx.Client, probe: HttpProbe, url: str, timeout: float) -> httpx.Request:
        headers = httpx.Headers(list(probe.headers))
        content: bytes | None = probe.body.encode("utf-8", "surrogateescape") if probe.body else None
        if probe.body_file:
            content = _read(probe.body_file)
        files = {field: (Path(path).name, _read(path)) for field, path in probe.files}
        form = self._filled(probe) if probe.form or probe.files else None
        if files:
            headers["Content-Type"] = f"multipart/form-data; boundary={BOUNDARY}"
        if content is None and form is None and probe.method in ("POST", "PUT", "PATCH"):
            content = b""
        request = client.build_request(
            probe.method, url, headers=headers, content=content, data=form, files=files or None, timeout=timeout
        )
        if probe.cookies:
            current = request.headers.get("Cookie", "")
            known = {pair.partition("=")[0].strip() for pair in current.split(";")}
            added = [f"{key}={value}" for key, value in probe.cookies if key not in known]
            request.headers["Cookie"] = "; ".join(filter(None, [current, *added]))
        return request

    def _filled(self, probe: HttpProbe) -> dict[str, str]:
        """The fields of a form: those that are given, and the hidden ones of the page that had it."""
        hidden, form = self._forms.get(probe.path, {}), dict(probe.form)
        return {**form, **hidden} if probe.found else {**hidden, **form}

    def cookies(self, url: str) -> str:
        """The Cookie header that belongs to a URL; empty for none."""
        return str(self._client("").build_request("GET", url).headers.get("Cookie", ""))

    def filled_in(self, text: str) -> str:
        """A text with the values that answers have left."""
        return fill_in(text, self._saved)


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_BODY_FILE)
    except OSError as error:
        raise OriginalFails(
            f"cannot read {path}, which a request sends: {error.strerror}",
            "put it back until the run has ended",
        ) from error


def _body(response: httpx.Response, deadline: float) -> tuple[bytes, bool]:
    """The body as it was before compression, bounded, and whether it ended in time: a stream of events never does."""
    body = bytearray()
    pieces: Iterator[bytes] = response.iter_bytes()
    while len(body) < MAX_BODY_BYTES:
        try:
            piece = next(pieces, None)
        except httpx.ReadTimeout:
            return bytes(body), False
        if piece is None:
            return bytes(body), True
        body += piece
        if time.monotonic() > deadline:
            return bytes(body), False
    return bytes(body[:MAX_BODY_BYTES]), True


def _page_of(response: httpx.Response, path: str, body: bytes, origins: tuple[str, ...]) -> Page:
    if location := response.headers.get("location", ""):
        target = local_path(path, location, origins)
        return Page((target,) if target else ())
    if "html" not in response.headers.get("content-type", ""):
        return Page()
    try:
        text = body.decode(response.charset_encoding or "utf-8", "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    return page(path, text, origins)


def _problem(probe: HttpProbe, response: httpx.Response, body: bytes) -> str:
    """Why an answer is not ok: empty where it is."""
    if probe.version == "2" and response.http_version != "HTTP/2":
        return f"expected HTTP/2, the answer is {response.http_version}"
    expect = probe.expect
    if expect is not None and (problem := unmet(expect, response.status_code, dict(response.headers), body)):
        return problem
    wrong = response.status_code >= 500 and not (expect and expect.status)
    return f"status {response.status_code}" if wrong else ""


def _is_foreign(error: Exception) -> bool:
    """Whether what came is of another protocol than HTTP, except a TLS alert (RFC 8446, 6: it begins with 21)."""
    text = str(error)
    return isinstance(error, httpx.RemoteProtocolError) and "illegal status line" in text and r"\x15" not in text
