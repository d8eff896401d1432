"""The report as a page: it needs nothing but itself, and no name in an image can add to it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from debloat.core.model import Want
from debloat.core.text import name
from debloat.debian.prune import PackageShare
from debloat.report.html import render
from debloat.result import Report
from tests.support.pages import Reader, must_admit_its_own_only, must_be_whole
from tests.support.reports import DIFFERING, EMPTY, EVIL, HOSTILE, OK, PLAIN, REPORTS

everywhere = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())


@everywhere
def test_the_page_is_whole_and_needs_nothing(report: Report) -> None:
    must_be_whole(render(report))


@everywhere
def test_the_policy_admits_its_own_style_and_script_only(report: Report) -> None:
    must_admit_its_own_only(render(report))


def test_the_policy_comes_before_anything_it_governs() -> None:
    page = render(PLAIN)
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<script>")


def test_hostile_names_are_text() -> None:
    page = render(HOSTILE)
    assert all(char.isprintable() or char == "\n" for char in page)
    assert "alert(1)</script>" not in page
    reader = Reader(page)
    assert len(reader.of("script")) == 1
    # A line end in a path is written as such, in what a program printed it is one.
    assert reader.text().count(name(EVIL)) > 15


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec=None), max_size=40))
def test_no_text_changes_the_page(text: str) -> None:
    def page(word: str) -> Reader:
        return Reader(
            render(
                replace(
                    PLAIN,
                    reference=word,
                    packages=(PackageShare(word, word, word, 1, 2, 3, 4, "partly"),),
                    answers=(
                        replace(DIFFERING.answers[0], scenario=word, difference=word, before=replace(OK, name=word)),
                    ),
                    healed=(Want(word, "healed", word, word),),
                    notes=(word,),
                )
            )
        )

    wanted, found = page("word"), page(f"x{text}")
    assert found.tags[len(found.tags) - len(wanted.tags) :] == wanted.tags[len(wanted.tags) - len(found.tags) :]
    assert len(found.tags) == len(wanted.tags)


def test_what_a_reader_looks_for() -> None:
    text = Reader(render(PLAIN)).text()
    for words in (
        "shop:1-slim",
        "-87 %",
        "88.4 MB",
        "11.7 MB",
        "proven: 2 answers",
        "libc6",
        "20 of 300",
        "/usr/bin/sh",
    ):
        assert words in text, words
    assert "1 stay whole, 1 in part, 1 are gone" in text
    assert "debloat-healed" not in text


@pytest.mark.parametrize(
    ("report", "wanted"),
    [
        (PLAIN, ("good", "proven: 2 answers, all as the original's")),
        (DIFFERING, ("bad", "1 of 2 answers differ from the original's")),
        (replace(PLAIN, verified=False, answers=()), ("warn", "not verified: nothing was replayed")),
    ],
)
def test_the_verdict_is_the_first_thing(report: Report, wanted: tuple[str, str]) -> None:
    kind, words = wanted
    assert f'<span class="badge {kind}">{words.replace(chr(39), "&#x27;")}' in render(report).replace("'s<", "&#x27;s<")


def test_a_difference_and_what_is_behind_it() -> None:
    page = render(DIFFERING)
    assert '<td class="word differs">differs</td>' in page
    assert "status 200 before, status 500 now" in page
    assert "not tagged" in page


def test_packages_by_what_stays_of_them() -> None:
    rows = re.findall(r'<tr data-state="(\w+)"><td><span class="path">([^<]+)', render(PLAIN))
    assert rows == [("partly", "libc6"), ("kept", "nginx"), ("gone", "apt")]


def test_bars_stay_in_their_frame() -> None:
    pages = [render(r) for r in (PLAIN, EMPTY, replace(PLAIN, before=PLAIN.after, after=PLAIN.before))]
    for page in pages:
        for x, width in re.findall(r'class="fill" x="([\d.]+)" width="([\d.]+)"', page):
            assert float(x) + float(width) <= 1000.1
    assert "saving grew" in pages[2]


def test_healed_paths_and_notes() -> None:
    report = replace(PLAIN, healed=(Want("/etc/late", "healed", "probe:start", "open"),), notes=("seen twice",))
    text = Reader(render(report)).text()
    assert "/etc/late" in text
    assert "seen twice" in text
    assert "Healed" not in Reader(render(PLAIN)).text()


def test_the_same_report_the_same_page() -> None:
    assert render(HOSTILE) == render(HOSTILE)
