"""The glossary is true: sorted, each word once, and what it enumerates is what the code has."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from debloat.core.model import Access, Level, Op, Policy

ROOT = Path(__file__).parents[1]
ROWS = dict(re.findall(r"^\| ([^|]+) \| (.+) \|$", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)[1:])


def test_each_word_stands_once_in_order() -> None:
    words = re.findall(r"^\| ([^|]+) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)[1:]
    assert words == sorted(set(words), key=str.lower)


def test_levels() -> None:
    assert re.findall(r"`(\w+)`", ROWS["level"]) == [str(level) for level in Level]


def test_an_access_is_what_the_model_says() -> None:
    """Its fields, in the words of the glossary; `flags` are part of the operation."""
    words = {"path": "path", "op": "operation", "flags": "operation", "probe": "probe", "program": "program"}
    assert set(words) == set(Access.__struct_fields__)
    assert all(word in ROWS["access"] for word in words.values())
    assert not {"found", "missing"} & set(re.findall(r"\w+", ROWS["access"]))
    assert "missing" not in {str(op) for op in Op}


def test_policy() -> None:
    named = set(re.findall(r"`(\w+)`", ROWS["policy"]))
    assert {"keep", "drop", "keep_packages"} <= named
    assert named <= set(Policy.__struct_fields__)


def test_stages() -> None:
    named = re.split(r", | and ", re.sub(r"[^:]*: |; for a lock or the gate", "", ROWS["stage"]).rstrip("."))
    used = set()
    for path in (ROOT / "debloat").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "stage":
                used |= {part for arg in node.args for part in re.split(" and ", ast.literal_eval(arg))}
    assert set(named) == used


def test_a_seed_is_one_thing() -> None:
    """Only the lock speaks of seeds: what a rule wants beforehand and what healing adds are claims."""
    texts = {p: re.sub(r"(?m)^from debloat\.lock\.seeds .*$", "", p.read_text()) for p in ROOT.glob("debloat/**/*.py")}
    speak = [path for path, text in texts.items() if re.search(r"(?i)\bseeds?\b", text)]
    assert {path.parent.name for path in speak} <= {"lock", "gate"}
