"""Blobs as streams: held against their size and digest, and layers uncompressed, in bounded memory.

Which compression a layer has is told by its first bytes (RFC 1952, RFC 8878) and not by its media type, as by engines.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from isal import isal_zlib

from debloat.store.base import Blob, StoreError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 1 << 20
_BITE, _MOUTHFUL = 64 << 10, 256 << 10
"""Bytes that are uncompressed at once, and that come of it: what is made then is hashed and written out of a cache."""
MAX_BYTES = 64 << 30
"""Bytes of an image's layers uncompressed, at most."""

_GZIP = b"\x1f\x8b"
_BAD: tuple[type[Exception], ...] = (cast(type[Exception], isal_zlib.error), zlib.error, zstd.ZstdError, EOFError)
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = (b"\x2a\x4d\x18", 1)
"""A frame to be passed over has this behind a first byte of 0x50 to 0x5f."""


class Verified(io.RawIOBase):
    """A stream that must be a blob: its reader gets StoreError, at the end at the latest, where it is not."""

    def __init__(self, source: BinaryIO, blob: Blob, where: str) -> None:
        self._source = source
        self._blob = blob
        self._where = where
        self._left = blob.size
        self._hash = hashlib.new(blob.digest.partition(":")[0])
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        data = b""
        if wanted:
            # In one go: a short read of a socket is no end.
            data = self._source.read(wanted)
            if not data:
                raise self._differs(f"it ends after {self._blob.size - self._left} of {self._blob.size} bytes")
            self._left -= len(data)
            self._hash.update(data)
        if not self._left and not self._ended:
            self._ended = True
            if self._source.read(1):
                raise self._differs(f"it goes on after its {self._blob.size} bytes")
            if self._hash.hexdigest() != self._blob.digest.partition(":")[2]:
                raise self._differs("its content has another digest")
        return data

    def _differs(self, how: str) -> StoreError:
        return damaged(self._where, f"the blob {self._blob.digest[:19]} is not what its descriptor says: {how}")

    def close(self) -> None:
        self._source.close()
        super().close()


def damaged(where: str, how: str) -> StoreError:
    """The error of a place that holds something other than a whole image."""
    return StoreError(f"cannot read {where}: {how}", "it is damaged, or not made by a tool for images: make it again")


def read_whole(blob: Blob, opened: BinaryIO, limit: int, where: str) -> bytes:
    """All of a small blob."""
    if blob.size > limit:
        raise damaged(where, f"a document of {blob.size} bytes, where {limit} are the most")
    with contextlib.closing(opened):
        pieces = []
        while piece := opened.read(PIECE):
            pieces.append(piece)
        if not blob.size:
            opened.read(0)
    return b"".join(pieces)


def is_compressed(head: bytes) -> bool:
    """Whether data that begins like this is gzip or zstd."""
    return head.startswith(_GZIP) or head.startswith(_ZSTD) or _skipped(head)


def _skipped(head: bytes) -> bool:
    magic, at = _ZSTD_SKIPPED
    return head[at : at + 3] == magic and head[:1] != b"" and 0x50 <= head[0] <= 0x5F


def uncompressed(raw: BinaryIO, where: str) -> Iterator[bytes]:
    """The content of a stream in pieces of bounded size, whatever it is compressed with; StoreError where damaged."""
    head = raw.read(_BITE)
    new: Callable[[], Any] | None = None
    if head.startswith(_GZIP):
        new = lambda: isal_zlib.decompressobj(wbits=31)  # noqa: E731
    elif head.startswith(_ZSTD) or _skipped(head):
        new = zstd.ZstdDecompressor
    if new is None:
        while head:
            yield head
            head = raw.read(PIECE)
        return
    try:
        yield from _inflated(raw, head, new)
    except _BAD as error:
        raise damaged(where, f"a layer cannot be uncompressed: {str(error) or type(error).__name__}") from error


def _inflated(raw: BinaryIO, data: bytes, new: Callable[[], Any]) -> Iterator[bytes]:
    """One member or frame after the other, to the end of the stream and no further."""
    inside = False
    machine = new()
    while True:
        if not data and not (data := raw.read(_BITE)):
            if inside:
                raise EOFError("it is cut off")
            return
        inside = True
        piece = machine.decompress(data, _MOUTHFUL)
        if piece:
            yield piece
        if machine.eof:
            data, machine, inside = machine.unused_data, new(), False
        elif isinstance(machine, zstd.ZstdDecompressor):
            data = b""
            while not machine.eof and not machine.needs_input:
                if piece := machine.decompress(b"", _MOUTHFUL):
                    yield piece
            if machine.eof:
                data, machine, inside = machine.unused_data, new(), False
        else:
            data = machine.unconsumed_tail
