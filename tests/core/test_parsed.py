"""What is kept of texts for the next run: the closure is the same without it, with it, and with a broken one."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.closure import close
from debloat.core import parsed
from debloat.core.model import Closure
from debloat.rules import all_rules
from debloat.rules.languages.perl import source as perlparse
from debloat.rules.languages.php import source as phpsource
from debloat.rules.languages.python import source
from debloat.rules.languages.ruby import source as rubysource
from tests.support import trees

FILLED = "#" * parsed.MIN_CACHED_BYTES
IMAGE: trees.Table = {
    "/app/run.py": f"import helper, subprocess\nsubprocess.run(['tool'])\n{FILLED}",
    "/app/helper.py": FILLED,
    "/app/run.pl": ("0755", f"#!/usr/bin/perl\nuse lib '/app/lib';\nuse My::Thing;\n{FILLED}"),
    "/app/lib/My/Thing.pm": f"package My::Thing;\nuse Encode;\nrequire My::Other;\n{FILLED}",
    "/app/lib/My/Other.pm": FILLED,
    "/app/run.rb": f"%w[one two].each {{ |name| require_relative name }}\nrequire 'set'\n{FILLED}",
    "/app/index.php": f"<?php\nforeach (['a', 'b'] as $f) {{ require __DIR__ . \"/$f.php\"; }}\n{FILLED}",
    "/usr/bin/perl": ("0755", "\x7fELF"),
    "/usr/bin/tool": ("0755", "\x7fELF"),
}


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is kept, for one test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return parsed.cache_path()


def closure() -> Closure:
    perlparse.parse.cache_clear()
    return close(trees.world(IMAGE), all_rules())


def closure_of_a_run() -> Closure:
    with parsed.open_cache():
        return closure()


def test_the_closure_is_the_same_cold_warm_and_absent(kept: Path) -> None:
    absent = closure()
    assert not kept.exists()
    cold = closure_of_a_run()
    assert kept.exists()
    assert closure_of_a_run() == cold == absent


def test_a_text_is_read_once(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []

    @parsed.cached(str, str)
    def reader(text: bytes) -> str:
        reads.append(text)
        return "found"

    for _ in range(2):
        with parsed.open_cache():
            assert reader(FILLED.encode()) == "found"
            reader(b"short")
    assert reads == [FILLED.encode(), b"short", b"short"]


@pytest.mark.parametrize("broken", [b"", b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_broken_file_changes_nothing(kept: Path, broken: bytes) -> None:
    kept.parent.mkdir()
    kept.write_bytes(broken)
    assert closure_of_a_run() == closure()
    assert closure_of_a_run() == closure()


def test_damage_within_is_read_again(kept: Path) -> None:
    before = closure_of_a_run()
    data = kept.read_bytes()
    kept.write_bytes(data.replace(b"My::Other", b"My::Wrong"))
    assert closure_of_a_run() == before


def test_a_place_that_cannot_be_written_changes_nothing(kept: Path) -> None:
    kept.parent.parent.joinpath("debloat").write_text("in the way")
    assert closure_of_a_run() == closure()


def test_it_is_begun_anew_when_it_is_too_large(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closure_of_a_run()
    monkeypatch.setattr(parsed, "MAX_CACHE_BYTES", 1)
    reader = parsed.cached(str, str)(lambda text: "found")
    with parsed.open_cache():
        reader(FILLED.encode())
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept.parents[1]))
    assert b"My::Other" not in kept.read_bytes()


def test_two_runs_at_once_share_it(kept: Path) -> None:
    with parsed.open_cache(), parsed.open_cache():
        first = closure()
    assert closure_of_a_run() == first


def test_another_version_of_the_code_has_another_digest(tmp_path: Path) -> None:
    module = tmp_path / "reading" / "source.py"
    module.parent.mkdir()
    (tmp_path / "notes.txt").touch()
    module.write_text("LIMIT = 1\n")
    known = [parsed.identifying(tmp_path)]
    module.write_text("LIMIT = 10\n")
    known.append(parsed.identifying(tmp_path))
    os.utime(module, ns=(0, 1))
    known.append(parsed.identifying(tmp_path))
    (tmp_path / "more.py").touch()
    known.append(parsed.identifying(tmp_path))
    assert len(set(known)) == len(known)
    (tmp_path / "notes.txt").write_text("nothing that is run")
    assert parsed.identifying(tmp_path) == known[-1]


def test_it_can_be_forgotten(kept: Path) -> None:
    closure_of_a_run()
    parsed.clear_cache()
    parsed.clear_cache()
    assert not kept.exists()


@settings(deadline=None)
@given(
    st.text(alphabet="import from use Encode::JP '\"\n#;()", min_size=1, max_size=300)
    | st.lists(st.sampled_from(["<?php ", "require ", "'a'", ". ", "__DIR__", ";", "\n", "%w[a b].each { |f| ", "f }"]))
    .map("".join)
    .filter(bool)
)
def test_what_comes_back_is_what_was_read(text: str) -> None:
    data = (text + FILLED).encode()
    perl = (perlparse.parse.__wrapped__, perlparse.names_encodings)
    for reader in (source.facts, source.outline, *perl, rubysource._parsed, phpsource._parsed):
        plain = reader(data)
        with pytest.MonkeyPatch.context() as patch:
            shelf = _Memory()
            patch.setattr(parsed, "_cache", shelf)
            assert reader(data) == plain
            assert reader(data) == plain
            assert shelf.hits == 1


class _Memory:
    """The shelf without a file, its values as JSON has them; for one text."""

    def __init__(self) -> None:
        self._kept = "{}"
        self.hits = 0

    def facts(self, text: bytes) -> parsed._Facts:
        found = json.loads(self._kept)
        self.hits += bool(found)
        return parsed._Facts(text, b"", found)

    def put(self, facts: parsed._Facts, name: str, value: object) -> None:
        self._kept = json.dumps({**json.loads(self._kept), name: value})
