"""The package database's own files: those about packages that keep a file.

What stays of their contents is decided by `debloat.debian.prune`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from debloat.closure import Rule, World, derived
from debloat.core.model import Entry, Level, Want
from debloat.debian.documentation import copyright_file
from debloat.debian.dpkg import ADMIN, Database
from debloat.debian.prune import ALIASES, FRAME, IDENTITY, INFO_KEPT, counts


class DebianDatabase(Rule):
    """The database entries, licence and release files that belong to the kept files of packages."""

    name: ClassVar[str] = "debian.database"
    level: ClassVar[Level] = Level.EXACT

    def initial_wants(self, world: World) -> Iterator[Want]:
        if isinstance(world.packages, Database):
            for path in IDENTITY:
                yield self.want(path, "debian:release", "which distribution and release this is")
            for path in FRAME:
                yield self.want(path, "debian:database", "frame of the package database")
            for path in ALIASES:
                if (entry := world.rootfs.get(path)) is not None and entry.is_symlink:
                    yield self.want(path, "debian:database", "merged /usr, as packages list their files")

    def wants(self, entry: Entry, world: World) -> Iterator[Want]:
        database = world.packages
        if not isinstance(database, Database):
            return
        if entry.path.startswith(ADMIN):
            for name in _by_anchor(world).get(entry.path, ()):
                yield from self._of_package(database, name, entry.path)
        elif counts(entry):
            for name in database.brought(entry.path):
                yield self.want(_anchor(database, name), entry.path, f"the package database's entry of {name}")
            group = database.alternatives.get(entry.path) if entry.is_symlink else None
            if group:
                yield self.want(group, entry.path, "the group of this alternative")

    def _of_package(self, database: Database, name: str, anchor: str) -> Iterator[Want]:
        record = database.records[name]
        for suffix in INFO_KEPT:
            yield self.want(f"{record.info}.{suffix}", anchor, f"which files {name} has")
        licence = copyright_file(record.package.package)
        yield self.want(licence, anchor, f"licence of {name}")
        if (real := database.rootfs.resolve(licence).path) is not None:
            for other in database.listing(real):  # which then is in the database, and has to have a list
                yield self.want(_anchor(database, other), anchor, f"the licence of {name} is in {other}")


def _anchor(database: Database, name: str) -> str:
    """The file that stands for a package in the evidence: its list, its file in `status.d`, or `status`."""
    record = database.records[name]
    path = f"{record.info}.list"
    return path if path in database.rootfs else record.origin


@derived
def _by_anchor(world: World) -> dict[str, list[str]]:
    by_anchor: dict[str, list[str]] = {}
    if isinstance(world.packages, Database):
        for name in world.packages.records:
            by_anchor.setdefault(_anchor(world.packages, name), []).append(name)
    return by_anchor


RULES: tuple[Rule, ...] = (DebianDatabase(),)
