"""No pattern of a rule speaks of one release: each is compared with the lists of files of Debian 11, 12 and 13.

The lists (tests/data/lists, `make lists`) have, of the packages that tests/data names for a rule, a file for each
pattern that matches one. What matches nothing is listed with the reason in tests/data/lists.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support import lists
from tests.support.archive import RELEASES
from tests.support.lists import Pattern

ABSENT = lists.described()["absent"]


def texts(entry: Mapping[str, Any], unmatched: list[Pattern]) -> set[str]:
    """The patterns, of those that match nothing, that an entry of lists.toml speaks of."""
    starting = tuple(entry.get("starting", ()))
    return {p.text for p in unmatched if p.text in entry["patterns"] or p.text.startswith(starting)}


@pytest.mark.parametrize("release", RELEASES)
def test_each_pattern_matches_or_is_excused(release: str) -> None:
    unmatched = lists.unmatched(release, lists.stored(release))
    entries = [entry for entry in ABSENT if release in entry.get("releases", RELEASES)]
    excused = {text for entry in entries for text in texts(entry, unmatched)}
    assert [str(pattern) for pattern in unmatched if pattern.text not in excused] == [], (
        "mend the pattern, say in tests/data/lists.toml why it matches nothing, or `make lists` if it is new"
    )
    stale = [text for entry in entries for text in entry["patterns"] if text not in texts(entry, unmatched)]
    stale += [s for entry in entries for s in entry.get("starting", ()) if not any(t.startswith(s) for t in excused)]
    assert stale == []


def test_patterns_speak_of_no_package_that_is_not_named() -> None:
    rules = {pattern.rule for pattern in lists.patterns()}
    assert rules == set(lists.packages_of("bookworm"))


def test_a_pattern_of_one_release_is_found_out() -> None:
    (cc1,) = (p for p in lists.patterns() if p.text == "/usr/lib/gcc/${multiarch}/*/cc1")
    assert lists.found(cc1, "bookworm", lists.stored("bookworm"))
    assert not lists.found(cc1, "trixie", lists.stored("trixie"))
