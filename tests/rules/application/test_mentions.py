"""Literal paths and names of programs in the application's sources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.closure import close
from debloat.core.model import Level, Want
from debloat.rules.application.mentions import MAX_DIRECTORY, RULES, _names, _paths
from tests.support import trees
from tests.support.dpkgdb import debian_world

ELF = ("0755", "\x7fELF")
SYSTEM: trees.Table = {
    "/usr/bin/pdftoppm": ELF,
    "/usr/bin/factor": ELF,
    "/usr/bin/perl": ELF,
    "/usr/bin/gcc": ELF,
    "/usr/bin/webpack": ELF,
    "/usr/bin/pip3": ELF,
    "/usr/share/fonts/dejavu/Sans.ttf": "x",
    "/usr/share/dict/words": "x",
    "/usr/local/lib/built/test/suite.py": "x",
    "/usr/share/large/data": b"x" * (MAX_DIRECTORY + 1),
}
OWNED = {
    "tools": [path for path in SYSTEM if path != "/usr/bin/factor" and "/local/" not in path],
    "coreutils": ["/usr/bin/factor"],
}


def found(source: str, name: str = "/srv/app/main.py", level: Level = Level.SAFE) -> list[str]:
    world = trees.world({**SYSTEM, name: source}, owned=OWNED, essential=("coreutils",), level=level)
    return [p for p in trees.paths(close(world, RULES, [Want(name, "seed", "probe:x")])) if p != name]


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("main.py", 'truetype("/usr/share/fonts/dejavu/Sans.ttf", 12)', ["/usr/share/fonts/dejavu/Sans.ttf"]),
        ("main.js", "open(`/usr/share/dict/words`)", ["/usr/share/dict/words"]),
        ("main.rb", "File.read '/usr/share/dict/words'", ["/usr/share/dict/words"]),
        ("main.php", "file('/usr/share/dict/words');", ["/usr/share/dict/words"]),
        ("main.pl", 'open F, "/usr/share/dict/words"', ["/usr/share/dict/words"]),
        (".env", "WORDS=/usr/share/dict/words\nTOOL=pdftoppm", ["/usr/bin/pdftoppm", "/usr/share/dict/words"]),
        ("main.py", 'FONTS = "/usr/share/fonts"', ["/usr/share/fonts", "/usr/share/fonts/dejavu/Sans.ttf"]),
        # More than the data of one program, what is everybody's, and no literal of its own.
        ("main.py", 'X = "/usr/share/large"', ["/usr/share/large"]),
        ("main.py", 'X = "/usr/share"', []),
        # What no package brought below it is not a mention's.
        ("main.py", 'X = "/usr/local"', ["/usr/local"]),
        ("main.py", 'X = "see /usr/share/dict/words"', []),
        ("notes.txt", '"/usr/share/dict/words"', []),
    ],
)
def test_literal_paths(name: str, source: str, expected: list[str]) -> None:
    assert found(source, f"/srv/app/{name}") == expected


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("main.py", "import subprocess\nclass A:\n  tool = 'pdftoppm'\n"),
        ("main.py", "import os, subprocess\nsubprocess.run([os.environ.get('TOOL', 'pdftoppm')])"),
        ("main.py", "import subprocess\ndef run(tool='pdftoppm'): subprocess.run([tool])"),
        ("main.js", "const {spawn} = require('child_process'); const T = {a: 'pdftoppm'}; spawn(T.a)"),
        ("main.rb", "TOOLS = %w[pdftoppm]\nsystem(TOOLS[0], 'x')"),
        ("main.pl", "my @t = qw(pdftoppm x); system @t;"),
        ("main.php", "<?php $t = ['a' => 'pdftoppm']; shell_exec($t['a'] . ' x');"),
        ("main.lua", "local t = 'pdftoppm'; os.execute(t)"),
    ],
)
def test_a_name_that_stands_in_no_call(name: str, source: str) -> None:
    assert found(source, f"/srv/app/{name}") == ["/usr/bin/pdftoppm"]


@pytest.mark.parametrize(
    "source",
    [
        "tool = 'pdftoppm'",  # nothing here starts a program
        "import subprocess\ntool = 'perl', 'gcc', 'pip3', 'webpack'",
        "import subprocess\ntool = '/usr/bin/perl', '/usr/bin/gcc'",
        "import subprocess\ntool = 'nosuchprogram'",
    ],
)
def test_what_a_mention_does_not_start(source: str) -> None:
    assert found(source) == []


def test_others_code_names_what_it_could_do() -> None:
    library = "/usr/local/lib/python3.11/site-packages/pdf/main.py"
    source = "import subprocess\ntool = 'pdftoppm', 'factor', '/usr/share/dict/words'"
    assert found(source, library) == []


def test_exact_keeps_what_was_touched() -> None:
    assert found('open("/usr/share/dict/words")', level=Level.EXACT) == []


@given(st.binary(max_size=400), st.booleans())
def test_no_source_is_an_error(data: bytes, dotfile: bool) -> None:
    assert all("/" in path for path in _paths(data, dotfile))
    assert all("/" not in name for name in _names(data, dotfile))


@pytest.mark.parametrize(("depends", "kept"), [("tools", "/usr/bin/pdftoppm"), ("other", "/usr/bin/factor")])
def test_a_package_names_the_programs_that_it_depends_on(depends: str, kept: str) -> None:
    module = "/usr/lib/python3/dist-packages/pages.py"
    source = "import subprocess\nclass P: tool = 'pdftoppm'\nOTHER = 'factor', 'perl'\nsubprocess.run(P.tool)\n"
    packages = {"pages": [module], "tools": ["/usr/bin/pdftoppm", "/usr/bin/perl"], "other": ["/usr/bin/factor"]}
    world = debian_world({**SYSTEM, module: source}, packages, fields={"pages": {"Depends": depends}})
    found = [p for p in trees.paths(close(world, RULES, [Want(module, "seed", "probe:x")])) if p != module]
    assert found == [kept]
