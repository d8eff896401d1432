"""The reader of tars, held against tarfile, and against bytes that nobody would write."""

from __future__ import annotations

import contextlib
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.store.tar import BLOCK, Damaged, Member, members
from tests.support.stores import layer


def read(data: bytes) -> list[Member]:
    return list(members(lambda size, at: data[at : at + size], len(data)))


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=150).filter(
    lambda name: name.strip("/.") != "" and not name.endswith("/")
)


@given(
    st.lists(
        st.tuples(NAMES, st.binary(max_size=2000), st.integers(0, 2**32 - 1), st.integers(-(2**40), 2**40)), max_size=5
    ),
    st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]),
)
def test_it_reads_what_tarfile_writes(table: list[tuple[str, bytes, int, int]], form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8") as tar:
        for name, data, owner, mtime in table:
            info = tarfile.TarInfo(name)
            info.size, info.uid, info.gid, info.mtime = len(data), owner, owner // 2, mtime
            tar.addfile(info, io.BytesIO(data))
    data = out.getvalue()
    found = [
        (m.name.decode(), data[m.offset : m.offset + m.size], m.uid, m.gid, m.mtime, m.kind, m.mode) for m in read(data)
    ]
    assert found == [(n, d, owner, owner // 2, mtime, b"0", 0o644) for n, d, owner, mtime in table]


def test_links_devices_and_attributes() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for kind, name in ((tarfile.SYMTYPE, "s" * 120), (tarfile.LNKTYPE, "h"), (tarfile.CHRTYPE, "c")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.devmajor, info.devminor = kind, "t" * 150, 1, 3
            info.pax_headers = {"SCHILY.xattr.security.capability": "\x01\x02", "mtime": "-1.5"}
            tar.addfile(info)
    found = read(out.getvalue())
    assert [(m.kind, len(m.link), m.device) for m in found] == [
        (b"2", 150, (0, 0)),
        (b"1", 150, (0, 0)),
        (b"3", 150, (1, 3)),
    ]
    assert found[0].xattrs == ((b"security.capability", b"\x01\x02"),)
    assert found[0].mtime == -2


def test_a_directory_of_old_archives() -> None:
    data = bytearray(layer({"d": b""}))
    data[1:2] = b"/"
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:BLOCK])
    (member,) = read(bytes(data))
    assert (member.name, member.kind) == (b"d/", b"5")


def header(**fields: bytes) -> bytes:
    """One header with fields replaced, its checksum right."""
    places = {"size": 124, "uid": 108, "mtime": 136, "kind": 156}
    block = bytearray(layer({"f": b""})[:BLOCK])
    for name, value in fields.items():
        block[places[name] : places[name] + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


END = bytes(2 * BLOCK)


@pytest.mark.parametrize(
    ("data", "how"),
    [
        (layer({"a": b"x" * 600})[: 2 * BLOCK], "a member of 600 bytes where 512 are left"),
        (b"x" * 700, "number that is none"),
        (b"1" * BLOCK + END, "wrong checksum"),
        (header(size=b"77777777777\0") + END, "a member of 8589934591 bytes"),
        (header(size=b"\x80" + b"\x7f" * 11) + END, "a member of"),
        (header(size=b"\xff" * 12) + END, "a member of -1 bytes"),
        (header(uid=b"\x80\xff\xff\xff\xff\xff\xff\xff") + END, "an owner that no file can have"),
        (header(kind=b"S") + END, "the unknown type"),
        (header(kind=b"x", size=b"77777777777\0") + END, "bytes of names and attributes"),
        (header(kind=b"L", size=b"00000000003\0") + b"abc".ljust(BLOCK, b"\0") + END, ""),
        (bytes(BLOCK) + header() + END, "a lone zero block"),
        (header()[:100], "an end within a header"),
        (layer({"n" * 5000: b""}), "a name that no file can have"),
    ],
)
def test_what_no_archive_has(data: bytes, how: str) -> None:
    if how:
        with pytest.raises(Damaged, match=how):
            read(data)
    else:
        assert read(data) == []


@pytest.mark.parametrize(
    "records", [b"9 path=\n", b"99 path=x\n", b"x path=y\n", b"10 path~x\n", b"13 size=abc\n", b"0 a=b\n"]
)
def test_records_that_are_none(records: bytes) -> None:
    size = b"%011o\0" % len(records)
    with pytest.raises(Damaged):
        read(header(kind=b"x", size=size) + records.ljust(BLOCK, b"\0") + header() + END)


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=20))
def test_damage_is_told_or_harmless(at: int, junk: bytes) -> None:
    data = bytearray(layer({"usr/": "", "usr/" + "long" * 30: b"x" * 700, "link": "-> usr", "hard": "=> usr/long"}))
    at %= len(data)
    data[at : at + len(junk)] = junk
    try:
        for member in read(bytes(data)):
            assert member.offset + member.size <= len(data)
    except Damaged:
        pass


@given(st.binary(max_size=3 * BLOCK))
def test_junk_is_refused_or_empty(data: bytes) -> None:
    with contextlib.suppress(Damaged):
        read(data)
