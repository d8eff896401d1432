"""The judge of the fixtures: what it reads of them, and when it begins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support import fixtures

EACH_MINUTE = "* * * * *"
"""How crontab(5) says it."""


@pytest.mark.parametrize(
    ("second", "slept"), [(0.0, []), (30.0, []), (30.5, [30.5]), (59.5, [1.5])], ids=["full", "half", "past", "end"]
)
def test_a_run_is_over_before_what_starts_at_full_minutes(second: float, slept: list[float]) -> None:
    waited: list[float] = []
    fixture = replace(fixtures.load("scratch"), minutely=True)
    fixtures.clear_of_full_minutes(fixture, lambda: 1800.0 + second, waited.append)
    assert waited == slept


def test_a_run_of_what_no_clock_starts_waits_for_nothing() -> None:
    waited: list[float] = []
    fixtures.clear_of_full_minutes(fixtures.load("scratch"), lambda: 1859.0, waited.append)
    assert waited == []


@pytest.mark.parametrize("name", fixtures.names())
def test_a_fixture_with_a_job_each_minute_says_so(name: str) -> None:
    fixture = fixtures.load(name)
    files = [path for path in fixture.directory.rglob("*") if path.is_file() and "vendor" not in path.parts]
    assert fixture.minutely == any(EACH_MINUTE.encode() in path.read_bytes() for path in files)
