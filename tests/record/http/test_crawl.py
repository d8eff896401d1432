"""What links lead to: pure over pages, and on a real server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.record.http.pages import MAX_DEPTH, Walk, local_path, page
from tests.support.sessions import Exercised
from tests.support.shop import serving


def test_a_crawl_asks_for_the_pages_that_links_lead_to() -> None:
    with serving() as port:
        first = Exercised({80: port}, "crawl = 9")
        again = Exercised({80: port}, "", first.probes)
    assert not first.problems
    assert list(first.answers) == [
        "http GET http://:80/",
        "http GET http://:80/about",
        "http GET http://:80/cart?item=1",
        "http GET http://:80/style.css",
        "http GET http://:80/deep/1",
        "http GET http://:80/loop",
        "http GET http://:80/help/faq",
        "http GET http://:80/deep/2",
    ]  # /broken is asked for, fails by itself and is left out
    assert "http GET /broken" in first.container.marks
    assert not any("logout" in mark for mark in first.container.marks)
    assert [result.name for result in again.results] == list(first.answers)
    assert not any(before.differs(now) for before, now in zip(first.results, again.results, strict=True))


def test_a_crawl_is_as_deep_as_it_may_be() -> None:
    with serving() as port:
        seen = Exercised({80: port}, 'http = ["/deep/1"]\ncrawl = 100')
    assert len([name for name in seen.answers if "/deep/" in name and "compressed" not in name]) == MAX_DEPTH + 2


def test_a_crawl_that_finds_nothing_is_a_failure() -> None:
    with serving() as port:
        problems = Exercised({80: port}, 'http = ["/broken"]\ncrawl = 3').problems
    assert "status 500" in problems["http GET http://:80/broken (2)"]


@pytest.mark.parametrize(
    ("base", "link", "path"),
    [
        ("/", "/a", "/a"),
        ("/a/b", "c?d=1#e", "/a/c?d=1"),
        ("/a/b", "", "/a/b"),
        ("/a", "?q", "/a?q"),
        ("/", "http://127.0.0.1:4711/x", "/x"),
        ("/", "http://127.0.0.1:47110/x", ""),
        ("/", "//elsewhere/x", ""),
        ("/", "https://elsewhere/x", ""),
        ("/", "javascript:alert(1)", ""),
        ("/", "mailto:a@b", ""),
        ("/", "http://[", ""),
        ("/", "/a b", ""),
        ("/", "/" + "a" * 5000, ""),
    ],
)
def test_where_a_link_leads(base: str, link: str, path: str) -> None:
    assert local_path(base, link, ("http://127.0.0.1:4711",)) == path


def test_forms_have_their_hidden_fields() -> None:
    html = """
        <form action="/search"><input name="q"><input type="hidden" name="lang" value="de"></form>
        <form method=post><input type=HIDDEN name=csrf value=a><input type=hidden value=nameless></form>
        <form action="https://elsewhere/pay"><input type=hidden name=amount value=1></form>
        <input type=hidden name=outside value=1>
    """
    assert page("/cart", html).forms == {"/search": {"lang": "de"}, "/cart": {"csrf": "a"}}


@given(st.text(max_size=300), st.text(alphabet="/?#:@%.[]abc \\\n\x00", max_size=60))
def test_any_markup_is_read(html: str, link: str) -> None:
    found = page("/", f'{html}<a href="{link}">{html}<form action="{link}"><input type=hidden name=a>')
    for path in found.links:
        assert path.startswith("/")
        assert path.isprintable() or not path.isascii()
        assert " " not in path


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"))), st.integers(0, 10))
def test_a_walk_ends_and_asks_for_each_page_once(graph: dict[str, list[str]], pages: int) -> None:
    walk, seen = Walk(["a"], pages), []
    while name := walk.next():
        seen.append(name)
        walk.found(graph.get(name, []))
    assert len(seen) == len(set(seen)) <= pages
