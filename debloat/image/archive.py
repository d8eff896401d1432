"""A minimal image as a file: what engines load, and what tools for OCI images read.

`docker-archive` is what `docker save` has always written: a configuration, layers, and `manifest.json`. Every engine
loads it, whatever its store, and keeps a health check. `oci-archive` is an OCI image layout (image-layout.md) in a tar.
They are two formats and not one file that is both: Podman takes such a file for a layout and drops the health check.
"""

from __future__ import annotations

import enum
import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from debloat.core.reference import full_name
from debloat.image.carve import BASE_DIGEST, BASE_NAME, Layer, image_id, tar_header

_CHUNK_BYTES = 1 << 20


class Format(enum.StrEnum):
    """The value is the name of the transport by which containers-transports(5) calls it."""

    DOCKER = "docker-archive"
    OCI = "oci-archive"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an archive is to be written, and as what."""

    format: Format
    path: Path


def destination(text: str) -> Destination:
    """`FILE`, `docker-archive:FILE` or `oci-archive:FILE`; without a transport it is a `docker-archive`."""
    transport, colon, path = text.partition(":")
    if colon and transport in list(Format):
        return Destination(Format(transport), Path(path))
    return Destination(Format.DOCKER, Path(text))


@dataclass(frozen=True, slots=True)
class Written:
    """An image of one layer: its configuration, its layer, and the file that the layer lies in."""

    config: bytes
    layer: Layer
    layer_file: Path


def archive(image: Written, names: Iterable[str], form: Format = Format.DOCKER) -> Iterator[bytes]:
    """The image as an archive, in pieces: the same bytes for the same image and names."""
    make = _docker if form is Format.DOCKER else _oci
    return make(image, sorted(names))


def _docker(image: Written, names: list[str]) -> Iterator[bytes]:
    config, layer = f"{_hex(image_id(image.config))}.json", f"{_hex(image.layer.diff_id)}.tar"
    yield from _member(config, image.config)
    yield from _member("manifest.json", _json([{"Config": config, "RepoTags": names or None, "Layers": [layer]}]))
    yield from _layer(layer, image)
    yield _END


def _oci(image: Written, names: list[str]) -> Iterator[bytes]:
    labels = json.loads(image.config)["config"]["Labels"]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("config.v1+json", image_id(image.config), len(image.config)),
            "layers": [_descriptor("layer.v1.tar", image.layer.diff_id, image.layer.size)],
            "annotations": {key: labels[key] for key in (BASE_DIGEST, BASE_NAME)},
        }
    )
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    descriptor = _descriptor("manifest.v1+json", digest, len(manifest))
    # Tools for OCI layouts know an image by the first annotation; containerd takes the second, and untouched.
    annotated = [
        {"org.opencontainers.image.ref.name": name, "io.containerd.image.name": full_name(name)} for name in names
    ]
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{**descriptor, "annotations": annotations} for annotations in annotated] or [descriptor],
    }
    yield from _member(f"blobs/sha256/{_hex(image_id(image.config))}", image.config)
    yield from _member(f"blobs/sha256/{_hex(digest)}", manifest)
    yield from _member("index.json", _json(index))
    yield from _member("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield from _layer(f"blobs/sha256/{_hex(image.layer.diff_id)}", image)
    yield _END


_END = b"\0" * (2 * tarfile.BLOCKSIZE)


def _hex(digest: str) -> str:
    return digest.partition(":")[2]


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": size}


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _member(name: str, data: bytes) -> Iterator[bytes]:
    yield tar_header(name.encode(), size=len(data))
    yield data + b"\0" * (-len(data) % tarfile.BLOCKSIZE)


def _layer(name: str, image: Written) -> Iterator[bytes]:
    yield tar_header(name.encode(), size=image.layer.size)
    with image.layer_file.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece
    yield b"\0" * (-image.layer.size % tarfile.BLOCKSIZE)
