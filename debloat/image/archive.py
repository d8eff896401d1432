"""A minimal image as a file: what engines load, and what tools for OCI images read.

`docker-archive` is what `docker save` has always written: a configuration, layers, and `manifest.json`. Every engine
loads it, whatever its store, and keeps a health check. `oci-archive` is an OCI image layout (image-layout.md) in a tar.
They are two formats and not one file that is both: Podman takes such a file for a layout and drops the health check.
"""

from __future__ import annotations

import enum
import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from debloat.image.carve import image_id, tar_header
from debloat.image.oci import (
    LAYOUT,
    MANIFEST,
    Document,
    Referrer,
    Written,
    artifact,
    artifact_entry,
    describe,
    digest_of,
    entries,
    index,
    manifest,
    plain_layers,
    to_json,
)

_PIECE = 1 << 20


class Format(enum.StrEnum):
    """The value is the name of the transport by which containers-transports(5) calls it."""

    DOCKER = "docker-archive"
    OCI = "oci-archive"


class Archive(Iterator[bytes]):
    """An image on its way to an engine, in pieces; one that reads files of this machine may take `image` itself."""

    def __init__(self, pieces: Iterator[bytes], image: Written) -> None:
        self._pieces = pieces
        self.image = image

    def __next__(self) -> bytes:
        return next(self._pieces)


def archive(
    image: Written, names: Iterable[str], form: Format = Format.DOCKER, referrers: Iterable[Referrer] = ()
) -> Iterator[bytes]:
    """The image as an archive, in pieces: the same bytes for the same image and names. A layout holds referrers too."""
    if form is Format.OCI:
        return _oci(image, sorted(names), list(referrers))
    layers = [(stored.layer.diff_id, stored.layer.size, file_pieces(stored.file)) for stored in image.layers]
    return Archive(docker_archive(image.config, layers, names), image)


def docker_archive(
    config: bytes, layers: Sequence[tuple[str, int, Iterable[bytes]]], names: Iterable[str]
) -> Iterator[bytes]:
    """A configuration and its layers (diff ID, size, pieces of the uncompressed tar) as `docker save` writes them."""
    config_name = f"{_hex(image_id(config))}.json"
    unique = {diff_id: (size, pieces) for diff_id, size, pieces in layers}
    listed = [f"{_hex(diff_id)}.tar" for diff_id, _, _ in layers]
    yield from _member(config_name, config)
    tags = sorted(names) or None
    yield from _member("manifest.json", to_json([{"Config": config_name, "RepoTags": tags, "Layers": listed}]))
    for diff_id, (size, pieces) in unique.items():
        yield from _large(f"{_hex(diff_id)}.tar", size, pieces)
    yield _END


def _oci(image: Written, names: list[str], referrers: list[Referrer]) -> Iterator[bytes]:
    blobs = {digest_of(image.config): image.config}
    document = manifest(image, plain_layers(image))
    found = describe(MANIFEST, document)
    blobs[digest_of(document)] = document
    listed = entries(found, names)
    for referrer in referrers:
        text, parts = artifact(referrer, found)
        blobs.update((digest_of(data), data) for data in (*parts, text))
        listed.append(artifact_entry(text, referrer))
    large = ((stored.layer.diff_id, stored.layer.size, file_pieces(stored.file)) for stored in image.layers)
    yield from oci_archive(blobs, listed, large)


def oci_archive(
    small: Mapping[str, bytes], listed: list[Document], large: Iterable[tuple[str, int, Iterable[bytes]]]
) -> Iterator[bytes]:
    """A layout in a tar: its blobs by digest, the large ones as size and pieces, and the rows of its index."""
    for digest, data in small.items():
        yield from _member(f"blobs/{digest.replace(':', '/')}", data)
    yield from _member("index.json", index(listed))
    yield from _member("oci-layout", LAYOUT)
    for digest, size, pieces in large:
        yield from _large(f"blobs/{digest.replace(':', '/')}", size, pieces)
    yield _END


_END = b"\0" * (2 * tarfile.BLOCKSIZE)


def _hex(digest: str) -> str:
    return digest.partition(":")[2]


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield tar_header(name.encode(), size=len(data))
    yield data + b"\0" * (-len(data) % tarfile.BLOCKSIZE)


def _large(name: str, size: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield tar_header(name.encode(), size=size)
    yield from pieces
    yield b"\0" * (-size % tarfile.BLOCKSIZE)


def file_pieces(path: Path) -> Iterator[bytes]:
    """A file in pieces."""
    with path.open("rb") as file:
        yield from file_part(file, 0, path.stat().st_size)


def file_part(file: BinaryIO, start: int, size: int) -> Iterator[bytes]:
    """A part of a file in pieces, read at its offsets."""
    end = start + size
    while start < end and (piece := os.pread(file.fileno(), min(_PIECE, end - start), start)):
        start += len(piece)
        yield piece
