"""Tar archives that nobody vouches for, read header by header: ustar, PAX and GNU (POSIX.1-2017 pax, tar(5)).

Not tarfile, which takes five times as long over the ten thousand headers of an image, and forgives what no layer has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

from debloat.image.carve import sum_of

BLOCK = 512
MAX_NAME = 4096
"""Bytes of a path: PATH_MAX of the kernel (limits.h)."""
MAX_PART = 255
"""Bytes of a name: NAME_MAX."""
MAX_RECORDS = 1 << 20
"""Bytes of the PAX records of one member, extended attributes among them."""

_XATTR = b"SCHILY.xattr."
_NO_PADDING = b"\0 "
_ZERO = bytes(BLOCK)
_IDS = 1 << 32


class Damaged(ValueError):
    """An archive breaks its format; the text says how."""


class Member(NamedTuple):
    """One member: `kind` is its type flag, `mtime` whole seconds, `offset` where its content begins."""

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int
    link: bytes
    device: tuple[int, int]
    xattrs: tuple[tuple[bytes, bytes], ...]
    offset: int


def members(read: Callable[[int, int], bytes], end: int, start: int = 0) -> Iterator[Member]:
    """The members between two offsets of what `read(size, offset)` reads; Damaged where they break the format."""
    at = start
    long_name = long_link = b""
    records: dict[bytes, bytes] = {}
    while at < end:
        block = _block(read, at, end)
        at += BLOCK
        if block == _ZERO:
            if at < end and _block(read, at, end) != _ZERO:
                raise Damaged("a lone zero block in its middle")
            return
        if _number(block[148:156]) != sum_of(block) - sum(block[148:156]) + 256:
            raise Damaged("a header with a wrong checksum")
        kind = block[156:157]
        size = _number(block[124:136])
        if kind in _EXTENSIONS:
            if not 0 <= size <= MAX_RECORDS:
                raise Damaged(f"a header with {size} bytes of names and attributes")
            _fits(at, size, end)
            data = read(size, at)
            at += size + -size % BLOCK
            if kind == b"x":
                records = dict(_records(data))
            elif kind == b"L":
                long_name = data.split(b"\0", 1)[0]
            elif kind == b"K":
                long_link = data.split(b"\0", 1)[0]
            continue
        member = _member(block, kind, size, at, long_name, long_link, records)
        size = member.size
        _fits(at, size, end)
        yield member
        at += size + -size % BLOCK
        if records or long_name or long_link:
            long_name, long_link, records = b"", b"", {}
    if records or long_name or long_link:
        raise Damaged("an end where a member should follow")


_EXTENSIONS = frozenset({b"x", b"g", b"L", b"K"})
"""What speaks of the next member; `g`, of all that follow, holds comments in practice, and engines pass it over."""

_WITHOUT_CONTENT = frozenset({b"1", b"2", b"3", b"4", b"5", b"6"})


def _block(read: Callable[[int, int], bytes], at: int, end: int) -> bytes:
    if at + BLOCK > end or len(block := read(BLOCK, at)) < BLOCK:
        raise Damaged("an end within a header")
    return block


def _fits(at: int, size: int, end: int) -> None:
    if size < 0 or at + size > end:
        raise Damaged(f"a member of {size} bytes where {max(0, end - at)} are left")


def _member(
    block: bytes, kind: bytes, size: int, at: int, name: bytes, link: bytes, records: dict[bytes, bytes]
) -> Member:
    if not name:
        name = block[:100].split(b"\0", 1)[0]
        if block[257:263] == b"ustar\0" and block[345]:
            name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    if not link:
        link = block[157:257].split(b"\0", 1)[0]
    uid, gid = _known_number(block[108:116]), _known_number(block[116:124])
    mtime = _known_number(block[136:148])
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    if records:
        name, link = records.get(b"path", name), records.get(b"linkpath", link)
        uid, gid = _decimal(records, b"uid", uid), _decimal(records, b"gid", gid)
        size = _decimal(records, b"size", size)
        mtime = _seconds(records.get(b"mtime", b""), mtime)
        xattrs = tuple(sorted((k[len(_XATTR) :], v) for k, v in records.items() if k.startswith(_XATTR)))
        if any(key.startswith(b"GNU.sparse") for key in records):
            raise Damaged("a sparse file, which no layer has")
    if len(name) > MAX_NAME or len(link) > MAX_NAME or b"\0" in name or b"\0" in link:
        raise Damaged("a name that no file can have")
    if not (0 <= uid < _IDS and 0 <= gid < _IDS):
        raise Damaged("an owner that no file can have")
    device = (_number(block[329:337]), _number(block[337:345])) if kind in b"34" else (0, 0)
    if kind in (b"0", b"\0", b"7"):
        kind = b"5" if name.endswith(b"/") else b"0"
    elif kind not in _WITHOUT_CONTENT:
        raise Damaged(f"a member of the unknown type {kind!r}")
    if kind in _WITHOUT_CONTENT:
        size = 0
    return Member(name, kind, _known_number(block[100:108]) & 0o7777, uid, gid, size, mtime, link, device, xattrs, at)


def _number(field: bytes) -> int:
    """Octal digits, or the base-256 numbers of GNU tar."""
    try:
        return int(field.strip(_NO_PADDING) or b"0", 8)
    except ValueError:
        if field[0] == 0x80:
            return int.from_bytes(field[1:], "big")
        if field[0] == 0xFF:
            return int.from_bytes(field, "big", signed=True)
        end = field.find(b"\0")
        if end > 0 and field[:end].strip(b" ").isdigit():
            return _number(field[:end])  # digits, and rubbish behind their end
        raise Damaged("a header with a number that is none") from None


_known_number = functools.lru_cache(1024)(_number)
"""For what many members have in common."""


def _decimal(records: dict[bytes, bytes], key: bytes, otherwise: int) -> int:
    text = records.get(key)
    if not text:
        return otherwise
    if not text.isdigit() or len(text) > 19:
        raise Damaged(f"a record {key.decode()} that is no number")
    return int(text)


def _seconds(text: bytes, otherwise: int) -> int:
    """The whole seconds of a record `mtime`, rounded down."""
    if not text:
        return otherwise
    whole, _, fraction = text.partition(b".")
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 19 or not (fraction or b"0").isdigit():
        raise Damaged("a record mtime that is no time")
    return int(whole) - (1 if whole.startswith(b"-") and fraction.strip(b"0") else 0)


def _records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """`LENGTH KEY=VALUE\\n`, each after the other."""
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 12)
        digits = data[at:space]
        if (
            space < 0
            or not digits.isdigit()
            or not (length := int(digits))
            or data[at + length - 1 : at + length] != b"\n"
        ):
            raise Damaged("a PAX record of a wrong length")
        key, equals, value = data[space + 1 : at + length - 1].partition(b"=")
        if not equals or not key:
            raise Damaged("a PAX record without a key")
        yield key, value
        at += length
