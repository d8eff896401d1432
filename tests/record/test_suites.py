"""Test suites on this machine: real pytest with the plug-in, over a scripted container that notes its marks."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import time
from pathlib import Path
from typing import cast

import pytest

from debloat.cli.pause import pause
from debloat.core.probes import ProbeResult
from debloat.record.commands import Commands
from debloat.record.concrete import ConcreteProbe
from debloat.record.session import Session
from debloat.record.suites import MAX_NAME, VARIABLE, marking
from tests.support.sessions import Container

SUITE = """
import socket

def test_one(debloat_container):
    assert debloat_container.url == f"http://127.0.0.1:{debloat_container.port}"
    assert debloat_container.port_of(80) == debloat_container.port
    assert debloat_container.container == 64 * "0"

def test_two():
    print("something else each time", object())
"""


class Marked(Container):
    """A container that keeps what it is marked with."""

    def __init__(self) -> None:
        super().__init__({80: 4321})
        self.marks: list[str] = []

    def mark(self, name: str) -> None:
        self.marks.append(name)


def asked(container: Marked, command: str, kind: str = "test") -> ProbeResult:
    commands = Commands(cast(Session, container), (80,), (), 60.0, time.monotonic())
    return commands.on_host(ConcreteProbe(kind, f"{kind} x", command=command))


def suite(directory: Path, text: str) -> str:
    (directory / "test_shop.py").write_text(text)
    words = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-s")
    return f"cd {shlex.quote(str(directory))} && {shlex.join(words)}"


def test_each_test_is_marked(tmp_path: Path) -> None:
    container = Marked()
    result = asked(container, suite(tmp_path, SUITE))
    assert result.ok, result.detail
    assert container.marks == ["test test_shop.py::test_one", "test test_shop.py::test_two"]


def test_the_exit_code_alone_is_the_answer(tmp_path: Path) -> None:
    first, second = (asked(Marked(), f"echo {word}") for word in ("one", "two"))
    assert first.differs(second) == ""
    assert asked(Marked(), "echo one", "run").differs(asked(Marked(), "echo two", "run"))
    failed = asked(Marked(), suite(tmp_path, "def test_shop():\n    assert 1 == 2\n"))
    assert (failed.ok, failed.status) == (False, 1)
    assert "1 failed" in failed.detail
    assert first.differs(failed)


def test_without_debloat_the_fixture_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEBLOAT_CONTAINER", raising=False)
    assert os.system(f"({suite(tmp_path, SUITE)}) | grep -q '1 passed, 1 skipped'") == 0


def test_any_client_can_mark() -> None:
    marks: list[str] = []
    with marking(marks.append, {"A": "1"}) as env:
        assert env["A"] == "1"
        for line in (b"buys\n", b"\n", b"x" * 5000 + b"\n", b"\xff\n", b"no end"):
            with socket.socket(socket.AF_UNIX) as wire:
                wire.connect(env[VARIABLE])
                wire.sendall(line)
                wire.shutdown(socket.SHUT_WR)
                wire.recv(16)
    assert marks == ["test buys", "test " + "x" * MAX_NAME, "test \ufffd", "test no end"]
    assert not Path(env[VARIABLE]).exists()


# ------------------------------------------------------------------------------------------ by hand


def test_an_interrupt_ends_the_session_alone() -> None:
    """What the signal did before, it does after."""
    before, looks = signal.getsignal(signal.SIGINT), 0

    def running() -> bool:
        nonlocal looks
        looks += 1
        signal.raise_signal(signal.SIGINT)
        return True

    pause({}, running)
    assert (looks, signal.getsignal(signal.SIGINT)) == (1, before)


def test_a_session_ends_with_its_container(capsys: pytest.CaptureFixture[str]) -> None:
    pause({"80/tcp": 4321}, lambda: False)
    assert "80/tcp at 127.0.0.1:4321" in capsys.readouterr().err
