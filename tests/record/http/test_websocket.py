"""Conversations over WebSocket, with a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sessions import Exercised
from tests.support.shop import certificate, database, serving


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with serving("tests.support.petshop:app") as port:
        yield port


def conversation(url: str, keys: str = "") -> str:
    return f'[[websocket]]\nurl = "{url}"\n{keys}'


def test_a_conversation(server: int) -> None:
    keys = 'send = ["hello", "bye"]\nexpect = ["^you said hello", "^you said bye"]\nprotocols = ["chat.v1"]'
    first = Exercised({80: server}, conversation("/chat", keys))
    assert first.answers == {"websocket ws://:80/chat": 101}
    assert not first.problems
    assert first.results[0].text == "you said hello\nyou said bye"
    assert first.results[0].headers == (("sec-websocket-protocol", "chat.v1"),)
    again = Exercised({80: server}, conversation("/chat", keys), first.probes)
    assert not first.results[0].differs(again.results[0])


def test_without_an_expectation_as_many_messages_count_as_are_sent(server: int) -> None:
    (result,) = Exercised({80: server}, conversation("/chat", 'send = ["hello", "bye"]')).results
    assert result.text == "noise 0\nyou said hello"


def test_a_greeting_and_nothing_to_say(server: int) -> None:
    assert not Exercised({80: server}, conversation("/greeting", 'expect = ["^welcome"]')).problems
    assert not Exercised({80: server}, conversation("/silent")).problems


@pytest.mark.parametrize(
    ("url", "keys", "problem"),
    [
        ("/chat", 'send = ["a"]\nexpect = ["^never"]', "expected '^never' in a message, there is none in time"),
        ("/refused", "", "no WebSocket: status 403"),
        ("/hangs-up", 'send = ["a"]\nexpect = ["x"]', "the server hung up with code 1011"),
    ],
)
def test_what_is_expected_and_does_not_come(server: int, url: str, keys: str, problem: str) -> None:
    problems = Exercised({80: server}, conversation(url, keys), timeout=2).problems
    assert problems == {f"websocket ws://:80{url}": problem}


def test_cookies_and_values_of_requests_go_with_it() -> None:
    text = """
        [[request]]
        http = "GET /login"
        save = { theme = "header:set-cookie", csrf = 'body:value="([0-9a-f]+)"' }
        expect.status = 200
        [[request]]
        http = "GET /echo?{csrf}"
        headers = { X-Saved = "{theme} {unknown}" }
        expect.json.headers = { x-saved = "theme=dark; Path=/ {unknown}", cookie = "theme=dark" }
    """
    with serving() as shop:
        assert not Exercised({80: shop}, text).problems
        missing = '[[request]]\nhttp = "/welcome"\nsave = { a = "json:x" }'
        assert Exercised({80: shop}, missing).problems == {
            "http GET http://:80/welcome": "cannot save a: there is no json:x in the answer"
        }


def test_over_tls(tmp_path: Path) -> None:
    with serving("tests.support.petshop:app", *certificate(tmp_path)) as port:
        seen = Exercised({443: port}, conversation("/chat", 'send = ["a"]\nexpect = ["you said a"]'))
    assert seen.answers == {"websocket wss://:443/chat": 101}


def test_a_port_that_speaks_something_else() -> None:
    with database() as port:
        problems = Exercised({80: port}, conversation("ws://:80/chat")).problems
    assert "no WebSocket: did not receive a valid HTTP response" in problems["websocket ws://:80/chat"]
