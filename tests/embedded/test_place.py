"""A container's files go although its programs are still on their way out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from debloat.embedded import place


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The attempts to remove a tree, of which the first two miss what is there."""
    made: list[Path] = []
    really = shutil.rmtree

    def rmtree(path: Path, **more: Any) -> None:
        made.append(path)
        if len(made) > 2:
            really(path, **more)

    monkeypatch.setattr("debloat.embedded.place.shutil.rmtree", rmtree)
    monkeypatch.setattr(place, "AGAIN", 0)
    return made


def test_it_is_removed_again_where_something_was_missed(tmp_path: Path, attempts: list[Path]) -> None:
    (tmp_path / "c" / "work").mkdir(parents=True)
    place.remove_tree(tmp_path / "c", 60)
    assert not (tmp_path / "c").exists()
    assert len(attempts) == 3


def test_the_attempts_are_bounded(tmp_path: Path, attempts: list[Path]) -> None:
    place.remove_tree(tmp_path, 0)
    assert attempts == [tmp_path]
