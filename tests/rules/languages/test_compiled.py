"""Paths and names of programs in compiled programs of the application."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Level
from debloat.rules.languages.compiled import rules as compiled
from tests.support import elves, trees

ELF = b"\x7fELF" + b"." * 64
GO = b"\xff Go buildinf:"
IMAGE: trees.Table = {
    "/bin": "-> usr/bin",
    "/usr/bin/gm": ("0755", ELF),
    "/usr/bin/sort": ("0755", ELF),
    "/usr/bin/cc": ("0755", ELF),
    "/usr/bin/im-convert": ("0755", ELF),
    "/usr/bin/convert": "-> im-convert",
    "/usr/bin/curl": ("0755", ELF),
    "/usr/bin/dir": ("0755", ELF),
    "/etc/mime.types": "",
    "/etc/mime.types.d/x": "",
    "/etc/passwd": "",
    "/etc/tables/x.cpp": "",
    "/usr/include/x/y": "",
    "/usr/share/zoneinfo/Asia/Tokyo": "",
    "/usr/share/zoneinfo/posix/Asia/Tokyo": "",
    "/usr/share/tables/a": "",
    "/usr/share/lists": "-> tables",
    "/usr/share/doc/x/README": "",
    "/usr/lib/python3/dist-packages/x.py": "",
}
OWNED = {
    "graphicsmagick": ["/usr/bin/gm"],
    "coreutils": ["/usr/bin/sort"],
    "curl": ["/usr/bin/curl"],
    "base": [
        *(p for p in IMAGE if not p.startswith("/usr/bin/")),
        *("/usr/bin/cc", "/usr/bin/im-convert", "/usr/bin/dir", "/bin", "/usr/share/zoneinfo", "/usr/share/tables"),
    ],
}


def _kept(
    content: bytes, *, path: str = "/app/server", install: str = "", essential: str = "", level: Level = Level.SAFE
) -> list[str]:
    table: trees.Table = {**IMAGE, path: ("0755", content)}
    history = (f"/bin/sh -c apt-get install -y {install}",) if install else ()
    world = trees.world(table, owned=OWNED, history=history, level=level, essential=[essential])
    return [p for p in trees.paths(trees.closed(world, compiled.RULES, path)) if p not in (path, "/bin")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\0/usr/bin/gm\0", ["/usr/bin/gm"]),
        (b"\0/bin/gm -x\0", ["/usr/bin/gm"]),
        (b"\0/etc/mime.types\0/etc/none\0", ["/etc/mime.types"]),
        # By the links that it names: to a file, through and to a directory.
        (b"\0/usr/bin/convert\0", ["/usr/bin/convert", "/usr/bin/im-convert"]),
        (b"\0/usr/share/lists/a\0", ["/usr/share/lists", "/usr/share/tables/a"]),
        (b"\0/usr/share/lists\0", ["/usr/share/lists", "/usr/share/tables", "/usr/share/tables/a"]),
        (GO + b"/usr/share/lists/atext", ["/usr/share/lists", "/usr/share/tables/a"]),
        (b"\0/usr/share/zoneinfo\0", ["/usr/share/zoneinfo/Asia", "/usr/share/zoneinfo/Asia/Tokyo"]),
        (b"\0/usr/share/tables/\0", ["/usr/share/tables/a"]),
        # Longer names, patterns, common ground, the interpreters' and documentation, compilers.
        (b"\0/usr/bin/gmx\0/etc/passwd-\0/usr/share/tables/%s\0", []),
        (b"\0/usr/share/\0/etc/\0/usr/bin/\0/usr/lib/python3\0/usr/share/doc/x\0/usr/bin/cc\0", []),
        # Packed by Go and Rust.
        (GO + b"xx/usr/bin/gmfork/exec/etc/mime.typesHTTP", ["/etc/mime.types", "/usr/bin/gm"]),
        (GO + b"/usr/share/tablesnext", []),
        (GO + b"/usr/share/tables/next/usr/lib/go/src/x.go", ["/usr/share/tables/a"]),
    ],
)
def test_paths(text: bytes, expected: list[str]) -> None:
    assert _kept(ELF + text) == expected


def test_what_is_no_compiled_program_of_the_application_brings_nothing() -> None:
    text = b"\0/usr/bin/gm\0"
    assert _kept(b"#!/bin/x" + b" " * 64 + text) == []
    assert _kept(ELF + text, path="/usr/bin/sort") == []
    assert _kept(ELF + text, level=Level.EXACT) == []


def test_programs_that_were_asked_for_and_are_named() -> None:
    assert _kept(ELF + GO + b"xgmx sort curl", install="graphicsmagick") == ["/usr/bin/gm"]
    assert _kept(ELF + b"\0convert %s\0", install="base") == ["/usr/bin/convert", "/usr/bin/im-convert"]
    assert _kept(b"MZ" + b"." * 64 + "curl".encode("utf-16-le"), path="/app/a.dll", install="curl") == ["/usr/bin/curl"]


GO_PROGRAM = """
#include <stdio.h>
const char mark[] = "\\xff Go buildinf:", run[] = "syscall.forkExec";
const char texts[] = "gm %ssortcurl failed to find the imagesort | uniq -c";
const char *const places[] = {texts, texts + 5, texts + 9, texts + 38, texts + 52, mark, run};
"""
"""What a linker makes of Go's texts: none ends, and something points to each."""

SHELL = """
#include <stdio.h>
int run(void) { return popen("curl -fsS %s", "r") || popen(" | sort -u", "r"); }
int say(void) { return puts("gm") || puts("convert %s") || puts("dir >= 0"); }
"""


@pytest.mark.skipif(not elves.program(), reason="no compiler")
def test_texts_of_a_go_program_are_told_apart() -> None:
    program = elves.program(source=GO_PROGRAM)
    both = ["/usr/bin/gm", "/usr/bin/sort"]
    assert _kept(program, install="graphicsmagick curl", essential="coreutils") == both
    # Asked for: its name alone, or a part of another word, is none of the texts.
    assert _kept(program.replace(b"gm %s", b"xgm %"), install="graphicsmagick curl") == ["/usr/bin/sort"]
    assert _kept(program.replace(b"forkExec", b"forkexec"), install="graphicsmagick", essential="coreutils") == []


@pytest.mark.skipif(not elves.program(), reason="no compiler")
def test_command_lines_of_a_program_that_starts_others() -> None:
    program = elves.program(source=SHELL)
    assert _kept(program) == ["/usr/bin/curl", "/usr/bin/sort"]
    # A name alone, or with what may be a message: only what is Essential.
    assert _kept(program, essential="graphicsmagick") == ["/usr/bin/curl", "/usr/bin/gm", "/usr/bin/sort"]
    assert _kept(program, essential="base") == [
        "/usr/bin/convert",
        "/usr/bin/curl",
        "/usr/bin/im-convert",
        "/usr/bin/sort",
    ]
    # Compilers, and a program that can start none.
    assert _kept(elves.program(source=SHELL.replace("curl", "cc"))) == ["/usr/bin/sort"]
    assert _kept(elves.program(source=SHELL.replace("popen", "fopen"))) == []


def test_what_is_for_debuggers_and_sources_bring_nothing() -> None:
    assert _kept(ELF + b"\0/etc/tables/x.cpp\0/usr/include/x\0/usr/include\0") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sort", ("sort",)),
        ("cat %s | tr -cs x | sort", ("cat", "tr", "sort")),
        (" | uniq -c; rm -f", ("uniq", "rm")),
    ],
)
def test_words_of_a_text_that_run_programs(text: str, expected: tuple[str, ...]) -> None:
    assert set(compiled.commands(text)) == set(expected)


def test_programs_that_nobody_asked_for_or_named() -> None:
    assert _kept(ELF + b"\0gm\0sort\0") == []
    assert _kept(ELF + b"\0wget\0", install="curl") == []
    assert _kept(b"curl" * 64, install="curl") == []


@given(st.binary(max_size=300))
def test_garbage_is_read_without_error(data: bytes) -> None:
    list(compiled.paths(data + b"/etc/" + data, trees.world(IMAGE)))


@pytest.mark.parametrize("piece", [b"/etc/", b"/usr/bin/gm", b"/etc/a\0", b"/usr/share/zoneinfo/"])
def test_what_is_said_over_and_over_is_found_as_if_it_were_said_a_few_times(piece: bytes) -> None:
    world = trees.world(IMAGE)
    assert set(compiled.paths(piece * 20_000, world)) == set(compiled.paths(piece * 2_000, world))
