"""Small words for people: what is printed of a name, a size, a share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.text import count, name, percent, printable, saving, size
from tests.support.reports import EVIL


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/etc/passwd", "/etc/passwd"),
        ("/srv/größe", "/srv/größe"),
        ("/a\x1b[31mb", "/a\\x1b[31mb"),
        ("/a\rb", "/a\\x0db"),
        ("/a\x9bb", "/a\\x9bb"),
        ("/a\udcff", "/a\\xff"),
        ("/a\ud800", "/a\\ud800"),
        ("/a\u202eb", "/a\\u202eb"),
        ("/a\u2028b", "/a\\u2028b"),
        ("/a\nb", "/a\\nb"),
    ],
)
def test_names(text: str, wanted: str) -> None:
    assert name(text) == wanted


def test_a_text_keeps_its_lines() -> None:
    assert printable("one\ntwo\x00") == "one\ntwo\\x00"


@given(st.text(st.characters(codec=None)))
def test_no_name_has_anything_that_acts(text: str) -> None:
    shown = name(text)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert name(EVIL + text).isprintable()


@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (82_300_000, "82.3 MB"),
        (203_000_000, "203 MB"),
        (1_500_000_000, "1.5 GB"),
        (5 * 10**13, "50000 GB"),
    ],
)
def test_sizes(number: int, wanted: str) -> None:
    assert size(number) == wanted


@pytest.mark.parametrize(
    ("part", "whole", "wanted"),
    [
        (13, 100, "-87 %"),
        (0, 100, "-100 %"),
        (1, 10_000, "-99.9 %"),
        (100, 100, "0 %"),
        (102, 100, "+2 %"),
        (0, 0, "-"),
    ],
)
def test_savings(part: int, whole: int, wanted: str) -> None:
    assert saving(part, whole) == wanted


def test_shares_and_counts() -> None:
    assert (percent(13, 100), percent(1, 0)) == ("13 %", "-")
    assert (count(1, "file"), count(0, "file"), count(1234, "file")) == ("1 file", "0 files", "1,234 files")
