"""HTTP with a registry (OCI distribution specification; Docker's token authentication).

What a server says is not trusted: answers are bounded in size and in time, redirects in number, none leads from HTTPS
to HTTP, and credentials go to the server itself and to where it says that tokens are given, nowhere else.
"""

from __future__ import annotations

import io
import json
import re
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.utils import parse_dict_header

from debloat import __version__
from debloat.core.errors import UsageError
from debloat.engine.client import cause
from debloat.store.base import StoreError
from debloat.store.credentials import Credentials, credentials
from debloat.store.mirrors import Endpoint

CONNECT, READ = 10.0, 60.0
"""Seconds to wait for a connection, and for each piece of an answer."""
PACE = 16 << 10
"""Bytes a second that a blob has to come at, on the average, at least."""
MAX_ANSWER = 4 << 20
"""Bytes of an answer that is no blob."""
_REDIRECTS = 5
_TELL = "is its name right? whoever runs it has to mend that"
_AGAIN = (301, 302, 303, 307, 308)
_MISSING, _UNAUTHORIZED, _FORBIDDEN = 404, 401, 403


class Answer:
    """A status, headers, and a body that is read when it is asked for."""

    def __init__(self, response: requests.Response, host: str, deadline: float) -> None:
        self.status = response.status_code
        self.headers = response.headers
        self._response = response
        self._host = host
        self._deadline = deadline

    def body(self, limit: int = MAX_ANSWER) -> bytes:
        """All of a small body; StoreError where it is longer than `limit`."""
        data = self.stream().read(limit + 1)
        self.close()
        if len(data) > limit:
            raise StoreError(f"cannot use {self._host}: it answers with more than {limit} bytes", "is it a registry?")
        return data

    def stream(self) -> BinaryIO:
        """The body as it comes, bounded in time."""
        return Body(self._response, self._host, self._deadline)  # type: ignore[return-value]

    def close(self) -> None:
        """Give the connection back."""
        self._response.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Body(io.RawIOBase):
    """A body on its way; `read` gives as much as is asked for, unless it ends."""

    def __init__(self, response: requests.Response, host: str, deadline: float) -> None:
        self._response = response
        self._host = host
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        pieces, left = [], size if size is not None and size >= 0 else 1 << 62
        try:
            while left > 0 and (piece := self._response.raw.read(min(left, 1 << 18), decode_content=False)):
                pieces.append(piece)
                left -= len(piece)
                if time.monotonic() > self._deadline:
                    raise StoreError(f"cannot read from {self._host}: it sends too slowly", "try it again later")
        except (urllib3.exceptions.HTTPError, requests.RequestException, OSError) as error:
            raise StoreError(f"cannot read from {self._host}: {cause(error)}", "try it again later") from error
        return b"".join(pieces)

    def close(self) -> None:
        self._response.close()
        super().close()


class Client:
    """One repository on one server. `actions` is what is wanted of it: `pull`, or `pull,push`."""

    def __init__(self, endpoint: Endpoint, actions: str = "pull") -> None:
        self.endpoint = endpoint
        self.host = endpoint.server
        self._actions = actions
        self._session = requests.Session()
        self._session.auth = _nobody  # or requests takes what ~/.netrc has
        self._session.headers["User-Agent"] = f"debloat/{__version__}"
        retry = urllib3.Retry(
            total=3,
            redirect=0,
            other=0,  # a server that does not speak TLS will not learn it
            backoff_factor=0.5,
            status_forcelist=(429, 502, 503, 504),
            allowed_methods=("GET", "HEAD"),
            respect_retry_after_header=False,  # or a server keeps us waiting for as long as it likes
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))
        self._authorization = ""
        self._base = ""

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    @property
    def base(self) -> str:
        """Where the API is, found out by asking: HTTPS, or HTTP where that is allowed and HTTPS is not spoken."""
        if not self._base:
            schemes = ("https", "http") if self.endpoint.plain else ("https",)
            for scheme in schemes:
                url = f"{scheme}://{self.host}"
                try:
                    with self._once("GET", f"{url}/v2/") as answer:
                        if answer.status == _UNAUTHORIZED:
                            self._authenticate(answer.headers.get("WWW-Authenticate", ""), url)
                        elif answer.status >= 400:
                            raise self.refused(answer, "speak to it")
                except StoreError as error:
                    if scheme == schemes[-1] or not isinstance(error.__cause__, requests.ConnectionError):
                        raise
                    continue
                self._base = url
                break
        return self._base

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Callable[[], Any] | None = None,
        size: int = 0,
    ) -> Answer:
        """The answer to a request below the repository, or at a whole address; logged in where that is asked for.

        `body` is made anew for each try; `size` is that of a blob that is sent or expected.
        """
        url = path if "://" in path else f"{self.base}/v2/{self.endpoint.path}/{path}"
        answer = self._once(method, url, headers, body, size)
        if answer.status == _UNAUTHORIZED:
            answer.close()
            self._authenticate(answer.headers.get("WWW-Authenticate", ""), self.base)
            answer = self._once(method, url, headers, body, size)
        return answer

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Callable[[], Any] | None = None,
        size: int = 0,
    ) -> Answer:
        deadline = time.monotonic() + 2 * READ + size / PACE
        for _ in range(_REDIRECTS + 1):
            sent = dict(headers or {})
            if self._authorization and urlsplit(url).netloc == self.host:
                sent["Authorization"] = self._authorization
            try:
                with warnings.catch_warnings():
                    if self.endpoint.insecure:
                        warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
                    response = self._session.request(
                        method,
                        url,
                        headers=sent,
                        data=body() if callable(body) else body,
                        timeout=(CONNECT, READ),
                        stream=True,
                        allow_redirects=False,
                        verify=False if self.endpoint.insecure else None,
                    )
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise StoreError(
                    f"cannot reach the registry {self.host}: {cause(error)}", "is its name right, and does it run?"
                ) from error
            if response.status_code not in _AGAIN or method not in ("GET", "HEAD"):
                return Answer(response, self.host, deadline)
            response.close()
            target = urljoin(url, response.headers.get("Location", ""))
            self._must_be_safe(target, url)
            url = target
        raise StoreError(f"cannot use the registry {self.host}: it redirects more than {_REDIRECTS} times", _TELL)

    def _must_be_safe(self, target: str, source: str) -> None:
        parts = urlsplit(target)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise StoreError(
                f"cannot use the registry {self.host}: it leads to {target!r:.100}, which is no address", _TELL
            )
        if parts.scheme == "http" and urlsplit(source).scheme == "https":
            raise StoreError(f"cannot use the registry {self.host}: it leads from HTTPS to HTTP", _TELL)

    def location(self, answer: Answer) -> str:
        """Where an answer says that it goes on (`Location`)."""
        target = urljoin(f"{self.base}/", answer.headers.get("Location", ""))
        self._must_be_safe(target, self.base)
        return target

    def _authenticate(self, challenge: str, base: str) -> None:
        """Get what the challenge asks for (RFC 7235; distribution, `spec/auth/token.md`)."""
        scheme, _, rest = challenge.partition(" ")
        found = credentials(self.endpoint.host, self.endpoint.path)
        if scheme.lower() == "basic" and found is not None and found.username:
            self._authorization = requests.auth._basic_auth_str(found.username, found.password)
        elif scheme.lower() == "bearer":
            asked: dict[str, str] = parse_dict_header(rest)  # type: ignore[no-untyped-call]
            self._authorization = f"Bearer {self._token(asked, found, base)}"
        elif scheme.lower() != "basic" or found is None:
            raise UsageError(
                f"the registry {self.host} wants a login, and there is none for it", f"`docker login {self.host}`"
            )

    def _token(self, challenge: Mapping[str, str], found: Credentials | None, base: str) -> str:
        realm = challenge.get("realm") or ""
        self._must_be_safe(realm, base)
        scope = f"repository:{self.endpoint.path}:{self._actions}"
        query = {"service": challenge.get("service") or "", "scope": scope}
        kept, self._authorization = self._authorization, ""
        try:
            if found is not None and found.token:
                form = {**query, "grant_type": "refresh_token", "refresh_token": found.token, "client_id": "debloat"}
                answer = self._form(realm, form)
            else:
                answer = self._get_token(realm, query, found)
        finally:
            self._authorization = kept
        if answer.status in (_UNAUTHORIZED, _FORBIDDEN):
            raise UsageError(
                f"the registry {self.host} does not take the login for it", f"log in again: `docker login {self.host}`"
            )
        try:
            document = json.loads(answer.body())
            token = document.get("token") or document["access_token"]
            if answer.status != 200 or not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
                raise ValueError(token)
        except (ValueError, KeyError, AttributeError, RecursionError):
            raise StoreError(
                f"cannot log in to {self.host}: {realm!r:.100} gives no token", "is it a registry?"
            ) from None
        return token

    def _get_token(self, realm: str, query: Mapping[str, str], found: Credentials | None) -> Answer:
        prepared = requests.Request("GET", realm, params=query).prepare()
        headers = {}
        if found is not None:
            headers["Authorization"] = requests.auth._basic_auth_str(found.username, found.password)
        return self._once("GET", str(prepared.url), headers)

    def _form(self, realm: str, form: Mapping[str, str]) -> Answer:
        prepared = requests.Request("POST", realm, data=form).prepare()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._once("POST", realm, headers, str(prepared.body).encode())

    def refused(self, answer: Answer, what: str) -> StoreError | UsageError:
        """The error of an answer that is none of those that were hoped for."""
        login = f"`docker login {self.host}`"
        if answer.status == _UNAUTHORIZED:
            return UsageError(f"cannot {what}: the registry {self.host} does not take the login for it", login)
        if answer.status == _FORBIDDEN:
            return UsageError(f"cannot {what}: the registry {self.host} does not allow it", login)
        said = re.sub(r"[^\x20-\x7e]+", " ", answer.body()[:200].decode("latin-1")).strip()
        text = f"cannot {what}: the registry {self.host} answers {answer.status} {said}"
        return StoreError(text.rstrip(), "its log says why")


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
