"""What is commented out, by how lines begin."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.comments import Comments


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("call()", False),
        ("# call()", True),
        ("  \t# call()", True),
        ("a # call()", False),
        ("#\ncall()", False),
        ("a; # call()", True),
        ("a; # b\ncall()", False),
        ("#{call()}", False),
    ],
)
def test_lines(text: str, held: bool) -> None:
    assert Comments(text, ("#", "//"), but="#{", inner="; #").hold(text.index("call")) is held


@given(st.text(" #{/;a\n\t\v\x1c\x85", max_size=40), st.data())
def test_the_remembered_line_changes_no_answer(text: str, data: st.DataObject) -> None:
    comments = Comments(text, ("#", "//"), but="#{", inner="; #")
    for at in data.draw(st.lists(st.integers(0, len(text)), max_size=12)):
        before = text[text.rfind("\n", 0, at) + 1 : at].lstrip()
        marked = before.startswith(("#", "//")) and not before.startswith("#{")
        assert comments.hold(at) is (marked or "; #" in before)
