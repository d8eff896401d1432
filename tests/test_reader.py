"""What the sensor sends of an image, read from bytes that may be anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.errors import SensorUnavailable
from debloat.model import Entry, Kind
from debloat.reader import IndexParser, without_engine_made
from tests.support.engine import serve_index

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
