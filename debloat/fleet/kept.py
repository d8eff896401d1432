"""What an image keeps, as fleets compare it: a row a file, by which files of several images are the same or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from msgspec import Struct

from debloat.core.errors import UsageError
from debloat.debian.dpkg import ADMIN
from debloat.debian.packages import Packages
from debloat.image import carve
from debloat.image.carve import Kept
from debloat.image.rootfs import Rootfs

FORMAT = "debloat-kept"
VERSION = 1


class KeptFile(Struct, frozen=True, order=True):
    """A file with all its names, or a link, a device: whatever is no directory.

    `key` is a digest of all that a layer says of it: names, metadata, content. Files with the same key are the same.
    `bytes` is what it takes in a layer, `origin` the Debian source package that brought it, empty for none.
    """

    paths: tuple[str, ...]
    key: str
    bytes: int
    origin: str


class KeptSet(Struct, frozen=True):
    """What an image keeps. `files` may lie in a layer with those of other images, sorted by path; `members` is what
    all it keeps takes in one layer, without the end: directories and its package database too."""

    files: tuple[KeptFile, ...]
    members: int

    @property
    def bytes(self) -> int:
        """The size of its one layer."""
        return carve.layer_size(self.members)


def kept_set(rootfs: Rootfs, packages: Packages, kept: Iterable[Kept]) -> KeptSet:
    """What an image keeps, of the entries of its layer.

    The package database is the image's own, whatever its bytes are, and so is what debloat has written anew: they speak
    of this image.
    """
    groups: dict[str | int, list[tuple[Kept, bytes, bool]]] = {}
    members = 0
    for item, header, linked in carve.headed(kept):
        entry = item.entry
        members += carve.member_size(entry, header, linked)
        if not entry.is_dir:
            groups.setdefault(entry.hardlink or entry.path, []).append((item, header, linked))
    files = (_file(rootfs, packages, group) for group in groups.values() if not any(_own(item) for item, _, _ in group))
    return KeptSet(tuple(sorted(files)), members)


def _own(item: Kept) -> bool:
    return item.content is not None or item.entry.path.startswith(f"{ADMIN}/")


def _file(rootfs: Rootfs, packages: Packages, group: list[tuple[Kept, bytes, bool]]) -> KeptFile:
    digest, size = hashlib.sha256(), 0
    for item, header, linked in group:
        digest.update(header)
        size += carve.member_size(item.entry, header, linked)
        if item.entry.is_file and not linked:
            for piece in rootfs.chunks(item.entry.path):
                digest.update(piece)
    paths = tuple(item.entry.path for item, _, _ in group)
    owners = (packages.get(name) for name in packages.owners(paths[0]))
    origin = next((package.source for package in owners if package is not None), "")
    return KeptFile(paths, digest.hexdigest(), size, origin)


def dump(kept: KeptSet) -> bytes:
    """A kept set as a file: JSON, the same for the same set."""
    rows = [[list(file.paths), file.key, file.bytes, file.origin] for file in kept.files]
    document = {"format": FORMAT, "version": VERSION, "members": kept.members, "files": rows}
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def parse(data: bytes, name: str) -> KeptSet:
    """A kept set out of a file; UsageError where it is none, or of another version."""
    try:
        document = json.loads(data)
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            raise ValueError("it is of another version")
        files = (
            KeptFile(tuple(map(str, p)), str(key), int(size), str(origin)) for p, key, size, origin in document["files"]
        )
        return KeptSet(tuple(files), int(document["members"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"cannot read {name}: it is no list of what an image keeps", "run the fleet anew") from error
