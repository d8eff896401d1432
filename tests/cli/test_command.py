"""The command as a process of its own, from its beginning to its end."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("loaded", ["debloat.elf.parser", "debloat.closure"])
def test_it_ends_in_silence_whatever_it_has_loaded(loaded: str) -> None:
    program = f"import {loaded}, debloat.__main__ as command; command.run = lambda: 3; raise SystemExit(command.main())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")
