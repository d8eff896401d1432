"""Requests of a `debloat.toml` on a real server: what is sent, what goes from one to the next, what is expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sessions import Exercised
from tests.support.shop import certificate, database, serving


@pytest.fixture(scope="module")
def shop() -> Iterator[int]:
    with serving() as port:
        yield port


LOGIN = """
[[request]]
http = "/account"
expect = { status = 401 }

[[request]]
http = "/login"

[[request]]
http = "POST /login"
form = { user = "ada", password = "secret" }
expect = { status = [302, 303], header = { location = "^/account$" } }

[[request]]
http = "/account"
expect = { body = "Signed in as ada" }
"""


def test_a_login_goes_through_form_token_and_cookies(shop: int) -> None:
    first = Exercised({80: shop}, LOGIN)
    assert not first.problems
    assert first.answers == {
        "http GET http://:80/account": 401,
        "http GET http://:80/login": 200,
        "http POST http://:80/login": 302,
        "http GET http://:80/account (2)": 200,
    }
    again = Exercised({80: shop}, LOGIN, first.probes)
    assert [before.differs(now) for before, now in zip(first.results, again.results, strict=True)] == [""] * 4


def test_no_cookie_outlives_an_exercise(shop: int) -> None:
    assert not Exercised({80: shop}, LOGIN).problems
    assert not Exercised({80: shop}, LOGIN).problems  # 401 comes first again


def echoed(shop: int, keys: str, expect: str) -> dict[str, str]:
    return Exercised({80: shop}, f'[[request]]\nhttp = "POST /echo"\n{keys}\nexpect = {{ json = {expect} }}').problems


@pytest.mark.parametrize(
    ("keys", "expect"),
    [
        ('body = "<order/>"', '{ body = "<order/>" }'),
        ("json = { a = [1, true, 2.5] }", "{ body = '{\"a\": [1, true, 2.5]}' }"),
        ("json = { a = 1 }", '{ headers = { content-type = "application/json" } }'),
        (
            'json = 1\nheaders = { content-type = "application/x+json" }',
            '{ headers = { content-type = "application/x+json" } }',
        ),
        ('form = { a = "1 2", b = 3 }', '{ body = "a=1+2&b=3" }'),
        ('headers = { X-Name = "ada" }', '{ headers = { x-name = "ada", user-agent = "debloat" } }'),
        ('headers = { Accept-Encoding = "identity" }', '{ headers = { accept-encoding = "identity" } }'),
        ('bearer = "abc"', '{ headers = { authorization = "Bearer abc" } }'),
        ('headers = { Host = "shop.example" }', '{ headers = { host = "shop.example" } }'),
        ("", '{ method = "POST", headers = { content-length = "0" }, version = "1.1" }'),
    ],
)
def test_what_is_sent(shop: int, keys: str, expect: str) -> None:
    assert not echoed(shop, keys, expect)


def test_files_are_sent(shop: int, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    path = tmp_path / "a.txt"
    upload = f"""
        [[request]]
        http = "POST /upload"
        form = {{ title = "greeting" }}
        files = {{ photo = "{path}" }}
        expect.json.photo = {{ filename = "a.txt", bytes = 5 }}
        expect.json.title = {{ text = "greeting" }}
    """
    first = Exercised({80: shop}, upload)
    assert not first.problems
    assert first.results[0].shape == Exercised({80: shop}, upload, first.probes).results[0].shape
    assert not echoed(shop, f'body_file = "{path}"', '{ body = "hello" }')


@pytest.mark.parametrize(("account", "status"), [("ada:secret", 200), ("ada:wrong", 401)])
def test_basic_authentication(shop: int, account: str, status: int) -> None:
    text = f'[[request]]\nhttp = "/basic"\nbasic = "{account}"\nexpect = {{ status = {status} }}'
    assert not Exercised({80: shop}, text).problems


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ("{ status = 201 }", "expected status 201, it is 200"),
        ("{ status = [201, 204] }", "expected status 201 or 204, it is 200"),
        ('{ body = "Goodbye" }', "expected 'Goodbye' in the body, it is '<h1>Welcome</h1>'"),
        ('{ header = { X-Frame-Options = "DENY" } }', "expected a header X-Frame-Options, there is none"),
        ('{ header = { content-type = "pdf" } }', "expected 'pdf' in the header content-type"),
        ("{ json = { ok = true } }", "expected JSON, the body is '<h1>Welcome</h1>'"),
        ('{ status = 404, body = "x" }', "expected status 404, it is 200; expected 'x' in the body"),
    ],
)
def test_what_is_expected_and_is_not_so(shop: int, expect: str, problem: str) -> None:
    problems = Exercised({80: shop}, f'[[request]]\nhttp = "/welcome"\nexpect = {expect}').problems
    assert problem in problems["http GET http://:80/welcome"]


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_that_is_expected_is_right(shop: int, status: int) -> None:
    path = {500: "/broken", 503: "/maintenance"}[status]
    text = '[[request]]\nhttp = "{}"\nexpect = {{ {} }}'
    assert not Exercised({80: shop}, text.format(path, f"status = {status}")).problems
    if status == 500:
        assert (
            "status 500"
            in Exercised({80: shop}, text.format(path, 'body = "broken"')).problems[f"http GET http://:80{path}"]
        )


def test_names_of_requests(shop: int) -> None:
    text = 'http = ["/welcome"]\n[[request]]\nhttp = "/welcome"\n[[request]]\nhttp = "/welcome"\nname = "in German"'
    assert list(Exercised({80: shop}, text).answers) == [
        "http GET http://:80/welcome",
        "http GET http://:80/welcome (compressed)",
        "http GET http://:80/welcome (2)",
        "http GET http://:80/welcome (in German)",
    ]


def test_masks(shop: int) -> None:
    """What changes in letters alone is no number, id or time: only the user knows it."""
    asked = '\n[[request]]\nhttp = "/token"\nexpect = { body = "token=[a-h]{12}" }'
    bare, masked = Exercised({80: shop}, asked), Exercised({80: shop}, f'masks = ["token=[a-h]+"]{asked}')
    assert bare.results[0].differs(Exercised({80: shop}, asked, bare.probes).results[0]) == "the output differs"
    again = Exercised({80: shop}, f'masks = ["token=[a-h]+"]{asked}', masked.probes)
    assert masked.results[0].differs(again.results[0]) == ""


def test_requests_go_to_the_first_port_that_speaks_http(shop: int) -> None:
    """A database in the same container, on a lower port, is not asked."""
    with database() as port:
        seen = Exercised({79: port, 80: shop}, LOGIN)
    assert not seen.problems
    assert all(":80/" in name for name in seen.answers)


def test_unverified_https_and_http_2(tmp_path: Path) -> None:
    text = """
        [[request]]
        http = "/echo"
        expect.json = { scheme = "https", version = "1.1" }
        [[request]]
        http = "/echo"
        version = "2"
        expect.json = { scheme = "https", version = "2" }
    """
    with serving("tests.support.shop:app", *certificate(tmp_path)) as port:
        seen = Exercised({443: port}, text)
    assert not seen.problems
    assert list(seen.answers) == ["http GET https://:443/echo", "http GET https://:443/echo (2)"]


def test_http_2_without_tls(shop: int) -> None:
    text = '[[request]]\nhttp = "/echo"\nversion = "2"\nexpect.json = { scheme = "http", version = "2" }'
    assert not Exercised({80: shop}, text).problems
