"""The seam to where images lie: what is asked of an archive, a layout or a registry, as values and two Protocols.

Apart from `debloat.engine.base`, the seam to what runs containers: an image can be read, cut and written without any of
that. A store is one place, opened by its `Location` (`debloat.store.location`); what is in it is not trusted. Whoever
reads gets every blob held against its digest and size, and every layer against its diff ID.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, BinaryIO, Protocol, Self

from msgspec import Struct

from debloat.core.errors import DebloatError
from debloat.core.model import Image
from debloat.core.platform import Wanted
from debloat.image.oci import Document, Referrer, Written


class StoreError(DebloatError):
    """An image store cannot be read or written, or what is in it is damaged or hostile."""

    exit_code = 3


class Blob(Struct, frozen=True):
    """A descriptor (OCI image specification, descriptor.md): `digest` is `sha256:...`, `size` bytes as stored."""

    media_type: str
    digest: str
    size: int


class StoredLayer(Struct, frozen=True):
    """A layer as it is stored, compressed or not, and the digest of its uncompressed tar."""

    blob: Blob
    diff_id: str


class Variant(Struct, frozen=True):
    """One manifest of an index: its descriptor and the platform it says it is for; `os` is empty where it says none."""

    blob: Blob
    os: str = ""
    architecture: str = ""
    variant: str = ""
    annotations: MappingProxyType[str, str] = MappingProxyType({})
    artifact_type: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class Place(Struct, frozen=True):
    """Where a blob lies, as it is stored, in a file of this machine: from `offset` on."""

    path: Path
    offset: int = 0


class StoredImage(Struct, frozen=True):
    """An image as a store has it.

    `image.id` is the digest of the configuration, whose bytes are `config`; `layers` are in the order in which they are
    applied, one for each diff ID. `manifest` is the descriptor of its manifest, as it stands or (a `docker-archive`,
    which has none) as one would be written for it.
    """

    image: Image
    config: bytes
    manifest: Blob
    layers: tuple[StoredLayer, ...]


class IndexEntry(Struct, frozen=True):
    """A row of an index: its fields as they stand, and what they say."""

    fields: Mapping[str, Any]
    said: Variant


class StoredIndex(Struct, frozen=True):
    """An index of several platforms as a store has it: its rows in their order, and `fields`, all that it has beside.

    `reference` is what the image is called there.
    """

    reference: str
    fields: Mapping[str, Any]
    entries: tuple[IndexEntry, ...]


class ImageStore(Protocol):
    """A place that an image is read from. Errors are `StoreError`, or `UsageError` for what the user named wrongly.

    Threads may read different blobs at once. As a context manager it gives back what it holds open.
    """

    def variants(self) -> tuple[Variant, ...]:
        """The manifests that the location leads to, in their order: one, or those of an index of several platforms."""

    def index(self) -> StoredIndex | None:
        """The index that the location leads to; None where that is one image."""

    def image(self, wanted: Wanted | None = None) -> StoredImage:
        """The image for a platform: the first that fits, without a wish the one for this machine, or the only one."""

    def open(self, blob: Blob) -> BinaryIO:
        """A blob as it is stored. Reading to its end raises StoreError unless size and digest are those of `blob`."""

    def place(self, blob: Blob) -> Place | None:
        """Where a blob lies on this machine, unverified, so that it need not be copied; None where it does not."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ImageSink(Protocol):
    """A place that an image is written to; whole, or not at all."""

    def write(self, image: Written, names: Iterable[str], referrers: Iterable[Referrer] = ()) -> str:
        """Write an image; the digest of its manifest. UsageError for referrers where a place can hold none."""


class Member(Struct, frozen=True):
    """What is to stand in one row of an index: an image that was made, or what a store has, as it is.

    `fields` are the row's. `parts` are the blobs of what is carried over, its manifest at the end.
    """

    fields: Document
    image: Written | None = None
    parts: tuple[Blob, ...] = ()


class NewIndex(Struct, frozen=True):
    """An index to be written: its members in their order, and the store that those come from that are carried over."""

    fields: Document
    members: tuple[Member, ...]
    source: ImageStore


class IndexSink(Protocol):
    """A place that an index is written to, with all that it leads to; whole, or not at all."""

    def write_index(self, new: NewIndex, names: Iterable[str]) -> str:
        """Write an index; its digest."""
