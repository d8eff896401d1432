"""The table of the documentation: what a run saw goes over what it says, and what the run left out stays."""

from __future__ import annotations

from tests.engines import table
from tests.engines.setups import CI

FIRST, SECOND = CI[1].title, CI[2].title


def drawn(*rows: str) -> str:
    head, *rest = rows
    return "\n".join((head, f"|---|{'---|' * (head.count('|') - 2)}", *rest)) + "\n"


def test_a_run_on_one_engine_keeps_what_is_told_of_the_others() -> None:
    titles = f"| | {FIRST} | {SECOND} |"
    before = drawn(titles, "| `a` | yes | yes |", "| `b` | yes | not run |", "| `d` | yes | yes |")
    seen = drawn(f"| | {SECOND} |", "| `a` | no: why |", "| `b` | yes |", "| `c` | yes |")
    after = drawn(
        titles, "| `a` | yes | no: why |", "| `b` | yes | yes |", "| `d` | yes | yes |", "| `c` | not run | yes |"
    )
    assert table.over(before, seen) == after


def test_the_first_run() -> None:
    seen = drawn(f"| | {FIRST} |", "| `a` | yes |")
    assert table.over("", seen) == seen
