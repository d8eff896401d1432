"""An image as an engine describes it: answers of the API as values. Answers are not trusted to be whole.

ValueError where one is damaged; a missing or null field is read as an empty one, as engines mean it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from debloat.core.model import Image, ImageConfig

MAX_CONFIG = 16 << 20
"""Bytes of a configuration that are read at most."""

EPOCH = "1970-01-01T00:00:00Z"

_SHAPES: Mapping[str, type] = MappingProxyType(
    dict.fromkeys(("Env", "Cmd", "Entrypoint", "OnBuild", "Shell"), list)
    | dict.fromkeys(("ExposedPorts", "Volumes", "Labels", "Healthcheck"), dict)
    | dict.fromkeys(("User", "WorkingDir", "StopSignal"), str)
)
"""Types of the fields of `Config` that are read (Docker Image Specification 1.2)."""


def image_of(reference: str, raw: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> Image:
    """The image that `GET /images/X/json` and `GET /images/X/history` describe."""
    identifier = text(raw, "Id")
    if not identifier:
        raise ValueError("the image has no Id")
    layers = mapping(raw, "RootFS").get("Layers") or ()
    return Image(
        reference=reference,
        id=identifier,
        os=text(raw, "Os") or "linux",
        architecture=text(raw, "Architecture"),
        variant=text(raw, "Variant"),
        created=text(raw, "Created") or EPOCH,
        config=config_of(raw.get("Config")),
        author=text(raw, "Author"),
        builder=text(raw, "DockerVersion"),
        names=tuple(str(name) for name in raw.get("RepoTags") or ()),
        layers=tuple(str(layer) for layer in layers),
        size=number(raw, "Size"),
        history=tuple(text(row, "CreatedBy") for row in reversed(history or ())),
        attestations=sum(mapping({"": row}, "").get("Kind") == "attestation" for row in raw.get("Manifests") or ()),
    )


def config_of(raw: object) -> ImageConfig:
    """A `Config` object. ValueError where a field that decides what the image needs is of another type."""
    config = {} if raw is None else raw
    if not isinstance(config, dict):
        raise ValueError(f"Config is {config!r:.40}")
    for key, shape in _SHAPES.items():
        value = config.get(key)
        if value is None:
            continue
        if not isinstance(value, shape) or (isinstance(value, list) and not all(isinstance(v, str) for v in value)):
            raise ValueError(f"{key} is {value!r:.40}")
    for port in config.get("ExposedPorts") or ():
        if not port.partition("/")[0].isdigit():
            raise ValueError(f"a port is {port!r:.40}")
    return ImageConfig(MappingProxyType(config))


def text(raw: Mapping[str, Any], key: str) -> str:
    """A field that is a text; empty where it is missing or null."""
    value = raw.get(key)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{key} is {value!r:.40}")
    return value or ""


def number(raw: Mapping[str, Any], key: str) -> int:
    """A field that is a number; 0 where it is missing or null."""
    value = raw.get(key) or 0
    if not isinstance(value, int):
        raise ValueError(f"{key} is {value!r:.40}")
    return value


def mapping(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A field that is an object; empty where it is missing or null."""
    value = raw.get(key) or {}
    if not isinstance(value, dict):
        raise ValueError(f"{key} is {value!r:.40}")
    return value


def find_config(archive: Iterator[bytes], image_id: str) -> dict[str, Any] | None:
    """The `config` object in a `docker save` archive, read no further than that; None where it is not there.

    It is known by its digest, which is the image's id, so nothing else can pass for it.
    """
    algorithm, _, digest = image_id.partition(":")
    names = (f"{digest}.json", f"blobs/{algorithm}/{digest}")
    for data in _documents(archive, lambda name: name in names):
        if hashlib.sha256(data).hexdigest() == digest:
            try:
                found = json.loads(data).get("config")
            except (ValueError, AttributeError):
                return None
            return found if isinstance(found, dict) else None
    return None


def find_history(archive: Iterator[bytes], layers: Sequence[str]) -> list[dict[str, str]]:
    """The history in a `docker save` archive of the image with these layers, as `GET /images/X/history` has it.

    Newest first; empty where it is not there. Read no further than that.
    """
    for data in _documents(archive, lambda name: not name.endswith(".tar")):
        with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):  # something else
            document = json.loads(data)
            if document["rootfs"]["diff_ids"] == list(layers):
                return [{"CreatedBy": text(row, "created_by")} for row in reversed(document["history"])]
    return []


def _documents(archive: Iterator[bytes], named: Callable[[str], bool]) -> Iterator[bytes]:
    """The small files in an archive whose names are wanted; what is damaged ends it."""
    with contextlib.suppress(tarfile.TarError), tarfile.open(fileobj=_Pieces(archive), mode="r|") as tar:
        for member in tar:
            file = tar.extractfile(member) if member.size <= MAX_CONFIG and named(member.name) else None
            if file is not None:
                yield file.read()


class _Pieces(io.RawIOBase):
    """A stream of bytes as a file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts = []
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._pieces, b""))
                if not self._rest:
                    break
            part = self._rest if size < 0 else self._rest[:size]
            self._rest = self._rest[len(part) :]
            size -= len(part) if size > 0 else 0
            parts.append(part)
        return b"".join(parts)


def addresses(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The IPv4 addresses of a container (`NetworkSettings`), in each of its networks."""
    networks = (settings.get("Networks") or {}).values()
    found = [settings.get("IPAddress"), *(network.get("IPAddress") for network in networks if network)]
    return tuple(dict.fromkeys(address for address in found if address))
