"""Interpreters of scripts, split as the kernel and env(1) split them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Level
from debloat.rules.system.kernel import RULES, env_command, shebang, split_string
from tests.support.trees import Table, closed, paths, rules_for, world

SH = ("0755", b"\x7fELF")


def script(line: str) -> tuple[str, str]:
    return "0755", f"{line}\necho hello\n"


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


def kept(table: Table, *seeds: str) -> list[str]:
    config = {"Env": ["PATH=/opt/bin:/usr/bin"], "WorkingDir": "/srv"}
    return paths(closed(world(table, config=config, level=Level.EXACT), RULES, *seeds))


def test_interpreter_and_the_links_to_it() -> None:
    table = {"/run": script("#!/bin/sh -e"), "/bin": "-> usr/bin", "/usr/bin/sh": "-> dash", "/usr/bin/dash": SH}
    assert kept(table, "/run") == ["/bin", "/run", "/usr/bin/dash", "/usr/bin/sh"]


def test_chain_of_scripts() -> None:
    table = {"/a": script("#!/b x"), "/b": script("#!/c"), "/c": script("#!/bin/sh"), "/bin/sh": SH, "/bin/bash": SH}
    assert kept(table, "/a") == ["/a", "/b", "/bin/sh", "/c"]


def test_a_script_that_is_its_own_interpreter_ends() -> None:
    assert kept({"/a": script("#!/b"), "/b": script("#!/a")}, "/a") == ["/a", "/b"]


def test_env_through_the_images_path() -> None:
    table = {
        "/run": script("#!/usr/bin/env tool"),
        "/usr/bin/env": SH,
        "/opt/bin/tool": ("0644", b"not executable"),
        "/usr/bin/tool": script("#!/bin/sh"),
        "/sbin/tool": SH,
        "/bin/sh": SH,
    }
    closure = closed(world(table, config={"Env": ["PATH=/opt/bin:/usr/bin"]}, level=Level.EXACT), RULES, "/run")
    assert paths(closure) == ["/bin/sh", "/run", "/usr/bin/env", "/usr/bin/tool"]
    assert list(rules_for(closure, "/usr/bin/tool")) == ["kernel.shebang"]


def test_relative_interpreter_starts_at_the_working_directory() -> None:
    assert kept({"/run": script("#!bin/tool"), "/srv/bin/tool": SH, "/bin/tool": SH}, "/run") == [
        "/run",
        "/srv/bin/tool",
    ]


def test_what_is_not_executable_is_no_program() -> None:
    assert kept({"/module": "#!/bin/sh\n", "/bin/sh": SH}, "/module") == ["/module"]


def test_the_line_counts_only_at_the_start() -> None:
    assert kept({"/data": ("0755", "x\n#!/bin/sh\n"), "/bin/sh": SH}, "/data") == ["/data"]


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
