"""Which program reads a script: `#!` lines as the kernel and env(1) split them, and interpreters behind wrappers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.interpreters import env_command, interpreter, shebang, split_string


@pytest.mark.parametrize(
    ("head", "want"),
    [
        (b"#!/bin/sh\n", ("/bin/sh", "")),
        (b"#!/bin/sh", ("/bin/sh", "")),
        (b"#! \t/bin/sh  -e -u \t\nrest", ("/bin/sh", "-e -u")),
        (b"#!/bin/sh\t-x", ("/bin/sh", "-x")),
        (b"#!/bin/sh\0-x\n", ("/bin/sh", "")),
        (b"#!/bin/sh\r\n", ("/bin/sh\r", "")),
        (b"#!\n/bin/sh\n", None),
        (b"#!   ", None),
        (b"#", None),
        (b" #!/bin/sh\n", None),
        (b"\xef\xbb\xbf#!/bin/sh\n", None),
        (b"#!/" + b"x" * 400, None),
        (b"#!/bin/sh " + b"x" * 400, ("/bin/sh", "x" * 246)),
    ],
)
def test_shebang(head: bytes, want: tuple[str, str] | None) -> None:
    assert shebang(head) == want


@given(st.binary(max_size=300))
def test_any_first_line(data: bytes) -> None:
    for head in (data, b"#!" + data):
        found = shebang(head)
        assert found is None or (found[0] and " " not in found[0] and "\n" not in "".join(found))


@pytest.mark.parametrize(
    ("argument", "want"),
    [
        ("python3", "python3"),
        ("python3 -u", "python3 -u"),
        ("-S python3 -u", "python3"),
        ("-Spython3 -u", "python3"),
        ("-vS python3", "python3"),
        ("--split-string=python3 -u", "python3"),
        ("-S A=1 B='x y' python3", "python3"),
        ("-S -i -u X -C /tmp -- A=1 python3", "python3"),
        (r'-S "my\_tool" x', r"my\_tool".replace(r"\_", " ")),
        ("-S ${TOOL} x", "perl"),
        ("-S # python3", None),
        ("-i", None),
        ("A=1", None),
        ("-S", None),
    ],
)
def test_env(argument: str, want: str | None) -> None:
    assert env_command(argument, {"TOOL": "perl"}) == want


@given(st.text(max_size=60))
def test_any_env_line(text: str) -> None:
    env_command(text, {})
    env_command("-S" + text, {"A": "b"})


@pytest.mark.parametrize(
    "text",
    ["a b", "  a\tb  ", "'a b' c", '"a b"c', r"a\_b", r"'a\_b'", r'"a\_b"', r"a\tb", "a #b", "a#b", "''", r"a\cb c"],
)
def test_split_as_env_does(text: str) -> None:
    ran = subprocess.run(
        ["/usr/bin/env", f"-S/usr/bin/printf %s\\n {text}"], capture_output=True, text=True, check=True, env={}
    )
    assert [w.split("\n") for w in ran.stdout.splitlines()] == [[w] for w in split_string(text, {}) or [""]]


def test_the_kernel_agrees(tmp_path: Path) -> None:
    """Interpreter and argument as a real execve(2) hands them over."""
    show = tmp_path / "show"
    show.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    show.chmod(0o755)
    for blanks in (" a  b\tc ", "\t-x", "", " " * 20 + "y z"):
        run = tmp_path / "run"
        run.write_bytes(b"#! " + os.fsencode(show) + blanks.encode() + b"\n")
        run.chmod(0o755)
        words = subprocess.run([run], capture_output=True, text=True, check=True).stdout.splitlines()
        found = shebang(run.read_bytes())
        assert found is not None
        assert words == [*([found[1]] if found[1] else []), str(run)]


@pytest.mark.parametrize(
    ("line", "want"),
    [
        ("#!/bin/sh -e", ("Shell", "/bin/sh")),
        ("#!/bin/sh\r", ("Shell", "/bin/sh")),
        ("#! /usr/bin/env bash", ("Shell", "bash")),
        ("#!/usr/bin/env -S A=1 -u B dash -e", ("Shell", "dash")),
        ("#!/usr/bin/env -S -i PATH=/bin python3 -u", ("Python", "python3")),
        ("#!/command/with-contenv bash", ("Shell", "bash")),
        ("#!/usr/bin/tini /usr/bin/perl5.36", ("Perl", "/usr/bin/perl5.36")),
        ("#!/usr/local/bin/with-ruby-env /bin/zsh", ("Shell", "/bin/zsh")),
        ("#!/bin/busybox ash", ("Shell", "ash")),
        ("#!/usr/bin/env ts-node", ("Node", "ts-node")),
        ("#!/usr/bin/env -S poetry run python", ("Python", "python")),
        ("#!/usr/bin/php8.2 sh", ("PHP", "/usr/bin/php8.2")),
        ("#!/opt/python/bin/tool", ("", "")),
        ("#!/usr/share/sh/x --sh", ("", "")),
        ("#!/usr/bin/make -f", ("", "")),
        ("echo", ("", "")),
    ],
)
def test_the_interpreter_behind_wrappers(line: str, want: tuple[str, str]) -> None:
    assert interpreter(f"{line}\nx".encode()) == want


@given(st.binary(max_size=80))
def test_any_line_has_one_reading(data: bytes) -> None:
    language, word = interpreter(b"#!" + data)
    assert bool(language) == bool(word)
