"""What the values of ENV name."""

from __future__ import annotations

import pytest

from debloat.closure import close
from debloat.core.model import Level
from debloat.rules.system.environment import MAX_BYTES, RULES
from tests.support import trees

ELF = ("0755", "\x7fELF")
TREE: trees.Table = {
    "/usr/bin/chromium": ELF,
    "/usr/bin/factor": ELF,
    "/usr/bin/true": ELF,
    "/usr/bin/gcc": ELF,
    "/usr/share/words/en": "x",
    "/usr/share/tessdata/deu.traineddata": "x",
    "/usr/lib/java/lib/modules": b"x" * (MAX_BYTES + 1),
    "/usr/lib/python3/dist-packages/x.py": "",
}
OWNED = {"all": [path for path in TREE if path.startswith("/usr/")]}


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("PUPPETEER_EXECUTABLE_PATH=/usr/bin/chromium", ["/usr/bin/chromium"]),
        ("TOOL=factor", ["/usr/bin/factor"]),
        ("TOOL=factor --exponents", ["/usr/bin/factor"]),
        ("WORDS=/usr/share/words/en", ["/usr/share/words/en"]),
        ("OPTIONS=-Dwords=/usr/share/words/en -q", ["/usr/share/words/en"]),
        ("TESSDATA_PREFIX=/usr/share/tessdata", ["/usr/share/tessdata", "/usr/share/tessdata/deu.traineddata"]),
        # Too large to be data, the modules of a language, the places of everything, a switch, a build's compiler.
        ("JAVA_HOME=/usr/lib/java", ["/usr/lib/java"]),
        ("PYTHONPATH=/usr/lib/python3/dist-packages", ["/usr/lib/python3/dist-packages"]),
        ("PREFIX=/usr", []),
        ("DEBUG=true", []),
        ("CC=gcc", []),
        ("PATH=/usr/share/words", []),
        ("LC_ALL=factor", []),
        ("X=/nowhere", []),
        ("X=/usr/bin/fac\0tor", []),
    ],
)
def test_what_a_variable_names(variable: str, expected: list[str]) -> None:
    world = trees.world(TREE, owned=OWNED, config={"Env": [variable]})
    assert trees.paths(close(world, RULES)) == expected


def test_exact_keeps_what_was_touched() -> None:
    world = trees.world(TREE, owned=OWNED, config={"Env": ["TOOL=factor"]}, level=Level.EXACT)
    assert trees.paths(close(world, RULES)) == []
