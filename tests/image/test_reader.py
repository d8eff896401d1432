"""What the sensor sends of an image, read from bytes that may be anything."""

from __future__ import annotations

import io
import random
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.errors import EngineUnavailable, SensorUnavailable
from debloat.core.model import Entry, Kind
from debloat.engine.base import ChannelClosed
from debloat.image.contents import ExportedContents
from debloat.image.reader import IndexParser, SensorContents, sensor_tar, without_engine_made
from debloat.image.rootfs import Contents, MemoryContents, Rootfs
from tests.support.engine import ServeChannel, serve_index

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


def test_what_the_engine_made_for_a_volume_is_not_the_image_either() -> None:
    """Nor is the time of the directory that it was made in."""

    def listed(now: int) -> list[Entry]:
        return [
            Entry("/srv", Kind.DIR, mtime=now),
            Entry("/srv/app", Kind.FILE, mtime=5 * 10**9),
            Entry("/srv/data", Kind.DIR, mtime=now),
            Entry("/srv/data/deep", Kind.DIR, mtime=now),
            Entry("/opt", Kind.DIR, mtime=7 * 10**9),
        ]

    made = {"/srv/data", "/srv/data/deep"}
    now, later = (list(without_engine_made(listed(moment * 10**9), made)) for moment in (100, 200))
    assert now == later
    assert {e.path: e.mtime // 10**9 for e in now} == {"/srv": 5, "/srv/app": 5, "/opt": 7}


def test_a_damaged_number() -> None:
    with pytest.raises(SensorUnavailable):
        IndexParser().feed(b"f x 0 0 0 0 1 1 1 0 0 0\0/a\0\0")


class EndingChannel(ServeChannel):
    """A `serve` whose container is removed after so many bytes of its answers, or says nothing more."""

    def __init__(self, rootfs: Rootfs, left: int, error: Exception) -> None:
        super().__init__(rootfs)
        self.left, self._error = left, error

    def read(self, size: int, timeout: float = 60.0) -> bytes:
        self.left -= size
        if self.left < 0:
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


FILES = {f"/data/{n}": bytes([n % 251]) * (1 + 977 * n % 40_000) for n in range(400)}
"""Each content tells by any of its bytes whose it is, and by its length too."""


def from_sensor(directory: Path) -> Contents:
    entries = [Entry(path, Kind.FILE, size=len(data)) for path, data in FILES.items()]
    return SensorContents(ServeChannel(Rootfs(entries, MemoryContents(FILES))), directory / "spool")


def from_export(directory: Path) -> Contents:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, data in FILES.items():
            info = tarfile.TarInfo(path.lstrip("/"))
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return ExportedContents(directory / "spool", [stream.getvalue()])


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads take turns after each few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_switching")
@pytest.mark.parametrize("opened", [from_sensor, from_export])
def test_threads_share_contents(tmp_path: Path, opened: Callable[[Path], Contents]) -> None:
    """The ELF audit reads in a thread of its own while healing fetches."""
    contents = opened(tmp_path)
    together, wrong = threading.Barrier(3), list[str]()

    def hammer(seed: int) -> None:
        chosen = random.Random(seed)
        together.wait(30)
        for path in chosen.choices(sorted(FILES), k=600):
            if chosen.random() < 0.3:
                contents.fetch(chosen.sample(sorted(FILES), 5), chosen.choice([None, 4, 5000, 9000]))
            limit = chosen.choice([None, 4, 9000])
            got = b"".join(contents.chunks(path)) if limit is None else contents.read(path, limit)
            if got != FILES[path][:limit]:
                wrong.append(path)

    def recorded(seed: int) -> None:
        try:
            hammer(seed)
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=recorded, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert {path: contents.read(path) for path in FILES} == FILES


def test_a_beginning_is_brought_by_itself(tmp_path: Path) -> None:
    files = {"/a": b"hello", "/b": b"12345678", "/c": b""}
    entries = [Entry(path, Kind.FILE, size=len(data)) for path, data in files.items()]
    channel = EndingChannel(Rootfs(entries, MemoryContents(files)), 9 + 5 + 9 + 5 + 9, TimeoutError("no answer"))
    contents = SensorContents(channel, tmp_path / "spool")
    contents.fetch(files, 5)
    assert channel.left == 0
    assert [contents.read(path, 5) for path in files] == [b"hello", b"12345", b""]
    assert [contents.read("/b", 2), contents.read("/c")] == [b"12", b""]
    channel.left = 1000
    assert [contents.read(path) for path in files] == list(files.values())
    assert b"".join(contents.chunks("/b")) == files["/b"]


def test_what_is_left_of_a_broken_answer_is_nobodys_content(tmp_path: Path) -> None:
    """After a failure in the middle of an answer, its rest must not be taken for the next one."""
    files = {"/a": b"\0" + (4).to_bytes(8, "little") + b"evil", "/b": b"good"}
    rootfs = Rootfs([Entry(path, Kind.FILE, size=len(data)) for path, data in files.items()], MemoryContents(files))
    channel = EndingChannel(rootfs, 9, TimeoutError("no answer"))
    contents = SensorContents(channel, tmp_path / "spool")
    with pytest.raises(EngineUnavailable):
        contents.read("/a")
    channel.left = 1000
    with pytest.raises(EngineUnavailable):
        contents.read("/b")


def test_the_sensors_archive_ends_where_it_ends() -> None:
    """Two blocks of zeros end an archive (pax(1)); what follows would be written to a reader that has gone."""
    data = sensor_tar(b"x" * 700)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
    assert names == ["sensor", "trace", "root", "trace/epoch"]
    assert data[-1024:] == bytes(1024)
    assert any(data[-2048:-1536]), "the header of the last file, whose four bytes are zeros"
