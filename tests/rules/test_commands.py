"""Command words through PATH."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.rules.commands import assumed_packages, command, on_path
from tests.support.debs import deb_world
from tests.support.trees import world

WORLD = world(
    {
        "/bin": "-> usr/bin",
        "/usr/bin/tool": ("0755", b"\x7fELF"),
        "/usr/bin/data": ("0644", b"x"),
        "/usr/bin/ed": "-> /etc/alternatives/ed",
        "/etc/alternatives/ed": "-> /usr/bin/tool",
        "/opt/app/bin/tool": ("0755", b"#!/bin/sh"),
        "/opt/app/bin/own": ("0755", b"#!/bin/sh"),
        "/usr/sbin/service": ("0755", b"#!/bin/sh"),
        "/usr/bin/dir/": "",
    },
    config={"Env": ["PATH=/opt/app/bin:/usr/bin:relative"]},
)


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("tool", "/opt/app/bin/tool"),
        ("ed", "/usr/bin/ed"),
        ("service", "/usr/sbin/service"),
        ("/bin/tool", "/bin/tool"),
        ("data", None),
        ("dir", None),
        ("missing", None),
        ("", None),
        ("bin/own", None),
        ("/usr/bin/data", None),
        ("a" * 5000, None),
    ],
)
def test_on_path(word: str, found: str | None) -> None:
    assert on_path(WORLD, word) == found


def test_relative_word_needs_a_directory() -> None:
    assert command(WORLD, "./bin/own", cwd="/opt/app") == "/opt/app/./bin/own"
    assert command(WORLD, "bin/own", cwd="/opt/app/") == "/opt/app/bin/own"
    assert command(WORLD, "bin/own", cwd="/opt") is None


@given(st.text())
def test_any_word_is_answered(word: str) -> None:
    path = on_path(WORLD, word)
    assert path is None or WORLD.rootfs.is_file(path)


@pytest.mark.network
def test_what_every_package_may_take_for_granted() -> None:
    """awk is of no Essential package, and base-files, which is, depends on one."""
    real = deb_world("base-files", "mawk", "dash", "mosquitto", "jq")
    around = assumed_packages(real, ("mosquitto",))
    assert {"mosquitto", "base-files", "mawk", "dash"} <= around
    assert "jq" not in around
