"""Manifests, indexes and configurations as values (OCI image specification; Docker image manifest 2.2).

Whoever wrote them is not trusted: sizes, depths and types are bounded, and a text that could be two kinds of document
is neither. ValueError says what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from debloat.core.model import Image
from debloat.engine.inspection import EPOCH, config_of, mapping, text
from debloat.image.oci import CONFIG, INDEX, MANIFEST
from debloat.store.base import Blob, StoredLayer, Variant

MAX_MANIFEST = 4 << 20
"""Bytes of a manifest or an index: what registries have to take at least (distribution specification)."""
MAX_CONFIG = 16 << 20
MAX_LAYERS = 1024
MAX_BLOB = 1 << 40

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"

MANIFESTS = (INDEX, DOCKER_INDEX, MANIFEST, DOCKER_MANIFEST)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_IMAGE_CONFIGS = (CONFIG, "application/vnd.docker.container.image.v1+json")


class Manifest(Struct, frozen=True):
    """Where the parts of one image are."""

    config: Blob
    layers: tuple[Blob, ...]


class Index(Struct, frozen=True):
    """Several images, or kinds of one."""

    variants: tuple[Variant, ...]


def parse_json(data: bytes, what: str) -> Any:
    """A JSON text in which no key stands twice: readers disagree on which of the two counts."""
    try:
        return json.loads(data, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(f"{what} is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{what} is no JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in an object")
    return found


def digest(value: object) -> str:
    """A text that is a digest; nothing else may become the name of a file or a part of an address."""
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(f"{value!r:.40} is no digest")
    return value


def descriptor(raw: object) -> Blob:
    """A descriptor; those whose contents are elsewhere by `urls` are refused by whoever looks for the blob."""
    if not isinstance(raw, dict):
        raise ValueError(f"{raw!r:.40} is no descriptor")
    size = raw.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_BLOB:
        raise ValueError(f"{size!r:.40} is no size of a blob")
    return Blob(text(raw, "mediaType"), digest(raw.get("digest")), size)


def manifest_or_index(data: bytes) -> Manifest | Index:
    """What a document is by its fields; one that has those of both is refused, as the specification asks."""
    raw = parse_json(data, "the manifest")
    if not isinstance(raw, dict):
        raise ValueError("the manifest is no object")
    if raw.get("schemaVersion") != 2:
        raise ValueError(f"a manifest of version {raw.get('schemaVersion')!r:.20}, not 2")
    is_index, is_manifest = "manifests" in raw, "config" in raw or "layers" in raw
    if is_index == is_manifest:
        raise ValueError("a document that is neither a manifest nor an index, or both")
    kind = text(raw, "mediaType")
    if kind and kind not in (MANIFESTS[:2] if is_index else MANIFESTS[2:]):
        raise ValueError(f"a manifest of the type {kind!r:.80}")
    if is_index:
        return Index(tuple(_variant(row) for row in _rows(raw, "manifests")))
    return Manifest(descriptor(raw.get("config")), tuple(descriptor(row) for row in _rows(raw, "layers")))


def _rows(raw: Mapping[str, Any], key: str) -> list[Any]:
    rows = raw.get(key) or []
    if not isinstance(rows, list) or len(rows) > MAX_LAYERS:
        raise ValueError(f"{key} is no list of at most {MAX_LAYERS}")
    return rows


def _variant(raw: object) -> Variant:
    blob = descriptor(raw)
    assert isinstance(raw, dict)
    platform = mapping(raw, "platform")
    annotations = {str(k): str(v) for k, v in mapping(raw, "annotations").items()}
    return Variant(
        blob,
        text(platform, "os"),
        text(platform, "architecture"),
        text(platform, "variant"),
        MappingProxyType(annotations),
        text(raw, "artifactType"),
    )


def is_image(variant: Variant) -> bool:
    """Whether an entry of an index is an image, and not an attestation or another artifact."""
    return (
        variant.blob.media_type in MANIFESTS
        and variant.os != "unknown"
        and "vnd.docker.reference.type" not in variant.annotations
        and (not variant.artifact_type or variant.artifact_type in _IMAGE_CONFIGS)
    )


def image_of(config: bytes, identifier: str, reference: str, names: tuple[str, ...], size: int) -> Image:
    """The image that a configuration describes; `size` are its layers' bytes as stored."""
    raw = parse_json(config, "the configuration")
    if not isinstance(raw, dict):
        raise ValueError("the configuration is no object")
    history = [row for row in _list(raw, "history") if isinstance(row, dict)]
    return Image(
        reference=reference,
        id=identifier,
        os=text(raw, "os"),
        architecture=text(raw, "architecture"),
        variant=text(raw, "variant"),
        created=_moment(text(raw, "created")),
        config=config_of(raw.get("config")),
        layers=tuple(digest(layer) for layer in _list(mapping(raw, "rootfs"), "diff_ids")),
        size=size,
        history=tuple(text(row, "created_by") for row in history),
        author=text(raw, "author"),
        builder=text(raw, "docker_version"),
        names=names,
    )


def _list(raw: Mapping[str, Any], key: str) -> list[Any]:
    value = raw.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f"{key} is {value!r:.40}")
    return value


def _moment(created: str) -> str:
    """A time as engines write it: UTC is `Z`, no zeros at the end of a fraction (RFC 3339)."""
    if match := re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d*?)?0*(?:Z|[+-]00:00)", created, re.ASCII):
        whole, fraction = match[1], (match[2] or "").rstrip(".")
        return f"{whole}{fraction}Z" if "." in created else f"{created[:19]}Z"
    return created or EPOCH


def stored_layers(layers: tuple[Blob, ...], image: Image) -> tuple[StoredLayer, ...]:
    """The layers of a manifest with the diff IDs of the configuration, which must be as many."""
    if len(layers) != len(image.layers):
        raise ValueError(f"a manifest with {len(layers)} layers and a configuration with {len(image.layers)}")
    return tuple(StoredLayer(blob, diff_id) for blob, diff_id in zip(layers, image.layers, strict=True))
