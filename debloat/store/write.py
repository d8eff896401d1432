"""Writing a minimal image to a place: a file, a layout, a registry or Podman's storage. Whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from debloat.core.errors import UsageError
from debloat.core.written import must_be_writable, written_whole
from debloat.image.archive import Format, archive
from debloat.image.oci import (
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
from debloat.store.choice import readable
from debloat.store.documents import MAX_MANIFEST, manifest_or_index, parse_json
from debloat.store.location import IN_FILES, Location, Transport
from debloat.store.opened import open_sink
from debloat.store.streams import damaged


def must_take(location: Location) -> None:
    """UsageError, before any work, where nothing can be written at a location."""
    if location.transport in IN_FILES:
        must_be_writable(location.path / "index.json" if location.transport is Transport.OCI else location.path)


def write(image: Written, name: str, to: Location, referrers: Iterable[Referrer] = ()) -> str:
    """Write an image where it is to go, under the location's own name or else `name`; the digest of its manifest."""
    return open_sink(to).write(image, [to.name or name], referrers)


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


class LayoutSink:
    """An OCI layout in a directory, which is made where it is not there. Other images in it stay."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._new: list[Path] = []

    def write(self, image: Written, names: Iterable[str], referrers: Iterable[Referrer] = ()) -> str:
        """Write the blobs, then the index that names them; where that fails, what is new goes."""
        root, fresh = self._location.path, not self._location.path.exists()
        listed = self._listed(names := list(names))
        try:
            document = manifest(image, plain_layers(image))
            found = describe(MANIFEST, document)
            blobs = [image.config, document]
            more = entries(found, names)
            for referrer in referrers:
                text, parts = artifact(referrer, found)
                blobs += [*parts, text]
                more.append(artifact_entry(text, referrer))
            for stored in image.layers:
                self._blob(stored.layer.diff_id, lambda draft, file=stored.file: _linked(file, draft))  # type: ignore[misc]
            for blob in blobs:
                self._blob(digest_of(blob), lambda draft, data=blob: draft.write_bytes(data))  # type: ignore[misc]
            with written_whole(root / "oci-layout") as draft:
                draft.write_bytes(LAYOUT)
            with written_whole(root / "index.json") as draft:
                draft.write_bytes(index(_united(listed, more)))
        except BaseException:
            self._take_back(root if fresh else None)
            raise
        return digest_of(document)

    def _listed(self, names: list[str]) -> list[Document]:
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


def _linked(source: Path, draft: Path) -> None:
    """The same file under another name where that can be, else a copy."""
    with contextlib.suppress(OSError):
        draft.unlink()
        os.link(source, draft)
        return
    shutil.copyfile(source, draft)


def _united(old: list[Document], new: list[Document]) -> list[Document]:
    """The entries of an index, each once, sorted by name, then digest."""
    unique = {str(sorted(row.items(), key=str)): row for row in (*old, *new)}

    def order(row: Document) -> tuple[str, str]:
        return (row.get("annotations") or {}).get(REF_NAME, "\x7f"), row["digest"]

    return sorted(unique.values(), key=order)
