"""Recorded sessions: what is replayed of them, on a real server, and what files of all kinds come to."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from debloat.core.errors import UsageError
from debloat.core.http import HttpProbe
from debloat.record.http import har
from tests.support.sessions import Exercised
from tests.support.shop import serving

ROOT = Path(__file__).parents[3]


def entry(method: str, url: str, start: int = 0, **request: Any) -> dict[str, Any]:
    return {
        "startedDateTime": f"2024-01-01T00:00:{start:02}.000Z",
        "request": {"method": method, "url": url, "httpVersion": "HTTP/2", "headers": [], "cookies": [], **request},
        "response": {"status": 200, "content": {"text": "x" * 100}},
    }


def session(*entries: Any, version: Any = "1.2") -> bytes:
    return json.dumps({"log": {"version": version, "creator": {"name": "test"}, "entries": entries}}).encode()


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]


def of(data: bytes) -> tuple[HttpProbe, ...]:
    return har.requests_of(io.BytesIO(data), "session.har")


def lines(data: bytes) -> list[str]:
    return [f"{probe.method} {probe.path}" for probe in of(data)]


@pytest.fixture
def shop() -> Iterator[int]:
    with serving() as port:
        yield port


LOGIN = session(
    entry("GET", "https://shop.example/login", 1),
    entry("GET", "https://tracker.invalid/pixel.gif", 2),
    entry(
        "POST",
        "https://shop.example/login",
        3,
        headers=pairs(Content_Type="application/x-www-form-urlencoded", Origin="https://shop.example", X_Mark="kept"),
        cookies=pairs(session="of-the-recording"),
        postData={
            "mimeType": "application/x-www-form-urlencoded",
            "text": "csrf=old&user=ada&password=secret",
            "params": pairs(csrf="old", user="ada", password="secret"),
        },
    ),
    entry("GET", "https://shop.example/account", 4, cookies=pairs(session="of-the-recording")),
    entry("GET", "https://shop.example/broken", 5),
)


def test_a_login_is_replayed(shop: int, tmp_path: Path) -> None:
    """With the token and the session of this start of the server, not those that were recorded."""
    (tmp_path / "session.har").write_bytes(LOGIN)
    text = f'har = ["{tmp_path / "session.har"}"]'
    first = Exercised({80: shop}, text)
    assert not first.problems
    assert first.answers == {
        "http GET http://:80/login": 200,
        "http POST http://:80/login": 302,
        "http GET http://:80/account": 200,
    }
    with serving() as other:
        again = Exercised({80: other}, text, first.probes)
    assert again.answers == first.answers
    assert again.results[2].text == "Signed in as ada"


def test_what_is_sent() -> None:
    headers = pairs(
        Accept="text/html", Cookie="a=b", Host="x", Accept_Encoding="br", If_None_Match="1", Referer="http://x/"
    )
    get, post = of(
        session(
            entry("GET", "http://x/a?b=c#d", headers=[*headers, {"name": ":path", "value": "/"}], cookies=pairs(a="b")),
            entry("POST", "http://x/api", 1, postData={"mimeType": "application/json", "text": '{"a": 1}'}),
        )
    )
    assert get == HttpProbe("GET", "/a?b=c", headers=(("Accept", "text/html"),), cookies=(("a", "b"),), found=True)
    assert (post.method, post.body, post.form) == ("POST", '{"a": 1}', ())


def test_which_are_replayed() -> None:
    """Those to the origin of the first that was made, in the order in which they were made."""
    data = session(
        entry("GET", "http://x/second", 2),
        entry("GET", "http://x/first", 1),
        entry("GET", "https://x/other-scheme", 3),
        entry("GET", "http://x:81/other-port", 3),
        entry("CONNECT", "http://x/tunnel", 3),
        entry("GET", "data:text/plain,x", 0),
        entry("GET", "http://x/chat", 3, headers=pairs(Upgrade="websocket")),
        {"no": "request"},
        entry("GET", "http://x/a b", 3),
        entry("GET", "http://x", 4),
    )
    assert lines(data) == ["GET /first", "GET /second", "GET /"]
    assert lines(b"\xef\xbb\xbf" + data) == lines(data)
    many = session(*(entry("GET", f"http://x/{n}") for n in range(har.MAX_REQUESTS + 9)))
    assert len(of(many)) == har.MAX_REQUESTS


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "session.har is not a HAR file: "),
        (b"<html>", "session.har is not a HAR file: "),
        (LOGIN[:-40], "session.har is not a HAR file: "),
        (b"{}", "session.har has no request that can be replayed"),
        (b'{"log": {"entries": [{"request": {"url": 3}}]}}', "session.har has no request that can be replayed"),
        (session(entry("GET", "http://x/"), version="2.0"), "session.har is HAR '2.0', which is not known"),
        (b'{"log":' * 100_000, "it is nested too deeply"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"log": {"version": "1.2", "entries": ["\xff"]}}', "session.har is not a HAR file: "),
    ],
)
def test_what_is_no_recording(data: bytes, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        of(data)
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def read_within(megabytes: int, path: Path) -> str:
    """What a process says that reads a file and may have so much memory."""
    code = (
        "from debloat.core.errors import UsageError\n"
        "from debloat.record.http import har\n"
        f"with open({str(path)!r}, 'rb') as file:\n"
        "    try: print(*(probe.path for probe in har.requests_of(file, 'session.har')))\n"
        "    except UsageError as error: print(error.message)\n"
    )

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))

    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=ROOT, preexec_fn=bounded, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.strip()


def test_a_large_file_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "session.har"
    pictures = [entry("GET", f"http://x/{n}", n) for n in range(10)]
    for picture in pictures:
        picture["response"]["content"]["text"] = "A" * (5 << 20)
    path.write_bytes(session(*pictures))
    assert path.stat().st_size > 50_000_000
    assert read_within(250, path).split() == [f"/{n}" for n in range(10)]


def test_a_large_file_of_brackets_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "session.har"
    before = b'{"log": {"version": "1.2", "entries": [{"request": {"url": "http://x/", "method": "GET", "x": ['
    path.write_bytes(before + b"[]," * (17 << 20) + b"[]]}}]}}")
    assert path.stat().st_size > 50_000_000
    assert read_within(250, path) == "session.har is not a HAR file: it has more than 3000000 values"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "value", "text", "mimeType", "params", "url", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
PAIRS = st.lists(st.fixed_dictionaries({"name": st.text(max_size=5), "value": st.text(max_size=5)}), max_size=3)
REQUEST = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "post", "PUT", "TRACE"]) | JSON,
        "url": st.sampled_from(["http://x/", "https://x", "http://[", "http://x/\u00e9?a=\u2028"]) | st.text() | JSON,
        "headers": PAIRS | JSON,
        "cookies": PAIRS | JSON,
        "postData": st.fixed_dictionaries({"text": st.text(max_size=5), "params": PAIRS | JSON}) | JSON,
    },
)
ENTRY = st.fixed_dictionaries({"request": REQUEST | JSON}, optional={"startedDateTime": JSON}) | JSON


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ENTRY, max_size=4), st.sampled_from(["1.2", "1.1", "", None]) | JSON)
def test_whatever_a_file_says_is_requests_or_one_sentence(entries: list[Any], version: Any) -> None:
    try:
        found = of(session(*entries, version=version))
    except UsageError:
        return
    for probe in found:
        assert probe.path.startswith("/")
        assert not set(probe.path) & set(" \r\n\0")
        assert not any(set("\r\n\0") & set(name + value) for name, value in (*probe.headers, *probe.cookies))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=100), st.integers(0, len(LOGIN)))
def test_a_damaged_file_is_requests_or_one_sentence(noise: bytes, place: int) -> None:
    for data in (noise, LOGIN[:place] + noise + LOGIN[place + len(noise) :]):
        try:
            assert of(data)
        except UsageError as error:
            assert "\n" not in error.message  # noqa: PT017
