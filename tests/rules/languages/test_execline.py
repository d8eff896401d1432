"""execline: its words, and the programs that scripts chain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.languages.execline import rules
from debloat.rules.languages.execline.source import words
from tests.support import trees

ELF = ("0755", b"\x7fELF")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("#!/usr/bin/execlineb -P\na b", [(2, "a"), (2, "b")]),
        ("foreground { echo x }\n# note\ntac", [(1, "foreground"), (1, "echo"), (1, "x"), (3, "tac")]),
        ('printf "a \\"b\\" c" d#e', [(1, "printf"), (1, 'a "b" c'), (1, "d#e")]),
        ("a\\ b \\# {c} 'd", [(1, "a b"), (1, "#"), (1, "{c}"), (1, "'d")]),
        ('"a\nb" c', [(1, "a\nb"), (2, "c")]),
    ],
)
def test_words(text: str, want: list[tuple[int, str]]) -> None:
    assert list(words(text)) == want


@given(st.text('ab "\\#{}\n\t', max_size=60))
def test_garbage_ends(text: str) -> None:
    for line, _ in words(text):
        assert 1 <= line <= text.count("\n") + 1


@given(st.lists(st.text(max_size=8), max_size=6))
def test_quoted_words_come_back(texts: list[str]) -> None:
    quoted = " ".join('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts)
    assert [word for _, word in words(quoted)] == texts


def test_programs_of_a_chain() -> None:
    script = '#!/usr/bin/execlineb -P\nif { test -e /etc/x.conf }\nsetuid www\nsh -c "rev <y | tac"\n'
    names = ("execlineb", "if", "setuid", "sh", "rev", "tac", "www-other", "gcc", "test")
    table = {**{f"/usr/bin/{name}": ELF for name in names}, "/etc/x.conf": "x", "/srv/run": ("0755", script)}
    found = trees.paths(trees.closed(trees.world(table), rules.RULES, "/srv/run"))
    assert {"/usr/bin/if", "/usr/bin/setuid", "/usr/bin/sh", "/usr/bin/rev", "/usr/bin/tac", "/etc/x.conf"} <= set(
        found
    )
    assert not {"/usr/bin/www-other", "/usr/bin/gcc"} & set(found)


def test_other_scripts_are_not_read() -> None:
    table = {"/usr/bin/tac": ELF, "/srv/run": ("0755", "#!/bin/sh\ntac\n")}
    assert trees.paths(trees.closed(trees.world(table), rules.RULES, "/srv/run")) == ["/srv/run"]
