"""Runs are remembered for `why`, and not for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from debloat.cli import runs


def test_only_the_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    runs.directory().mkdir(parents=True)
    for number in range(6):
        path = runs.directory() / f"{number}.json"
        path.write_text("{}")
        os.utime(path, (number, number))
    runs._forget(10)
    assert len(list(runs.directory().iterdir())) == 6
    runs._forget(2)
    assert sorted(p.name for p in runs.directory().iterdir()) == ["4.json", "5.json"]
