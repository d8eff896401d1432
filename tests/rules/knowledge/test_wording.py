"""What the words of an image ask for: settings, locale, time zone and terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.knowledge.families import all_families
from debloat.rules.knowledge.wording import MAX_TEXT, environment, says
from tests.support import trees

ON = re.compile(r"(?i)^[^#]*\bfaster\s*=\s*on")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"Cmd": ["serve", "-c", "faster=on"]}, True),
        ({"Entrypoint": ["/bin/sh", "-c", "exec serve -c faster=on"]}, True),
        ({"Env": ["OPTIONS=-c faster=on"]}, True),
        ({"Healthcheck": {"Test": ["CMD", "ask", "--faster=on"]}}, True),
        ({"Cmd": ["serve", "-c", "faster=off"], "Env": ["FASTER=on"]}, False),
        ({}, False),
    ],
)
def test_words_of_the_configuration(config: dict[str, Any], expected: bool) -> None:
    assert says(trees.world({}, config=config), [ON], []) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slow = 1\n  Faster = on # yes\n", True),
        ("#faster = on\n", False),
        ("faster =\non\n", False),
        ("\0" * 9 + "faster=on", True),
        (" " * 5000 + "faster = on", False),
        (" " * (MAX_TEXT - 8) + "\nfaster=on", False),
    ],
)
def test_lines_of_files(text: str, expected: bool) -> None:
    world = trees.world(
        {"/etc/serve.conf": text, "/etc/link.conf": "-> serve.conf", "/etc/gone": "-> nowhere", "/etc/d/": ""}
    )
    for paths in (["/etc/serve.conf"], ["/etc/gone", "/etc/d", "/etc/none", "/etc/link.conf"]):
        assert says(world, [ON], paths) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("jit = on", True),
        ("  jit=on  # compile", True),
        ("jit_above_cost = 1000", True),
        ("jit_inline_above_cost TO 500", True),
        ("ALTER SYSTEM SET jit = 'on';", True),
        ("-c jit=1", True),
        ("#jit = on\t\t\t# allow JIT compilation", False),
        ("#jit_above_cost = 100000", False),
        ("jit = off", False),
        ("jit_above_cost = -1", False),
        ("jit_provider = 'llvmjit'", False),
        ("circuit = on", False),
    ],
)
def test_what_asks_for_the_compiler_of_postgresql(line: str, expected: bool) -> None:
    (family,) = (family for family in all_families() if family.name == "postgresql.jit")
    assert any(pattern.search(line) for pattern in family.says) is expected


@given(st.text(), st.text())
def test_any_words_are_read(word: str, text: str) -> None:
    world = trees.world({"/etc/x": text}, config={"Cmd": [word], "Env": [f"A={word}"]})
    for family in all_families():
        says(world, family.says, ["/etc/x"])


def test_environment_is_untrusted() -> None:
    config = {"Env": ["LANG=../../etc/*", "LC_ALL=de_DE.UTF-8@euro", "TZ=:../../etc/shadow", "TERM=a*"]}
    values = environment(trees.world({}, config=config))
    assert values["tz"] == values["term"] == ()
    assert {"de", "de_DE", "de_DE.utf8", "de_DE.UTF-8", "de_DE.UTF-8@euro", "de@euro"} <= set(values["locale"])
    assert not any("/" in name or "*" in name for name in values["locale"])


@given(st.dictionaries(st.sampled_from(["LANG", "LC_ALL", "TZ", "TERM", "LANGUAGE"]), st.text(max_size=20)))
def test_any_environment_is_read(env: dict[str, str]) -> None:
    config = {"Env": [f"{name}={value}" for name, value in env.items()]}
    for values in environment(trees.world({}, config=config)).values():
        assert not any(char in value for value in values for char in "*?[\0")
        assert not any(".." in value.split("/") for value in values)
