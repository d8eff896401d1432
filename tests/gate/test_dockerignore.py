"""What a .dockerignore leaves out, compared with the rules of the builders written as regular expressions."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from debloat.gate.dockerignore import Dockerignore


@pytest.mark.parametrize(
    ("text", "path", "out"),
    [
        ("a/**/c.txt", "a/c.txt", True),
        ("a/**/c.txt", "a/b/c.txt", True),
        ("a/**/c.txt", "a/b/d/c.txt", True),
        ("a/**/c.txt", "a/xc.txt", False),
        ("a/**/c.txt", "b/a/c.txt", False),
        ("*.log", "x.log", True),
        ("*.log", "a/x.log", False),
        ("**/*.log", "a/b/x.log", True),
        ("**/*.log", "x.log", True),
        ("**.log", "a/.log", True),
        ("a/*", "a/b/c", True),
        ("a/*.txt", "a/b/c.txt", False),
        ("a**/*.txt", "a/b/c.txt", True),
        ("a**/*.txt", "ab/c.txt", True),
        ("a**/*.txt", "ac.txt", True),
        ("a**", "ab/c", True),
        ("**", "a/b", True),
        ("dir/**", "dir/a/b", True),
        ("dir/**", "dir", False),
        ("build", "build/a", True),
        ("build/", "build/a", True),
        ("/build", "build/a", True),
        ("./x/../build//a", "build/a", True),
        ("build", "a/build", False),
        ("build\n!build/keep", "build/keep", False),
        ("build\n!build/keep", "build/other", True),
        ("!build/keep\nbuild", "build/keep", True),
        ("*\n!src\n!package.json\nsrc/**/test", "src/a/b.js", False),
        ("*\n!src\n!package.json\nsrc/**/test", "src/a/test/b.js", True),
        ("*\n!src\n!package.json\nsrc/**/test", "other", True),
        ("*\n! src", "src/a", False),
        ("# build", "build", False),
        ("#build", "#build", False),
        ("  build  ", "build", True),
        ("\ufeffbuild", "build", True),
        ("a[b-d]e", "ace", True),
        ("a[^b]e", "abe", False),
        ("a?c", "a/c", False),
        (".*", ".env", True),
        (".*", "env", False),
        ("", "a", False),
        ("!", "a", False),
    ],
)
def test_patterns(text: str, path: str, out: bool) -> None:
    assert Dockerignore(text)(path) is out


def test_whether_a_pattern_brings_something_back() -> None:
    assert Dockerignore("a\n!a/b").excepts
    assert not Dockerignore("a\n# !b").excepts


def builders(pattern: str) -> re.Pattern[str]:
    """The regular expression that builders make of a pattern without brackets (moby/patternmatcher)."""
    out, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("**/", at) else 2
            out += "(.*/)?" if at < len(pattern) else ".*"
            continue
        out += {"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at]))
        at += 1
    return re.compile(out, re.DOTALL)


NAMES = st.lists(st.sampled_from(["a", "b", "ab", ".a", "ba"]), min_size=1, max_size=4).map("/".join)
PARTS = st.lists(st.sampled_from(["a", "b", "*", "**", "?", ".a", "a*", "a**", "**b", "a**b"]), min_size=1, max_size=4)


@given(st.lists(st.tuples(st.booleans(), PARTS.map("/".join)), min_size=1, max_size=3), NAMES)
@example([(False, "a**/**b")], "ab/a/b")
def test_it_is_what_builders_leave_out(rules: list[tuple[bool, str]], path: str) -> None:
    parts = path.split("/")
    above = ["/".join(parts[:number]) for number in range(1, len(parts) + 1)]
    expected = False
    for keeps, pattern in rules:
        if any(builders(pattern).fullmatch(name) for name in above):
            expected = not keeps
    text = "\n".join("!" * keeps + pattern for keeps, pattern in rules)
    assert Dockerignore(text)(path) is expected


@example("[0-.]", "a")
@example("[z-a]\na", "a")
@given(st.text(max_size=80) | st.text("ab/*?[]!\\^-.\n ", max_size=40), NAMES)
def test_any_text_is_read(text: str, path: str) -> None:
    assert Dockerignore(text)(path) in (True, False)
