"""The seam to where images lie: what is asked of an archive, a layout or a registry, as values and two Protocols.

Apart from `debloat.engine.base`, the seam to what runs containers: an image can be read, cut and written without any of
that. A store is one place, opened by its `Location` (`debloat.store.location`); what is in it is not trusted. Whoever
reads gets every blob held against its digest and size, and every layer against its diff ID.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Protocol, Self

from debloat.core.errors import DebloatError
from debloat.core.model import Image
from debloat.core.platform import Wanted
from debloat.image.oci import Referrer, Written


class StoreError(DebloatError):
    """An image store cannot be read or written, or what is in it is damaged or hostile."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Blob:
    """A descriptor (OCI image specification, descriptor.md): `digest` is `sha256:...`, `size` bytes as stored."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer as it is stored, compressed or not, and the digest of its uncompressed tar."""

    blob: Blob
    diff_id: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One manifest of an index: its descriptor and the platform it says it is for; `os` is empty where it says none."""

    blob: Blob
    os: str = ""
    architecture: str = ""
    variant: str = ""
    annotations: MappingProxyType[str, str] = field(default_factory=lambda: MappingProxyType({}))
    artifact_type: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a blob lies, as it is stored, in a file of this machine: from `offset` on."""

    path: Path
    offset: int = 0


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image as a store has it.

    `image.id` is the digest of the configuration, whose bytes are `config`; `layers` are in the order in which they are
    applied, one for each diff ID. `manifest` is the descriptor of its manifest, as it stands or (a `docker-archive`,
    which has none) as one would be written for it.
    """

    image: Image
    config: bytes
    manifest: Blob
    layers: tuple[StoredLayer, ...]


class ImageStore(Protocol):
    """A place that an image is read from. Errors are `StoreError`, or `UsageError` for what the user named wrongly.

    Threads may read different blobs at once. As a context manager it gives back what it holds open.
    """

    def variants(self) -> tuple[Variant, ...]:
        """The manifests that the location leads to, in their order: one, or those of an index of several platforms."""

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
