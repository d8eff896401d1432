"""Compiled Java classes: their constants, and the paths and programs that follow from them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.languages.compiled import rules as compiled
from debloat.rules.languages.java import rules as java
from debloat.rules.languages.java import source
from tests.support import trees
from tests.support.classfiles import class_file, jar

IMAGE: trees.Table = {
    f"/usr/bin/{name}": ("0755", "") for name in ("sh", "wc", "sort", "file", "find", "git", "gcc", "fold")
} | {"/usr/share/words/english": "", "/etc/mime.types": ""}
OWNED = {"base": [*IMAGE, "/usr/share/words"]}


def _kept(content: bytes, path: str = "/opt/app/app.jar") -> list[str]:
    world = trees.world({**IMAGE, path: content}, owned={k: v for k, v in OWNED.items() if path not in v})
    rules = (*java.RULES, *compiled.RULES)
    return [p for p in trees.paths(trees.closed(world, rules, path)) if p in IMAGE]


def test_strings_of_aclass_file() -> None:
    assert source.strings(class_file("sh", "wc -l", "é", "sh")) == ("sh", "wc -l", "é")


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
    content = jar(**{"A.class": class_file(*strings), "B.class": class_file("fold", uses="java/lang/Object")})
    assert _kept(content) == sorted(f"/usr/bin/{name}" for name in expected)


def test_runtime_exec_and_what_is_only_the_runtime() -> None:
    assert _kept(class_file("git", uses="java/lang/Runtime", method="exec"), "/opt/app/A.class") == ["/usr/bin/git"]
    assert _kept(class_file("git", uses="java/lang/Runtime", method="gc"), "/opt/app/A.class") == []


def test_paths() -> None:
    content = jar(**{"A.class": class_file("/etc/mime.types", "/usr/share/words", uses="X"), "b.txt": b"/usr/bin/git"})
    assert _kept(content) == ["/etc/mime.types", "/usr/share/words/english"]


def test_archives_within_an_archive_as_spring_boot_packs_them() -> None:
    inner = jar(**{"B.class": class_file("wc")})
    assert _kept(jar(**{"BOOT-INF/classes/A.class": class_file("sort"), "BOOT-INF/lib/b.jar": inner})) == [
        "/usr/bin/sort",
        "/usr/bin/wc",
    ]
    assert _kept(jar(**{"docs/b.jar": inner})) == []


def test_a_package_s_archive_is_not_the_application() -> None:
    world = trees.world(
        {**IMAGE, "/usr/share/java/x.jar": jar(**{"A.class": class_file("git")})},
        owned={"base": [*OWNED["base"], "/usr/share/java/x.jar"]},
    )
    assert "/usr/bin/git" not in trees.closed(world, java.RULES, "/usr/share/java/x.jar")


@given(st.binary(max_size=200), st.integers(0, 400))
def test_garbage_gives_nothing_or_strings(noise: bytes, at: int) -> None:
    whole = class_file("sh", "wc -l")
    for data in (noise, source.MAGIC + noise, whole[: at % len(whole)], b"PK" + noise):
        assert all(isinstance(text, str) for c in source.classes(data) for text in source.strings(c))
    archive = jar(**{"A.class": whole, "BOOT-INF/lib/b.jar": jar(**{"B.class": whole})})
    spot = at % len(archive)
    list(source.classes(archive[:spot] + noise + archive[spot + len(noise) :]))


def test_an_archive_that_unpacks_to_more_than_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_READ", 300)
    content = jar(**{f"{n}.class": class_file("x" * 60, str(n)) for n in range(9)})
    assert 0 < len(list(source.classes(content))) < 4
