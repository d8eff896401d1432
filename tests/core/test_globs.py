"""Globs: many at once say what each alone says."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from debloat.core.globs import glob_text, matcher

NAMES = st.sampled_from(["a", "b", "ab", "a.so", "*", "?", "a*", "[ab]", "[!a]", "**", ".", "", "a\n"])
GLOBS = st.tuples(st.sampled_from(["/", ""]), st.lists(NAMES, max_size=4)).map(lambda t: t[0] + "/".join(t[1]))
PATHS = st.tuples(
    st.sampled_from(["/", ""]), st.lists(st.sampled_from(["a", "b", "ab", "a.so", ".", "a\n"]), max_size=5)
)


@given(st.lists(GLOBS, max_size=6), PATHS.map(lambda t: t[0] + "/".join(t[1])))
def test_many_globs_match_what_one_of_them_does(globs: list[str], path: str) -> None:
    each = [re.compile(f"{glob_text(glob.rstrip('/'))}(?:/.*)?", re.DOTALL) for glob in globs]
    assert matcher(globs)(path) == any(one.fullmatch(path) for one in each)
