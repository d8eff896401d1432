"""What the sensor sends of an image, read from bytes that may be anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.errors import EngineUnavailable, SensorUnavailable
from debloat.core.model import Entry, Kind
from debloat.engine.base import ChannelClosed
from debloat.image.reader import IndexParser, SensorContents, without_engine_made
from debloat.image.rootfs import Rootfs
from tests.support.engine import MemoryContents, ServeChannel, serve_index

ENTRIES = [
    Entry("/", Kind.DIR, 0o755),
    Entry("/a b\n\udcff", Kind.FILE, 0o4755, 1, 2, 3, 4, xattrs=(("user.x", b"\0\xff"),)),
    Entry("/dev/null", Kind.CHAR, 0o666, device=(1, 3)),
    Entry("/end", Kind.SYMLINK, 0o777, target="end"),
    Entry("/h1", Kind.FILE, hardlink=1, size=9),
    Entry("/h2", Kind.FILE, hardlink=1, size=9),
]


@given(st.lists(st.integers(1, 400), max_size=8))
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    data, parser, at = serve_index(ENTRIES), IndexParser(), 0
    for cut in cuts:
        if not parser.done:
            parser.feed(data[at : at + cut])
            at += cut
    if not parser.done:
        parser.feed(data[at:])
    assert parser.done
    assert parser.entries == ENTRIES


@given(st.binary(max_size=300))
def test_garbage_is_damage(data: bytes) -> None:
    parser = IndexParser()
    try:
        parser.feed(data)
    except SensorUnavailable:
        return
    assert all(e.path is not None for e in parser.entries)


def test_what_the_engine_put_there_is_not_the_image() -> None:
    listed = [
        Entry("/.dockerenv", Kind.FILE),
        Entry("/.debloat", Kind.DIR),
        Entry("/.debloated", Kind.FILE),
        Entry("/etc/hosts", Kind.FILE),
        Entry("/etc/hostname", Kind.FILE, size=4),
        Entry("/etc/mtab", Kind.SYMLINK, target="/proc/mounts"),
    ]
    assert [e.path for e in without_engine_made(listed)] == ["/.debloated", "/etc/hostname"]


def test_a_damaged_number() -> None:
    with pytest.raises(SensorUnavailable):
        IndexParser().feed(b"f x 0 0 0 0 1 1 1 0 0 0\0/a\0\0")


class EndingChannel(ServeChannel):
    """A `serve` whose container is removed after so many bytes of its answers, or says nothing more."""

    def __init__(self, rootfs: Rootfs, left: int, error: Exception) -> None:
        super().__init__(rootfs)
        self._left, self._error = left, error

    def read(self, size: int, timeout: float = 60.0) -> bytes:
        self._left -= size
        if self._left < 0:
            raise self._error
        return super().read(size, timeout)


@pytest.mark.parametrize("left", [0, 4, 9, 12])
@pytest.mark.parametrize("error", [ChannelClosed("end of stream"), TimeoutError("no answer")])
def test_a_reader_that_goes_away(tmp_path: Path, left: int, error: Exception) -> None:
    rootfs = Rootfs([Entry("/", Kind.DIR), Entry("/a", Kind.FILE, size=5)], MemoryContents({"/a": b"hello"}))
    contents = SensorContents(EndingChannel(rootfs, left, error), tmp_path / "spool")
    with pytest.raises(EngineUnavailable) as told:
        contents.read("/a")
    assert told.value.hint
    with pytest.raises(EngineUnavailable):
        list(contents.index())
