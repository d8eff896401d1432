"""Writing a minimal image to a place: a file, a layout, a registry or Podman's storage. Whole, or not at all."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.core.reference import must_be_name
from debloat.core.written import must_be_writable, written_whole
from debloat.image.archive import Format, archive, file_pieces, oci_archive
from debloat.image.oci import (
    INDEX,
    LAYOUT,
    MANIFEST,
    REF_NAME,
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
)
from debloat.store.base import Blob, ImageStore, IndexSink, NewIndex
from debloat.store.choice import readable
from debloat.store.documents import MAX_MANIFEST, manifest_or_index, parse_json
from debloat.store.index import Content, copied, laid_out
from debloat.store.location import IN_FILES, Location, Transport, by_digest
from debloat.store.opened import open_sink
from debloat.store.streams import damaged

_OF_INDEXES = (Transport.OCI, Transport.OCI_ARCHIVE, Transport.REGISTRY)


_ANY_NAME = (Transport.OCI, Transport.OCI_ARCHIVE)
"""A name in a layout is whatever its index says (`org.opencontainers.image.ref.name`)."""


def must_take(location: Location) -> None:
    """UsageError, before any work, where nothing can be written at a location, or nothing called so."""
    if location.name and location.transport not in _ANY_NAME:
        must_be_name(location.name, f"{location}:")
    if location.transport in IN_FILES:
        if by_digest(location.name)[1]:
            raise UsageError(f"cannot write {location}: a digest is no name for a new image", "name a tag")
        must_be_writable(location.path / "index.json" if location.transport is Transport.OCI else location.path)
    if location.transport is Transport.OCI:
        LayoutSink(location).listed([])
    if location.transport is Transport.CONTAINERS:
        from debloat.store.podman import program

        program(location)


def must_accept(location: Location) -> None:
    """Beyond `must_take`: StoreError where the registry of a location cannot be reached, UsageError where it lets
    nobody push there. Nothing is asked of other places.
    """
    if location.transport is Transport.REGISTRY:
        from debloat.store.registry import RegistrySink

        RegistrySink(location).must_accept()


def write(image: Written, name: str, to: Location, referrers: Iterable[Referrer] = ()) -> str:
    """Write an image where it is to go, under the location's own name or else `name`; the digest of its manifest."""
    return open_sink(to).write(image, [to.name or name], referrers)


def write_index(new: NewIndex, name: str, to: Location) -> str:
    """Write an index where it is to go, named as an image would be; its digest."""
    must_take_index(to)
    return cast(IndexSink, open_sink(to)).write_index(new, [to.name or name])


def must_take_index(location: Location) -> None:
    """UsageError for a place that holds single images alone."""
    if location.transport not in _OF_INDEXES:
        raise UsageError(
            f"cannot write an index of several platforms to {location}: there one image stands by itself",
            "write it to oci:DIR, oci-archive:FILE or docker://REGISTRY/NAME:TAG, or name one with --platform",
        )


def moved(image: Written, directory: Path) -> Written:
    """The same image with its layers in files of a directory, which outlive those that they were in."""
    directory.mkdir(parents=True, exist_ok=True)
    layers = []
    for number, stored in enumerate(image.layers):
        _linked(stored.file, directory / str(number))
        layers.append(replace(stored, file=directory / str(number)))
    return replace(image, layers=tuple(layers))


class ArchiveSink:
    """An archive in a file."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._form = Format(location.transport.value)

    def write(self, image: Written, names: Iterable[str], referrers: Iterable[Referrer] = ()) -> str:
        """Write the archive."""
        referrers = list(referrers)
        if referrers and self._form is Format.DOCKER:
            raise UsageError(f"cannot write attestations to {self._location}", "a docker-archive has no place for them")
        with written_whole(self._location.path) as draft, draft.open("wb") as out:
            out.writelines(archive(image, names, self._form, referrers))
        return digest_of(manifest(image, plain_layers(image)))

    def write_index(self, new: NewIndex, names: Iterable[str]) -> str:
        """Write the archive of an index and all that it leads to."""
        text, blobs = laid_out(new)
        small = {digest: data for digest, data in blobs.items() if isinstance(data, bytes)}
        large = (
            (digest, content.size, copied(new.source, content))
            if isinstance(content, Blob)
            else (digest, content.stat().st_size, file_pieces(content))
            for digest, content in blobs.items()
            if not isinstance(content, bytes)
        )
        with written_whole(self._location.path) as draft, draft.open("wb") as out:
            rows = entries(describe(INDEX, text), names)
            out.writelines(oci_archive({**small, digest_of(text): text}, rows, large))
        return digest_of(text)


class LayoutSink:
    """An OCI layout in a directory, which is made where it is not there. Other images in it stay."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._new: list[Path] = []

    def write(self, image: Written, names: Iterable[str], referrers: Iterable[Referrer] = ()) -> str:
        """Write the blobs, then the index that names them; where that fails, what is new goes."""
        document = manifest(image, plain_layers(image))
        found = describe(MANIFEST, document)
        blobs: dict[str, Content] = {stored.layer.diff_id: stored.file for stored in image.layers}
        blobs.update((digest_of(data), data) for data in (image.config, document))
        more = entries(found, names := list(names))
        for referrer in referrers:
            text, parts = artifact(referrer, found)
            blobs.update((digest_of(data), data) for data in (*parts, text))
            more.append(artifact_entry(text, referrer))
        self._put(blobs, more, names, None)
        return digest_of(document)

    def write_index(self, new: NewIndex, names: Iterable[str]) -> str:
        """Write all that an index leads to, then itself, as `write` does."""
        text, blobs = laid_out(new)
        rows = entries(describe(INDEX, text), names := list(names))
        self._put({**blobs, digest_of(text): text}, rows, names, new.source)
        return digest_of(text)

    def _put(
        self, blobs: Mapping[str, Content], more: list[Document], names: list[str], source: ImageStore | None
    ) -> None:
        """Write blobs, those of a `source` among them, and then the rows that name them."""
        root, fresh = self._location.path, not self._location.path.exists()
        listed = self.listed(names)
        try:
            for digest, content in blobs.items():
                self._blob(digest, functools.partial(_fill, content, source))
            with written_whole(root / "oci-layout") as draft:
                draft.write_bytes(LAYOUT)
            with written_whole(root / "index.json") as draft:
                draft.write_bytes(index(_united(listed, more)))
        except BaseException:
            self._take_back(root if fresh else None)
            raise

    def listed(self, names: list[str]) -> list[Document]:
        """What the layout's index names already, less those whose names the new image takes."""
        path = self._location.path / "index.json"
        try:
            with path.open("rb") as file:
                data = file.read(MAX_MANIFEST + 1)
        except FileNotFoundError:
            if self._location.path.is_dir() and any(self._location.path.iterdir()):
                raise UsageError(
                    f"cannot write {self._location}: the directory is there, and no OCI layout", "name another"
                ) from None
            return []
        except OSError as error:
            raise UsageError(f"cannot write {self._location}: {error.strerror}", "name another place") from error
        with readable(str(self._location)):
            if len(data) > MAX_MANIFEST:
                raise damaged(str(self._location), "its index is too large")
            manifest_or_index(data)
            rows = parse_json(data, "its index")["manifests"]
            return [row for row in rows if (row.get("annotations") or {}).get(REF_NAME) not in names]

    def _blob(self, digest: str, fill: Callable[[Path], object]) -> None:
        path = self._location.path / "blobs" / digest.replace(":", "/")
        if path.exists():
            return
        with written_whole(path) as draft:
            fill(draft)
        self._new.append(path)

    def _take_back(self, root: Path | None) -> None:
        for path in self._new:
            path.unlink(missing_ok=True)
        if root is not None:
            shutil.rmtree(root, ignore_errors=True)


def _fill(content: Content, source: ImageStore | None, draft: Path) -> None:
    if isinstance(content, bytes):
        draft.write_bytes(content)
    elif isinstance(content, Path):
        _linked(content, draft)
    elif source is not None:
        with draft.open("wb") as out:
            out.writelines(copied(source, content))


def _linked(source: Path, draft: Path) -> None:
    """The same file under another name where that can be, else a copy."""
    with contextlib.suppress(OSError):
        draft.unlink(missing_ok=True)
        os.link(source, draft)
        return
    shutil.copyfile(source, draft)


def _united(old: list[Document], new: list[Document]) -> list[Document]:
    """The entries of an index, each once, sorted by name, then digest."""
    unique = {str(sorted(row.items(), key=str)): row for row in (*old, *new)}

    def order(row: Document) -> tuple[str, str]:
        return (row.get("annotations") or {}).get(REF_NAME, "\x7f"), row["digest"]

    return sorted(unique.values(), key=order)
