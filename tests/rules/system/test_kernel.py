"""Interpreters of scripts, split as the kernel and env(1) split them."""

from __future__ import annotations

from debloat.core.model import Level
from debloat.rules.system.kernel import RULES
from tests.support.trees import Table, closed, paths, rules_for, world

SH = ("0755", b"\x7fELF")


def script(line: str) -> tuple[str, str]:
    return "0755", f"{line}\necho hello\n"


def kept(table: Table, *seeds: str) -> list[str]:
    config = {"Env": ["PATH=/opt/bin:/usr/bin"], "WorkingDir": "/srv"}
    return paths(closed(world(table, config=config, level=Level.EXACT), RULES, *seeds))


def test_interpreter_and_the_links_to_it() -> None:
    table: Table = {"/run": script("#!/bin/sh -e"), "/bin": "-> usr/bin", "/usr/bin/sh": "-> dash", "/usr/bin/dash": SH}
    assert kept(table, "/run") == ["/bin", "/run", "/usr/bin/dash", "/usr/bin/sh"]


def test_chain_of_scripts() -> None:
    table: Table = {
        "/a": script("#!/b x"),
        "/b": script("#!/c"),
        "/c": script("#!/bin/sh"),
        "/bin/sh": SH,
        "/bin/bash": SH,
    }
    assert kept(table, "/a") == ["/a", "/b", "/bin/sh", "/c"]


def test_a_script_that_is_its_own_interpreter_ends() -> None:
    assert kept({"/a": script("#!/b"), "/b": script("#!/a")}, "/a") == ["/a", "/b"]


def test_env_through_the_images_path() -> None:
    table: Table = {
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


def test_what_a_wrapper_runs() -> None:
    table = {
        "/job": script("#!/opt/bin/with-env bash"),
        "/opt/bin/with-env": script("#!/bin/sh"),
        "/app": script("#!/usr/bin/busybox dash"),
        **dict.fromkeys(("/bin/sh", "/usr/bin/bash", "/usr/bin/busybox", "/usr/bin/dash"), SH),
    }
    found = kept(table, "/job", "/app")
    assert found == ["/app", "/bin/sh", "/job", "/opt/bin/with-env", "/usr/bin/bash", "/usr/bin/busybox"]
