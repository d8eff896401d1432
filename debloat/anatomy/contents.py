"""Whose the bytes of an image are: its packages by size, and by place what no package owns."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from debloat.core.model import Entry
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs

DEPTH = 3
"""Parts of a path that a place has at most: what is below is one place."""


class PackageSize(Struct, frozen=True):
    """An installed package with what it brought: everything but directories, bytes of a hard-linked file once."""

    name: str
    version: str
    source: str
    files: int
    bytes: int


class Place(Struct, frozen=True):
    """A directory with what no package owns in and below it, as far as that is no place of its own."""

    path: str
    files: int
    bytes: int


class Contents(Struct, frozen=True):
    """The packages sorted by name, the places sorted by path; between them every entry but directories is once.

    Only a file that several packages list counts for each of them.
    """

    packages: tuple[PackageSize, ...]
    places: tuple[Place, ...]


def contents(rootfs: Rootfs, packages: Packages) -> Contents:
    """Whose the files of an image are. One walk over all of it."""
    owned: dict[str, list[Entry]] = {name: [] for name in packages.names()}
    mixed, orphans = set[str](), list[Entry]()
    for entry in rootfs.entries():
        if entry.is_dir:
            continue
        owners = [name for name in packages.owners(entry.path) if name in owned]
        for name in owners:
            owned[name].append(entry)
        if owners:
            mixed.update(_above(entry.path))
        else:
            orphans.append(entry)
    return Contents(tuple(_sizes(owned, packages)), tuple(_places(orphans, mixed)))


def _sizes(owned: dict[str, list[Entry]], packages: Packages) -> Iterable[PackageSize]:
    for name in sorted(owned):
        package = packages.get(name)
        if package is not None and package.installed:
            yield PackageSize(name, package.version, package.source, len(owned[name]), size_of(owned[name]))


def _places(orphans: Iterable[Entry], mixed: set[str]) -> Iterable[Place]:
    """A place is the highest directory in which no package has a file, and at most `DEPTH` parts deep."""
    found: dict[str, list[Entry]] = {}
    for entry in orphans:
        way = _above(entry.path)
        place = next((path for path in way if path not in mixed), way[-1])
        found.setdefault("/".join(place.split("/")[: DEPTH + 1]) or "/", []).append(entry)
    return (Place(path, len(found[path]), size_of(found[path])) for path in sorted(found))


def _above(path: str) -> list[str]:
    """The directories above a path, the root first."""
    parts = path.split("/")[1:-1]
    return ["/", *("/" + "/".join(parts[: end + 1]) for end in range(len(parts)))]


def size_of(entries: Iterable[Entry]) -> int:
    """The bytes of regular files, those of several names once."""
    size, linked = 0, set[int]()
    for entry in entries:
        if entry.is_file and entry.hardlink not in linked:
            size += entry.size
            linked.update({entry.hardlink} - {0})
    return size
