"""Images in files of this machine: `docker-archive:`, `oci:` and `oci-archive:`, read where they lie.

An archive is indexed once, its members read at their offsets; one that is compressed as a whole is uncompressed first
into a file that has no name. Members are never unpacked: a path in an archive is a key, and leads nowhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import posixpath
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

from debloat.core.errors import UsageError
from debloat.core.model import Image
from debloat.core.platform import Wanted
from debloat.core.reference import full_name
from debloat.store import choice
from debloat.store.base import Blob, Place, StoredImage, StoredIndex, Variant
from debloat.store.documents import (
    DOCKER_MANIFEST,
    MAX_CONFIG,
    MAX_LAYERS,
    MAX_MANIFEST,
    Index,
    image_of,
    manifest_or_index,
    parse_json,
    stored_layers,
)
from debloat.store.index import of_layout
from debloat.store.location import Location, Transport, by_digest
from debloat.store.streams import MAX_BYTES, PIECE, Verified, damaged, is_compressed, read_whole, uncompressed
from debloat.store.tar import Damaged, members

_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
_MAX_MEMBERS = 20_000
_MAX_LINKS = 8


class Files(Protocol):
    """Named files below one place."""

    def find(self, name: str) -> tuple[Place, int] | None:
        """Where a file lies, and its size; None where there is none."""

    def close(self) -> None: ...


class Directory:
    """A directory's own regular files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, name: str) -> tuple[Place, int] | None:
        path = self._root / name
        try:
            if not path.is_file():
                return None
            return Place(path), path.stat().st_size
        except OSError:
            return None

    def close(self) -> None:
        pass


class Archive:
    """The members of a tar. StoreError where it is damaged, or has a name twice."""

    def __init__(self, path: Path, where: str) -> None:
        self._spool: BinaryIO | None = None
        self._members: dict[str, tuple[int, int] | str] = {}
        self._where = where
        with path.open("rb") as file:
            if is_compressed(file.read(8)):
                file.seek(0)
                self._spool = _uncompressed(file, where)
                # By its descriptor, for it has no name.
                path = Path(f"/proc/self/fd/{self._spool.fileno()}")
            self._path = path
            source = self._spool or file
            descriptor, end = source.fileno(), os.fstat(source.fileno()).st_size
            try:
                for member in members(lambda size, at: os.pread(descriptor, size, at), end):
                    self._take(member.name, member.kind, member.link, member.offset, member.size)
            except Damaged as error:
                self.close()
                raise damaged(where, f"it has {error}") from None

    def _take(self, raw: bytes, kind: bytes, link: bytes, offset: int, size: int) -> None:
        if kind == b"5":
            return
        name = os.fsdecode(raw).removeprefix("./")
        if name in self._members:
            raise Damaged(f"the file {name!r:.80} twice")
        if len(self._members) >= _MAX_MEMBERS:
            raise Damaged(f"more than {_MAX_MEMBERS} files")
        if kind == b"2":  # what Docker before version 25 writes for a layer that an archive has already
            self._members[name] = posixpath.normpath(posixpath.join(posixpath.dirname(name), os.fsdecode(link)))
        elif kind == b"1":
            self._members[name] = os.fsdecode(link).removeprefix("./")
        elif kind == b"0":
            self._members[name] = (offset, size)

    def find(self, name: str) -> tuple[Place, int] | None:
        for _ in range(_MAX_LINKS):
            found = self._members.get(name)
            if found is None:
                return None
            if not isinstance(found, str):
                return Place(self._path, found[0]), found[1]
            name = found
        raise damaged(self._where, f"a link of it, {name!r:.80}, leads in a circle")

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()


def _uncompressed(file: BinaryIO, where: str) -> BinaryIO:
    """A whole archive uncompressed, in a file without a name."""
    spool = tempfile.TemporaryFile(prefix="debloat-")  # noqa: SIM115
    left = min(MAX_BYTES, shutil.disk_usage(tempfile.gettempdir()).free * 9 // 10)
    try:
        for piece in uncompressed(file, where):
            left -= len(piece)
            if left < 0:
                raise damaged(where, "it is larger uncompressed than what is free in TMPDIR, or than 64 GiB")
            spool.write(piece)
        spool.flush()
    except BaseException:
        spool.close()
        raise
    return spool


class Section(io.RawIOBase):
    """A part of a file as a stream of its own."""

    def __init__(self, place: Place, size: int) -> None:
        self._file = place.path.open("rb")
        self._at = place.offset
        self._end = place.offset + size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = self._end - self._at if size is None or size < 0 else min(size, self._end - self._at)
        data = os.pread(self._file.fileno(), size, self._at) if size else b""
        self._at += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


class FileStore:
    """What the stores in files have in common."""

    def __init__(self, location: Location) -> None:
        self.where = str(location)
        self._location = location
        self._files: Files

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def place(self, blob: Blob) -> Place | None:
        """Where a blob lies, unverified."""
        found = self._files.find(self._name(blob))
        return found[0] if found else None

    def open(self, blob: Blob) -> BinaryIO:
        """A blob, held against its digest and size."""
        found = self._files.find(self._name(blob))
        if found is None:
            raise damaged(self.where, f"the blob {blob.digest[:19]} is not in it")
        place, size = found
        if size != blob.size:
            raise damaged(self.where, f"the blob {blob.digest[:19]} has {size} bytes, its descriptor says {blob.size}")
        return Verified(Section(place, size), blob, self.where)  # type: ignore[arg-type, return-value]

    def _name(self, blob: Blob) -> str:
        return f"blobs/{blob.digest.replace(':', '/')}"

    def _document(self, name: str, limit: int) -> bytes:
        """A file of the place that is no blob; UsageError where it is not there."""
        found = self._files.find(name)
        if found is None:
            raise UsageError(f"cannot read {self.where}: it has no {name}", _OTHER[self._location.transport])
        place, size = found
        if size > limit:
            raise damaged(self.where, f"its {name} has {size} bytes, where {limit} are the most")
        with contextlib.closing(Section(place, size)) as file:
            return file.read()


_OTHER = {
    Transport.DOCKER_ARCHIVE: "it is none that `docker save` wrote: oci-archive:FILE is an OCI layout in a tar",
    Transport.OCI: "name the directory of an OCI image layout; oci-archive:FILE is one in a tar",
    Transport.OCI_ARCHIVE: "it is no OCI layout in a tar: docker-archive:FILE is what `docker save` writes",
}


def _opened(location: Location) -> Files:
    """The files of a location. UsageError where it cannot be opened, or is of another kind."""
    path = location.path
    try:
        if location.transport is Transport.OCI:
            if not path.is_dir():
                cause = "it is no directory" if path.exists() else "there is no such directory"
                raise UsageError(f"cannot read {location}: {cause}", _OTHER[location.transport])
            return Directory(path)
        if path.exists() and not path.is_file():
            raise UsageError(f"cannot read {location}: it is no file", "oci:DIR is an OCI layout in a directory")
        return Archive(path, str(location))
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read {location}: {cause}", "name a file that can be read") from error


class Layout(FileStore):
    """An OCI image layout (image-layout.md), in a directory or a tar."""

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self._files = _opened(location)
        try:
            self._variants, self._attestations, self._index = self._read()
        except BaseException:
            self._files.close()
            raise

    def _read(self) -> tuple[tuple[Variant, ...], int, Callable[[], StoredIndex | None]]:
        self._document("oci-layout", MAX_MANIFEST)
        data = self._document("index.json", MAX_MANIFEST)
        with choice.readable(self.where):
            index = manifest_or_index(data)
        if not isinstance(index, Index):
            raise damaged(self.where, "its index.json is no index")
        named, digest = by_digest(self._location.name)
        rows, name = choice.named(index.variants, named, self.where)
        variants, attestations = choice.flattened(rows, self._small, self.where)
        self._reference = choice.reference(name, self._location.path)

        def whole() -> StoredIndex | None:
            return None if digest else of_layout(data, rows, self._reference, self._small)

        return choice.with_digest(variants, digest, self.where), attestations, whole

    def _small(self, blob: Blob) -> bytes:
        return read_whole(blob, self.open(blob), MAX_MANIFEST, self.where)

    def variants(self) -> tuple[Variant, ...]:
        """The manifests of the image that is named, one a platform."""
        return self._variants

    def image(self, wanted: Wanted | None = None) -> StoredImage:
        """The image for a platform."""
        variant = choice.chosen(self._variants, wanted, self.where)
        return choice.stored(self, variant, self._reference, wanted, self._attestations, self.where)

    def index(self) -> StoredIndex | None:
        """The index that the name leads to, or that the layout's own rows of that name are."""
        with choice.readable(self.where):
            return self._index()


class DockerArchive(FileStore):
    """What `docker save` writes: `manifest.json`, configurations and layers (Docker Image Specification 1.2)."""

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self._files = _opened(location)
        self._layers: dict[str, str] = {}
        try:
            with choice.readable(self.where):
                self._config_name, self._tags, self._layer_names = self._entry()
        except BaseException:
            self._files.close()
            raise

    def _entry(self) -> tuple[str, list[str], list[str]]:
        rows = parse_json(self._document("manifest.json", MAX_MANIFEST), "its manifest.json")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows) or not rows:
            raise ValueError("its manifest.json is no list of images")
        wanted = self._location.name
        found = [row for row in rows if not wanted or full_name(wanted) in map(full_name, _texts(row, "RepoTags"))]
        if len(found) != 1:
            tags = sorted({tag for row in rows for tag in _texts(row, "RepoTags")})
            raise UsageError(
                f"cannot read {self.where}: it has {len(found) or 'no'} such image{'s' if len(found) > 1 else ''}",
                f"name one of {', '.join(tags) or 'them with a tag, which they lack'} behind the file",
            )
        (row,) = found
        layers = _texts(row, "Layers")
        if len(layers) > MAX_LAYERS or not isinstance(row.get("Config"), str):
            raise ValueError("its manifest.json names no configuration, or too many layers")
        tags = _texts(row, "RepoTags")
        return row["Config"], [wanted] if wanted else tags, layers

    def _name(self, blob: Blob) -> str:
        return self._layers[blob.digest]

    def variants(self) -> tuple[Variant, ...]:
        """The one image."""
        stored = self.image()
        image = stored.image
        return (Variant(stored.manifest, image.os, image.architecture, image.variant),)

    def index(self) -> None:
        """It has one image of a name."""

    def image(self, wanted: Wanted | None = None) -> StoredImage:
        """The image; UsageError where it is for another platform."""
        with choice.readable(self.where):
            config = self._document(self._config_name, MAX_CONFIG)
            identifier = f"sha256:{hashlib.sha256(config).hexdigest()}"
            # By that name an archive says what the digest is: `HEX.json`, and `blobs/sha256/HEX` since Docker 25.
            said = re.fullmatch(r"(?:.*/)?([0-9a-f]{64})(?:\.json)?", self._config_name)
            if said and identifier != f"sha256:{said[1]}":
                raise ValueError("its configuration has another digest than its name says")
            tags = self._tags
            reference = tags[0] if tags else choice.reference("", self._location.path)
            image = image_of(config, identifier, reference, tuple(tags), 0)
            blobs = self._blobs(image)
            layers = stored_layers(tuple(blobs), image)
        choice.must_fit(image, wanted, self.where)
        manifest = choice.manifest_text(DOCKER_MANIFEST, Blob(_DOCKER_CONFIG, identifier, len(config)), blobs)
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        return choice.sized(StoredImage(image, config, Blob(DOCKER_MANIFEST, digest, len(manifest)), layers))

    def _blobs(self, image: Image) -> list[Blob]:
        """The layers as blobs: their digests are the diff IDs, unless they are compressed and must be read for it."""
        if len(self._layer_names) != len(image.layers):
            raise ValueError(f"{len(self._layer_names)} layers, where its configuration has {len(image.layers)}")
        blobs = []
        for name, diff_id in zip(self._layer_names, image.layers, strict=True):
            found = self._files.find(name)
            if found is None:
                raise ValueError(f"no layer {name!r:.80}, which its manifest.json names")
            place, size = found
            with contextlib.closing(Section(place, size)) as file:
                digest = diff_id
                if is_compressed(head := file.read(8)):
                    hashed = hashlib.sha256(head)
                    while piece := file.read(PIECE):
                        hashed.update(piece)
                    digest = f"sha256:{hashed.hexdigest()}"
            self._layers[digest] = name
            blobs.append(Blob(_DOCKER_LAYER, digest, size))
        return blobs


def _texts(row: dict[str, Any], key: str) -> list[str]:
    value = row.get(key) or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{key} of its manifest.json is no list of texts")
    return value
