"""Signals at bad moments arrive when these are over, and are lost to nothing that handles errors."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from debloat.core.errors import DebloatError, Interrupted
from debloat.core.signals import held_back


class Came(Exception): ...


@pytest.fixture(autouse=True)
def _handler(monkeypatch: pytest.MonkeyPatch) -> object:
    def caught(number: int, frame: object) -> None:
        raise Came

    before = signal.signal(signal.SIGTERM, caught)
    yield
    signal.signal(signal.SIGTERM, before)


def test_a_signal_waits_for_the_end_of_a_block() -> None:
    reached = []

    def block() -> None:
        with held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("end")

    with pytest.raises(Came):
        block()
    assert reached == ["end"]


def test_handlers_are_as_before() -> None:
    handler = signal.getsignal(signal.SIGTERM)
    with held_back():
        assert signal.getsignal(signal.SIGTERM) is not handler
    assert signal.getsignal(signal.SIGTERM) is handler


def test_other_threads_are_not_interrupted_anyway() -> None:
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with held_back():
                pass
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not failed


IMPORT = """
import importlib.abc, os, signal, sys
class Came(Exception): ...
def caught(number, frame): raise Came
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "lief": os.kill(os.getpid(), signal.SIGTERM)
signal.signal(signal.SIGTERM, caught)
sys.meta_path.insert(0, Finder())
try: import debloat.elf.parser
except Came: print("came", hasattr(sys.modules.get("lief"), "ELF"))
"""


def test_the_library_for_elf_files_is_loaded_whole_before_a_signal_arrives() -> None:
    """An exception in the middle of it would end the process by abort(3)."""
    done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "came True\n"), done.stderr


def test_an_interruption_is_nothing_that_errors_are_handled_as() -> None:
    """A second try, a fallback, a best effort: all of them catch errors, and none may go on."""
    assert not issubclass(Interrupted, DebloatError | Exception)
