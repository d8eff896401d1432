"""The layers of an image out of an archive as `docker save` writes it. The archive is not trusted.

`manifest.json` names the configuration and the layers, as docker/image/spec has it for every version of that archive;
the configuration has a history whose entries, but for the empty ones, are the layers (OCI image specification,
config.md).
"""

from __future__ import annotations

import json
import lzma
import os
import posixpath
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from debloat.anatomy.layers import LayerSource, Member, Unreadable
from debloat.core.model import Image
from debloat.engine.base import ImageFiles
from debloat.store import tar
from debloat.store.layers import Spooled

MOST_LAYERS = 512
"""Layers that are looked at; engines make 127 at most."""
MOST_MEMBERS = 4_000_000
MOST_OF_DOCUMENT = 16 << 20
_DAMAGED = (tarfile.TarError, OSError, EOFError, ValueError, KeyError, zlib.error, lzma.LZMAError)


def layers_in(archive: Path, digests: Sequence[str]) -> tuple[LayerSource, ...]:
    """The layers of the image in an archive whose layers have these digests; their members are read when gone through.

    What cannot be found in the archive is a layer without members. The archive must stay as long as they are used.
    """
    try:
        with tarfile.open(archive, "r:", encoding="utf-8", errors="surrogateescape") as saved:
            files, history = _description(saved, digests)
    except _DAMAGED:
        files, history = [], []
    files, history = (
        (found if len(found) == len(digests) else [""] * len(digests))[:MOST_LAYERS] for found in (files, history)
    )
    return tuple(
        LayerSource(digest, made, _members(archive, file) if file else None)
        for digest, made, file in zip(digests, history, files, strict=False)
    )


def stored_layers(config: bytes, spooled: Mapping[str, Spooled], digests: Sequence[str]) -> tuple[LayerSource, ...]:
    """The layers of an image of a store, which lie uncompressed on this machine."""
    try:
        history = _instructions(json.loads(config))
    except (ValueError, AttributeError):
        history = []
    history = history if len(history) == len(digests) else [""] * len(digests)
    return tuple(
        LayerSource(digest, made, _spooled_members(spooled[digest]))
        for digest, made in zip(digests, history, strict=True)
    )


def kept_layers(image: Image, files: ImageFiles) -> tuple[LayerSource, ...]:
    """The layers of an image of an engine that keeps them unpacked; it does not tell which instruction made which."""
    names = ((Member(*name) for name in layer) for layer in files.layers())
    made = image.history if len(image.history) == len(image.layers) else [""] * len(image.layers)
    return tuple(
        LayerSource(digest, by, members) for digest, by, members in zip(image.layers, made, names, strict=False)
    )


def _spooled_members(layer: Spooled) -> Iterator[Member]:
    """The names in an uncompressed layer; the store has read it before, so it is none that breaks its format."""
    descriptor = layer.file.fileno()
    for member in tar.members(lambda size, at: os.pread(descriptor, size, at), layer.start + layer.size, layer.start):
        path = posixpath.normpath(f"/{os.fsdecode(member.name)}").replace("//", "/")
        yield Member(path, member.size if member.kind == b"0" else 0, member.kind == b"5")


def _instructions(config: Mapping[str, Any]) -> list[str]:
    """The instructions that made the layers, by a configuration."""
    return [str(h.get("created_by") or "") for h in config.get("history") or () if not h.get("empty_layer")]


def _description(saved: tarfile.TarFile, digests: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of the layers in the archive, and the instructions that made them."""
    for manifest in _document(saved, "manifest.json"):
        config: Mapping[str, Any] = _document(saved, str(manifest["Config"]))
        if config["rootfs"]["diff_ids"] == list(digests):
            return [str(name) for name in manifest["Layers"]], _instructions(config)
    return [], []


def _document(saved: tarfile.TarFile, name: str) -> Any:
    file = saved.extractfile(name)
    if file is None:
        raise KeyError(name)
    return json.loads(file.read(MOST_OF_DOCUMENT))


def _members(archive: Path, name: str) -> Iterator[Member]:
    """The names in a layer, whether it is compressed or not; Unreadable where it cannot be taken apart."""
    try:
        with tarfile.open(archive, "r:", encoding="utf-8", errors="surrogateescape") as saved:
            file = saved.extractfile(name)
            if file is None:
                raise Unreadable(name)
            with tarfile.open(fileobj=file, mode="r:*", encoding="utf-8", errors="surrogateescape") as layer:
                for number, member in enumerate(layer):
                    if number >= MOST_MEMBERS:
                        raise Unreadable(f"{name} has too many names")
                    layer.members = []  # type: ignore[attr-defined] # it would keep every one
                    path = posixpath.normpath(f"/{member.name}").replace("//", "/")
                    yield Member(path, member.size if member.isreg() else 0, member.isdir())
    except (*_DAMAGED, TypeError, AttributeError) as error:
        raise Unreadable(str(error)) from error
