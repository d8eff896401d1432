"""A minimal image as the documents of the OCI image specification: its manifest, indexes, and what refers to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from debloat.core.reference import full_name
from debloat.image.carve import BASE_DIGEST, BASE_NAME, Layer, image_id

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
EMPTY = "application/vnd.oci.empty.v1+json"
REF_NAME = "org.opencontainers.image.ref.name"
LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'

Document = dict[str, Any]


class LayerFile(Struct, frozen=True):
    """A layer, and the file that it lies in, uncompressed."""

    layer: Layer
    file: Path


class Written(Struct, frozen=True):
    """An image on disk: its configuration, and its layers in the order in which they are applied.

    `original` is the id of the image that it was cut from, on the engine of the run; empty where it was not.
    """

    config: bytes
    layers: tuple[LayerFile, ...]
    original: str = ""


class Referrer(Struct, frozen=True):
    """What speaks of an image and is stored beside it: an artifact whose manifest has the image's as its `subject`.

    `artifact_type` says what it is (`application/vnd.in-toto+json`, ...), `content` is its only layer, of `media_type`.
    """

    artifact_type: str
    media_type: str
    content: bytes
    annotations: Mapping[str, str] = MappingProxyType({})


def to_json(document: object) -> bytes:
    """The same document as the same bytes."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def descriptor(media_type: str, digest: str, size: int) -> Document:
    return {"mediaType": media_type, "digest": digest, "size": size}


def describe(media_type: str, data: bytes) -> Document:
    """The descriptor of a blob at hand."""
    return descriptor(media_type, digest_of(data), len(data))


def plain_layers(image: Written) -> list[Document]:
    """The descriptors of an image's layers as they lie in their files, uncompressed."""
    return [descriptor(LAYER, stored.layer.diff_id, stored.layer.size) for stored in image.layers]


def manifest(image: Written, layers: list[Document]) -> bytes:
    """The manifest of an image whose layers are stored as descriptors say."""
    labels = json.loads(image.config)["config"]["Labels"]
    return to_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, image_id(image.config), len(image.config)),
            "layers": layers,
            "annotations": {key: labels[key] for key in (BASE_DIGEST, BASE_NAME)},
        }
    )


def entries(found: Document, names: Iterable[str]) -> list[Document]:
    """What an index says of a manifest: an entry a name, or one without.

    Tools for OCI layouts know an image by the first annotation; containerd takes the second, and untouched.
    """
    named = [{REF_NAME: name, "io.containerd.image.name": full_name(name)} for name in sorted(names)]
    return [{**found, "annotations": annotations} for annotations in named] or [found]


def index(manifests: list[Document]) -> bytes:
    return to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def artifact(referrer: Referrer, subject: Document) -> tuple[bytes, list[bytes]]:
    """The manifest of what refers to an image (manifest.md, guidelines for artifacts), and the blobs that it names."""
    empty = b"{}"
    document: Document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": referrer.artifact_type,
        "config": describe(EMPTY, empty),
        "layers": [describe(referrer.media_type, referrer.content)],
        "subject": subject,
    }
    if referrer.annotations:
        document["annotations"] = dict(referrer.annotations)
    return to_json(document), [empty, referrer.content]


def artifact_entry(data: bytes, referrer: Referrer) -> Document:
    """What an index, and the list of an image's referrers, say of such a manifest."""
    entry = {**describe(MANIFEST, data), "artifactType": referrer.artifact_type}
    return {**entry, "annotations": dict(referrer.annotations)} if referrer.annotations else entry
