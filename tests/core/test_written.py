"""Files appear whole or not at all, and what cannot be written is found out before."""

from __future__ import annotations

from pathlib import Path

import pytest

from debloat.core.errors import UsageError
from debloat.core.written import must_be_writable, written_whole


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"

    def broken() -> None:
        with written_whole(path) as draft:
            draft.write_text("half")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - raised two lines above
        broken()
    assert list(path.parent.iterdir()) == []
    with written_whole(path) as draft:
        draft.write_text("all")
    assert path.read_text() == "all"
    assert [p.name for p in path.parent.iterdir()] == ["report.json"]


def test_what_cannot_be_written_is_found_out_before_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for good in (tmp_path / "new", tmp_path / "file", tmp_path / "a" / "b" / "c"):
        must_be_writable(good)
    for bad in (tmp_path / "file" / "below", tmp_path, Path("/proc/none/x")):
        with pytest.raises(UsageError, match="cannot write"):
            must_be_writable(bad)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"
