"""Files appear whole or not at all, and what cannot be written is found out before."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from debloat.core.errors import UsageError
from debloat.core.places import place_of
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


def test_a_link_leads_to_the_file_that_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    link = tmp_path / "debloat.lock"
    link.symlink_to("locks/shop.lock")
    for text in ("one", "two"):
        with written_whole(link) as draft:
            draft.write_text(text)
        assert link.is_symlink()
        assert (tmp_path / "locks" / "shop.lock").read_text() == text


def test_a_pipe_gets_the_bytes_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard = list[bytes]()
    listener = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    listener.start()
    must_be_writable(pipe)
    with written_whole(pipe) as draft:
        draft.write_text("said")
    listener.join(10)
    assert heard == [b"said"]
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_as_a_file(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Where the shell led it to a file, that is neither replaced nor cut short."""
    print("before", flush=True)
    must_be_writable(Path(name))
    with written_whole(Path(name)) as draft:
        draft.write_text("said\n")
    print("after", flush=True)
    assert capfd.readouterr().out == "before\nsaid\nafter\n"


def test_a_device_is_no_file_to_be_replaced() -> None:
    for name in ("/dev/null", "/dev/full"):
        assert not place_of(Path(name)).replaced
    with (
        pytest.raises(UsageError, match="cannot write /dev/full: No space left on device"),
        written_whole(Path("/dev/full")) as draft,
    ):
        draft.write_text("said")
