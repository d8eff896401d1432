"""From what a store lists to one image: by name, by platform, and held against its configuration."""

from __future__ import annotations

import contextlib
import json
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.core.model import Image
from debloat.core.platform import Wanted
from debloat.core.platform import wanted as platform_of
from debloat.image.oci import REF_NAME
from debloat.store.base import Blob, ImageStore, StoredImage, Variant
from debloat.store.documents import (
    MAX_CONFIG,
    MAX_MANIFEST,
    Index,
    image_of,
    is_image,
    manifest_or_index,
    stored_layers,
)
from debloat.store.streams import damaged, read_whole

_MAX_DEPTH = 4
_MAX_VARIANTS = 1000


@contextlib.contextmanager
def readable(where: str) -> Iterator[None]:
    """Say of a document that is damaged where it lies."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(where, str(error) or type(error).__name__) from None


def named(rows: Sequence[Variant], name: str, where: str) -> tuple[tuple[Variant, ...], str]:
    """The entries of a layout that are meant by a name, and what the image is called there."""
    if name:
        found = [r for r in rows if (called := r.annotations.get(REF_NAME, "")) == name or called.endswith(f":{name}")]
        if not found:
            raise UsageError(f"cannot find {name} in {where}", f"it has {_names(rows)}")
        return tuple(found), found[0].annotations[REF_NAME]
    images = [row for row in rows if is_image(row)]
    names = {row.annotations.get(REF_NAME, "") for row in images}
    if len(names) > 1 and len({row.blob.digest for row in images}) > 1:
        raise UsageError(f"cannot tell which image of {where} is meant", f"it has {_names(rows)}: name one behind it")
    return tuple(rows), min(names, default="")


def with_digest(variants: Sequence[Variant], digest: str, where: str) -> tuple[Variant, ...]:
    """Those that have a digest, all without one. UsageError where none has."""
    found = tuple(variant for variant in variants if digest in ("", variant.blob.digest))
    if digest and not found:
        there = ", ".join(f"{v.blob.digest} ({v})" for v in variants) or "no image at all"
        raise UsageError(f"cannot find the manifest {digest[:19]} in {where}", f"it has {there}")
    return found


def _names(rows: Iterable[Variant]) -> str:
    return ", ".join(sorted({name for r in rows if (name := r.annotations.get(REF_NAME))})) or "no names"


def flattened(
    rows: Iterable[Variant], read: Callable[[Blob], bytes], where: str, depth: int = 0
) -> tuple[tuple[Variant, ...], int]:
    """The images that entries lead to, indexes among them opened, each once; and how many attestations are beside."""
    if depth > _MAX_DEPTH:
        raise damaged(where, "its indexes lie in each other too deeply")
    found: dict[str, Variant] = {}
    attestations = 0
    for row in rows:
        if not is_image(row):
            attestations += row.annotations.get("vnd.docker.reference.type") == "attestation-manifest"
        elif row.blob.media_type.endswith(("index.v1+json", "manifest.list.v2+json")):
            with readable(where):
                inner = manifest_or_index(read(row.blob))
            if not isinstance(inner, Index):
                raise damaged(where, "a manifest that calls itself an index")
            below, more = flattened(inner.variants, read, where, depth + 1)
            found.update((variant.blob.digest, variant) for variant in below)
            attestations += more
        else:
            found.setdefault(row.blob.digest, row)
        if len(found) > _MAX_VARIANTS:
            raise damaged(where, f"more than {_MAX_VARIANTS} images in it")
    return tuple(found.values()), attestations


def machine() -> Wanted:
    """The platform of this machine."""
    return platform_of(platform.machine() or "amd64")


def chosen(variants: Sequence[Variant], wanted: Wanted | None, where: str) -> Variant:
    """The one that fits; one that says nothing of its platform may be for any. UsageError where none does."""
    if len(variants) == 1:
        return variants[0]
    asked = wanted or machine()
    for variant in variants:
        if not variant.os or asked.fits(variant.os, variant.architecture, variant.variant):
            return variant
    there = ", ".join(sorted({str(variant) for variant in variants})) or "no image at all"
    raise UsageError(f"cannot find an image for {asked} in {where}", f"it has {there}: choose one with --platform")


def must_fit(image: Image, wanted: Wanted | None, where: str) -> None:
    """UsageError where an image is for another platform than is wanted."""
    if wanted is not None and not wanted.fits(image.os, image.architecture, image.variant):
        raise UsageError(
            f"{where} is for {image.platform_name}, not for {wanted}", "name one that is, or no --platform"
        )


def stored(
    store: ImageStore, variant: Variant, reference: str, wanted: Wanted | None, attestations: int, where: str
) -> StoredImage:
    """The image of a manifest, its configuration read and held against it."""
    with readable(where):
        manifest = manifest_or_index(read_whole(variant.blob, store.open(variant.blob), MAX_MANIFEST, where))
        if isinstance(manifest, Index):
            raise ValueError("an index that calls itself a manifest")
        config = read_whole(manifest.config, store.open(manifest.config), MAX_CONFIG, where)
        image = image_of(config, manifest.config.digest, reference, (reference,), 0)
        layers = stored_layers(manifest.layers, image)
    must_fit(image, wanted, where)
    image = replace(image, attestations=attestations)
    return sized(StoredImage(image, config, variant.blob, layers))


def sized(stored_image: StoredImage) -> StoredImage:
    """The same with the bytes of its layers as its size."""
    size = sum(layer.blob.size for layer in stored_image.layers)
    return replace(stored_image, image=replace(stored_image.image, size=size))


def reference(name: str, path: Path) -> str:
    """What an image is called that lies in a file: by its own name there, or after the file.

    A layout names an image by a tag alone, or by a whole reference.
    """
    stem = path.resolve().name
    for suffix in (".gz", ".zst", ".tgz", ".tar"):
        stem = stem.removesuffix(suffix)
    stem = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "image"
    if re.fullmatch(r"[\w][\w.-]{0,127}", name, re.ASCII):
        return f"{stem}:{name}"
    return name or f"{stem}:latest"


def manifest_text(media_type: str, config: Blob, layers: Iterable[Blob]) -> bytes:
    """A manifest of these parts."""
    rows = [{"mediaType": b.media_type, "digest": b.digest, "size": b.size} for b in (config, *layers)]
    document = {"schemaVersion": 2, "mediaType": media_type, "config": rows[0], "layers": rows[1:]}
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
