"""Carving: the closure of a root file system as one deterministic layer, and the configuration around it.

The same entries, contents and configuration give the same bytes on every machine: names sorted, owners as numbers,
no time but the files' own, PAX records only where the old header cannot say it.
"""

from __future__ import annotations

import copy
import datetime
import functools
import hashlib
import json
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.identity import normal_config
from debloat.core.model import Closure, Entry, Image, Kind
from debloat.image.rootfs import Rootfs

_TYPES = {
    Kind.FILE: tarfile.REGTYPE,
    Kind.DIR: tarfile.DIRTYPE,
    Kind.SYMLINK: tarfile.SYMTYPE,
    Kind.FIFO: tarfile.FIFOTYPE,
    Kind.CHAR: tarfile.CHRTYPE,
    Kind.BLOCK: tarfile.BLKTYPE,
}
_BLOCK = tarfile.BLOCKSIZE
_JOINED = 64 << 10
"""Bytes from which on a piece of a layer is worth a call of its own."""

BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
"""Annotation keys of the OCI image specification (annotations.md); set as labels, which every engine carries."""


class Kept(Struct, frozen=True):
    """One entry of the minimal image: its metadata, and new content where debloat rewrites the file."""

    entry: Entry
    content: bytes | None = None


class Layer(Struct, frozen=True):
    """A written layer: the digest of its uncompressed tar (`sha256:...`), its size, and the bytes of its files.

    `comment` is what the history of its image says of it; empty for what the image does not share with others.
    """

    diff_id: str
    size: int
    content: int
    comment: str = ""


def kept_entries(rootfs: Rootfs, closure: Closure, rewritten: Mapping[str, bytes]) -> list[Kept]:
    """The entries of a closure in the order of the layer, with `rewritten` contents. Sockets are left out: an image
    cannot hold them."""
    kept = []
    for path in sorted(closure.evidence, key=os.fsencode):
        entry = rootfs.get(path)
        if entry is None or entry.kind is Kind.SOCKET:
            continue
        content = rewritten.get(path)
        if content is not None:
            entry = replace(entry, size=len(content), hardlink=0)
        kept.append(Kept(entry, content))
    return kept


def layer_pieces(rootfs: Rootfs, kept: Iterable[Kept]) -> Iterator[bytes]:
    """The layer's tar, in pieces. The first name of a hard-linked file carries the content, the others link to it.

    ValueError where a content has another size than its entry.
    """
    total = 0
    for item, header, linked in headed(kept):
        entry = item.entry
        total += len(header)
        yield header
        if entry.kind is Kind.FILE and not linked:
            size = 0
            for piece in (item.content,) if item.content is not None else rootfs.chunks(entry.path):
                size += len(piece)
                yield piece
            if size != entry.size:
                raise ValueError(f"{entry.path!r} has {size} bytes, its entry says {entry.size}")
            padding = -size % _BLOCK
            yield b"\0" * padding
            total += size + padding
    yield b"\0" * (layer_size(total) - total)


def headed(kept: Iterable[Kept]) -> Iterator[tuple[Kept, bytes, bool]]:
    """The entries of a layer with their headers, and whether each links to a name that came before it."""
    first: dict[int, str] = {}
    for item in kept:
        entry = item.entry
        linked = first.get(entry.hardlink) if entry.hardlink else None
        yield item, _header(entry, linked), linked is not None
        if entry.hardlink and linked is None:
            first[entry.hardlink] = entry.path


def member_size(entry: Entry, header: bytes, linked: bool) -> int:
    """Bytes that an entry takes in a layer."""
    content = entry.size if entry.is_file and not linked else 0
    return len(header) + content + -content % _BLOCK


def layer_size(members: int) -> int:
    """Bytes of a layer whose members take so many: an end of two blocks, filled up to a record (pax, POSIX.1-2017)."""
    return members + 2 * _BLOCK + -(members + 2 * _BLOCK) % tarfile.RECORDSIZE


def directories(paths: Iterable[str]) -> list[Kept]:
    """The directories above paths as layers have them that images share: the same in every image.

    What is true of each in an image is said by the layer on top, which every engine takes.
    """
    found = set[str]()
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return [Kept(Entry(path, Kind.DIR, 0o755)) for path in sorted(found, key=os.fsencode)]


def _header(entry: Entry, linked: str | None) -> bytes:
    records = {f"SCHILY.xattr.{name}".encode("utf-8", "surrogateescape"): value for name, value in entry.xattrs}
    seconds, nanoseconds = divmod(entry.mtime, 10**9)
    if nanoseconds:
        records[b"mtime"] = f"{seconds}.{nanoseconds:09d}".rstrip("0").encode()
    name = os.fsencode(entry.path.lstrip("/") or ".") + (b"/" if entry.is_dir else b"")
    return tar_header(
        name,
        _TYPES[entry.kind] if linked is None else tarfile.LNKTYPE,
        mode=entry.mode,
        owner=(entry.uid, entry.gid),
        size=entry.size if entry.is_file and linked is None else 0,
        mtime=seconds,
        link=os.fsencode(entry.target if linked is None else linked.lstrip("/")),
        device=entry.device,
        records=records,
    )


def tar_header(
    name: bytes,
    kind: bytes = tarfile.REGTYPE,
    *,
    mode: int = 0o644,
    owner: tuple[int, int] = (0, 0),
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    records: Mapping[bytes, bytes] = MappingProxyType({}),
) -> bytes:
    """A ustar header, behind PAX records for what it cannot hold (pax, POSIX.1-2017).

    Not tarfile's, whose bytes changed between Python releases: a layer has the same digest on every machine.
    """
    extra = dict(records)
    if len(name) > tarfile.LENGTH_NAME:
        extra[b"path"] = name
    if len(link) > tarfile.LENGTH_LINK:
        extra[b"linkpath"] = link
    numbers = ((b"uid", owner[0], 8), (b"gid", owner[1], 8), (b"size", size, 12), (b"mtime", mtime, 12))
    for key, value, width in numbers:
        if not 0 <= value < 8 ** (width - 1):
            extra.setdefault(key, b"%d" % value)
    block = _ustar(name, kind, mode, owner, size, mtime, link, device)
    if not extra:
        return block
    body = b"".join(_record(key, value) for key, value in sorted(extra.items()))
    head = _ustar(b"PaxHeaders/" + name[-80:], tarfile.XHDTYPE, 0o644, (0, 0), len(body), 0, b"", (0, 0))
    return head + body + b"\0" * (-len(body) % _BLOCK) + block


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where the length counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


@functools.lru_cache(1024)
def _octal(value: int, width: int) -> bytes:
    return b"%0*o\0" % (width - 1, value if 0 <= value < 8 ** (width - 1) else 0)


def _ustar(
    name: bytes,
    kind: bytes,
    mode: int,
    owner: tuple[int, int],
    size: int,
    mtime: int,
    link: bytes,
    device: tuple[int, int],
) -> bytes:
    block = b"".join(
        (
            name[: tarfile.LENGTH_NAME].ljust(tarfile.LENGTH_NAME, b"\0"),
            _octal(mode, 8),
            _octal(owner[0], 8),
            _octal(owner[1], 8),
            _octal(size, 12),
            _octal(mtime, 12),
            b" " * 8,
            kind,
            link[: tarfile.LENGTH_LINK].ljust(tarfile.LENGTH_LINK, b"\0"),
            b"ustar\x0000",
            b"\0" * 64,
            _octal(device[0], 8),
            _octal(device[1], 8),
            b"\0" * 167,
        )
    )
    return block[:148] + b"%06o\0 " % sum_of(block) + block[156:]


def sum_of(block: bytes) -> int:
    """The sum of a block's bytes, which headers have as a checksum.

    By way of Adler-32, whose lower half is one more than the sum of so few (RFC 1950): ten times as fast.
    """
    return (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:_BLOCK]) & 0xFFFF) - 2


def write_layer(rootfs: Rootfs, kept: list[Kept], out: BinaryIO, comment: str = "") -> Layer:
    """Write the layer's tar, hashing on the way."""
    digest, size = hashlib.sha256(), 0
    for piece in _gathered(layer_pieces(rootfs, kept)):
        digest.update(piece)
        size += len(piece)
        out.write(piece)
    out.flush()
    return Layer(f"sha256:{digest.hexdigest()}", size, content_size(k.entry for k in kept), comment)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes with small pieces joined: each is hashed and written by a call of its own."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        if len(piece) < _JOINED:
            held.append(piece)
            size += len(piece)
            if size < _JOINED:
                continue
            piece = b""
        yield b"".join(held)
        held, size = [], 0
        if piece:
            yield piece
    yield b"".join(held)


def content_size(entries: Iterable[Entry]) -> int:
    """Bytes of regular files, each hardlinked file counted once."""
    counted_hardlinks: set[int] = set()
    total = 0
    for entry in entries:
        if entry.kind is Kind.FILE and not (entry.hardlink and entry.hardlink in counted_hardlinks):
            counted_hardlinks.add(entry.hardlink)
            total += entry.size
    return total


def created_at(image: Image) -> str:
    """The minimal image's `created`: SOURCE_DATE_EPOCH where it is set, else the original's own."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if epoch.isdigit():
        moment = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return image.created


def image_config(image: Image, layers: Sequence[Layer], tool: str) -> bytes:
    """The minimal image's configuration: the original's in normal form, its layers, and where it came from.

    The only additions are the labels that name the base: the digest by which the user named it, else its identity.
    """
    config: dict[str, Any] = copy.deepcopy(normal_config(image.config.raw))
    labels = dict(config.get("Labels") or {})
    labels.setdefault(BASE_NAME, image.reference)
    labels.setdefault(BASE_DIGEST, image.reference.partition("@")[2] or image.identity)
    config["Labels"] = labels
    created = created_at(image)
    document: dict[str, Any] = {
        "architecture": image.architecture,
        "config": config,
        "created": created,
        "history": [
            {"created": created, "created_by": tool, "comment": layer.comment or f"cut down from {image.reference}"}
            for layer in layers
        ],
        "os": image.os,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
    }
    if image.variant:
        document["variant"] = image.variant
    if image.author:
        document["author"] = image.author
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def image_id(config: bytes) -> str:
    """The digest of a configuration, by which Docker's classic store and Podman call an image."""
    return f"sha256:{hashlib.sha256(config).hexdigest()}"
