"""A container of a tool that is gone: what the runtime that ran it still does on its way out."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

from debloat.embedded.container import remove_left
from debloat.embedded.place import Place
from debloat.embedded.runtime import Runtime

LOOKS_AGAIN = """
import pathlib, sys, time

state = pathlib.Path(sys.argv[1])
print(flush=True)
time.sleep(0.5)
state.mkdir(parents=True, exist_ok=True)
"""
"""As crun does when its container has ended."""


def test_its_directory_is_removed_once_the_runtime_has_ended(tmp_path: Path) -> None:
    place, identifier = Place(tmp_path), secrets.token_hex(32)
    directory = place.containers / identifier
    (directory / "work").mkdir(parents=True)
    argv = [sys.executable, "-c", LOOKS_AGAIN, str(directory / "state"), identifier]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as runtime:
        assert runtime.stdout is not None
        runtime.stdout.readline()
        remove_left(place, Runtime("/bin/true", "runc"), identifier)
        runtime.wait(10)
    assert not directory.exists()


def test_what_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    place, identifier = Place(tmp_path), secrets.token_hex(32)
    place.containers.mkdir()
    remove_left(place, Runtime("/bin/true", "runc"), identifier)
    assert list(place.containers.iterdir()) == []
