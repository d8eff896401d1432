"""Compiled Java classes: their constants, and the paths and programs that follow from them."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.languages.compiled import rules as compiled
from debloat.rules.languages.java import rules as java
from debloat.rules.languages.java import source
from tests.support import trees

PROCESS = "java/lang/ProcessBuilder"


def _utf8(text: str) -> bytes:
    data = text.encode()
    return b"\x01" + len(data).to_bytes(2, "big") + data


def _class(*strings: str, uses: str = PROCESS, method: str = "start") -> bytes:
    """The head of a class file whose code uses a class, a method, a long number and some strings."""
    pool = _utf8(uses) + b"\x07\x00\x01" + _utf8(method) + b"\x05" + bytes(8)
    number = 6
    for text in strings:
        pool += _utf8(text) + b"\x08" + number.to_bytes(2, "big")
        number += 2
    return source.MAGIC + b"\0\0\0\x3d" + number.to_bytes(2, "big") + pool + b"\0\x21" + bytes(20)


def _archive(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


IMAGE: trees.Table = {
    f"/usr/bin/{name}": ("0755", "") for name in ("sh", "wc", "sort", "file", "find", "git", "gcc", "fold")
} | {"/usr/share/words/english": "", "/etc/mime.types": ""}
OWNED = {"base": [*IMAGE, "/usr/share/words"]}


def _kept(content: bytes, path: str = "/opt/app/app.jar") -> list[str]:
    world = trees.world({**IMAGE, path: content}, owned={k: v for k, v in OWNED.items() if path not in v})
    rules = (*java.RULES, *compiled.RULES)
    return [p for p in trees.paths(trees.closed(world, rules, path)) if p in IMAGE]


def test_strings_of_a_class() -> None:
    assert source.strings(_class("sh", "wc -l", "é", "sh")) == ("sh", "wc -l", "é")


@pytest.mark.parametrize(
    ("strings", "expected"),
    [
        (("git",), ["git"]),
        (("/usr/bin/wc",), ["wc"]),
        # A line for a shell, and what the shell would run of it.
        (("/bin/sh", "-c", "sort < x | wc -l"), ["sort", "wc"]),
        # Given to Runtime.exec as a line.
        (("git -C \x01 log",), ["git"]),
        (("sort /etc/x",), ["sort"]),
        # Messages, and compilers.
        (("file not found", "find nothing", "gcc", "none", ""), []),
    ],
)
def test_programs(strings: tuple[str, ...], expected: list[str]) -> None:
    jar = _archive(**{"A.class": _class(*strings), "B.class": _class("fold", uses="java/lang/Object")})
    assert _kept(jar) == sorted(f"/usr/bin/{name}" for name in expected)


def test_runtime_exec_and_what_is_only_the_runtime() -> None:
    assert _kept(_class("git", uses="java/lang/Runtime", method="exec"), "/opt/app/A.class") == ["/usr/bin/git"]
    assert _kept(_class("git", uses="java/lang/Runtime", method="gc"), "/opt/app/A.class") == []


def test_paths() -> None:
    jar = _archive(**{"A.class": _class("/etc/mime.types", "/usr/share/words", uses="X"), "b.txt": b"/usr/bin/git"})
    assert _kept(jar) == ["/etc/mime.types", "/usr/share/words/english"]


def test_archives_within_an_archive_as_spring_boot_packs_them() -> None:
    inner = _archive(**{"B.class": _class("wc")})
    assert _kept(_archive(**{"BOOT-INF/classes/A.class": _class("sort"), "BOOT-INF/lib/b.jar": inner})) == [
        "/usr/bin/sort",
        "/usr/bin/wc",
    ]
    assert _kept(_archive(**{"docs/b.jar": inner})) == []


def test_a_package_s_archive_is_not_the_application() -> None:
    world = trees.world(
        {**IMAGE, "/usr/share/java/x.jar": _archive(**{"A.class": _class("git")})},
        owned={"base": [*OWNED["base"], "/usr/share/java/x.jar"]},
    )
    assert "/usr/bin/git" not in trees.closed(world, java.RULES, "/usr/share/java/x.jar")


@given(st.binary(max_size=200), st.integers(0, 400))
def test_garbage_gives_nothing_or_strings(noise: bytes, at: int) -> None:
    whole = _class("sh", "wc -l")
    for data in (noise, source.MAGIC + noise, whole[: at % len(whole)], b"PK" + noise):
        assert all(isinstance(text, str) for c in source.classes(data) for text in source.strings(c))
    archive = _archive(**{"A.class": whole, "BOOT-INF/lib/b.jar": _archive(**{"B.class": whole})})
    spot = at % len(archive)
    list(source.classes(archive[:spot] + noise + archive[spot + len(noise) :]))


def test_an_archive_that_unpacks_to_more_than_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_READ", 300)
    jar = _archive(**{f"{n}.class": _class("x" * 60, str(n)) for n in range(9)})
    assert 0 < len(list(source.classes(jar))) < 4
