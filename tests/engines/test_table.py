"""The table of the documentation: what a run saw goes over what it says, and what the run left out stays."""

from __future__ import annotations

from tests.engines import table
from tests.engines.setups import CI

FIRST, SECOND = CI[1].title, CI[2].title


def test_a_run_on_one_engine_keeps_what_is_told_of_the_others() -> None:
    before = f"| | {FIRST} | {SECOND} |\n|---|---|---|\n| `a` | yes | yes |\n| `b` | yes | not run |\n| `gone` | yes | yes |\n"
    seen = f"| | {SECOND} |\n|---|---|\n| `a` | no: why |\n| `b` | yes |\n| `c` | yes |\n"
    assert table.over(before, seen) == (
        f"| | {FIRST} | {SECOND} |\n|---|---|---|\n| `a` | yes | no: why |\n| `b` | yes | yes |\n| `c` | not run | yes |\n"
    )


def test_the_first_run() -> None:
    seen = f"| | {FIRST} |\n|---|---|\n| `a` | yes |\n"
    assert table.over("", seen) == seen
