"""Indexes of several platforms: read as they stand, composed anew of images that were made and what is carried over.

What is carried over keeps its bytes: manifest, configuration and layers are copied, each held against its digest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from debloat.core.errors import UsageError
from debloat.engine.inspection import mapping
from debloat.image.oci import (
    INDEX,
    MANIFEST,
    REF_NAME,
    Document,
    Written,
    describe,
    digest_of,
    manifest,
    plain_layers,
    to_json,
)
from debloat.store.base import Blob, ImageStore, IndexEntry, Member, NewIndex, StoredIndex, Variant
from debloat.store.choice import readable
from debloat.store.documents import (
    DOCKER_INDEX,
    MANIFESTS,
    MAX_MANIFEST,
    Index,
    Manifest,
    is_image,
    manifest_or_index,
    parse_json,
)
from debloat.store.streams import PIECE, read_whole

_INDEXES = (INDEX, DOCKER_INDEX)
_REFERS_TO = "vnd.docker.reference.digest"
_NAMES = (REF_NAME, "io.containerd.image.name")
_OF_CONTENT = ("data", "urls")
"""Fields of a descriptor that stand for the bytes that it describes."""

Content = bytes | Path | Blob
"""What a blob of an index is made of: bytes, a file, or what the store has that it comes from."""


def index_of(data: bytes, reference: str) -> StoredIndex | None:
    """The index that a document is; None for a manifest. ValueError for another document."""
    found = manifest_or_index(data)
    if not isinstance(found, Index):
        return None
    raw = parse_json(data, "the index")
    rows = tuple(map(IndexEntry, raw.pop("manifests") or [], found.variants))
    return StoredIndex(reference, raw, rows)


def of_rows(rows: Iterable[IndexEntry], reference: str) -> StoredIndex:
    """Rows of a layout that have one name as the index that they stand for; the name is not theirs there."""

    def unnamed(row: IndexEntry) -> IndexEntry:
        annotations = {key: value for key, value in row.said.annotations.items() if key not in _NAMES}
        fields = {key: value for key, value in row.fields.items() if key != "annotations"}
        return IndexEntry({**fields, "annotations": annotations} if annotations else fields, row.said)

    return StoredIndex(reference, {}, tuple(map(unnamed, rows)))


def of_layout(
    data: bytes, rows: Iterable[Variant], reference: str, read: Callable[[Blob], bytes]
) -> StoredIndex | None:
    """The index that the `rows` of a layout's own index lead to; None where they are one image."""
    wanted = list(rows)
    images = {row.blob.digest: row for row in wanted if is_image(row)}
    if len(images) == 1:
        (only,) = images.values()
        return index_of(read(only.blob), reference) if only.blob.media_type in _INDEXES else None
    listed = index_of(data, reference)
    assert listed is not None, "a layout's own index has been read"
    return of_rows((row for row in listed.entries if row.said in wanted), reference)


def images(index: StoredIndex, where: str) -> tuple[Variant, ...]:
    """The images of an index, in their order. UsageError for one that has indexes in it."""
    found = tuple(row.said for row in index.entries if is_image(row.said))
    if any(row.blob.media_type in _INDEXES for row in found):
        raise UsageError(
            f"cannot take all platforms of {where}: it has an index within its index", "copy its images into one first"
        )
    return found


def composed(
    index: StoredIndex, store: ImageStore, made: Mapping[str, Written], where: str
) -> tuple[NewIndex, tuple[Variant, ...]]:
    """The index with the images that were `made` in place of those with these digests; and the rows that go.

    All other images are carried over. What is beside them (attestations, artifacts) stays where it speaks of one of
    those, or of no image; what speaks of an image that has changed, or cannot be read, goes.
    """
    carried = {image.blob.digest for image in images(index, where)} - set(made)
    members, gone = [], []
    for row in index.entries:
        blob = row.said.blob
        if is_image(row.said) and blob.digest in made:
            members.append(Member(dict(row.fields), made[blob.digest]))
        elif (
            blob.media_type in MANIFESTS and blob.media_type not in _INDEXES and _stays(row.said, store, carried, where)
        ):
            members.append(Member(dict(row.fields), parts=_parts(blob, store, where)))
        else:
            gone.append(row.said)
    return NewIndex(dict(index.fields), tuple(members), store), tuple(gone)


def _stays(row: Variant, store: ImageStore, carried: set[str], where: str) -> bool:
    if is_image(row):
        return True
    subject = row.annotations.get(_REFERS_TO)
    if subject is None and row.os == "unknown":
        return False
    with readable(where):
        raw = parse_json(read_whole(row.blob, store.open(row.blob), MAX_MANIFEST, where), "the manifest")
        subject = subject or str(mapping(raw, "subject").get("digest") or "")
    return not subject or subject in carried


def _parts(blob: Blob, store: ImageStore, where: str) -> tuple[Blob, ...]:
    """The blobs that a manifest leads to, each once, and itself at the end."""
    with readable(where):
        found = manifest_or_index(read_whole(blob, store.open(blob), MAX_MANIFEST, where))
        if not isinstance(found, Manifest):
            raise ValueError("an index that calls itself a manifest")
    return (*{part.digest: part for part in (*found.layers, found.config)}.values(), blob)


def row_of(fields: Document, document: bytes) -> Document:
    """A row of an index for another manifest than it had; platform and annotations stay."""
    return {**{k: v for k, v in fields.items() if k not in _OF_CONTENT}, **describe(MANIFEST, document)}


def text_of(fields: Document, rows: list[Document]) -> bytes:
    """An index of these rows, with what the original has beside them."""
    return to_json({**fields, "schemaVersion": 2, "mediaType": INDEX, "manifests": rows})


def laid_out(new: NewIndex) -> tuple[bytes, dict[str, Content]]:
    """An index whose new layers lie uncompressed: its text, and the blobs that it leads to by digest, in order."""
    rows: list[Document] = []
    blobs: dict[str, Content] = {}
    for member in new.members:
        if (image := member.image) is None:
            blobs.update((part.digest, part) for part in member.parts)
            rows.append(member.fields)
            continue
        document = manifest(image, plain_layers(image))
        blobs.update((stored.layer.diff_id, stored.file) for stored in image.layers)
        blobs.update((digest_of(data), data) for data in (image.config, document))
        rows.append(row_of(member.fields, document))
    return text_of(new.fields, rows), blobs


def copied(store: ImageStore, blob: Blob) -> Iterator[bytes]:
    """A blob of a store in pieces. StoreError at its end unless it is what its descriptor says."""
    with store.open(blob) as stream:
        while piece := stream.read(PIECE):
            yield piece
