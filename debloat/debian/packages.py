"""The dpkg database of an image, read from its root file system: which package owns a path, and what it needs."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Package(Struct, frozen=True):
    """A stanza of `/var/lib/dpkg/status` of an installed package.

    `name` is how dpkg names its info files: `libc6:amd64` for a Multi-Arch: same package, else the bare name.
    `source_version` is the source's own where it differs (`Source: bzip2 (1.0.8-5)`, as binNMUs have it), else "".
    `depends` are the alternatives of Depends and Pre-Depends, bare names, as written: `(("a",), ("b", "c"))`.
    `installed` is false for a removed package of which configuration files stay (`config-files`).
    """

    name: str
    package: str
    version: str
    architecture: str
    source: str
    section: str = ""
    priority: str = ""
    essential: bool = False
    depends: tuple[tuple[str, ...], ...] = ()
    provides: tuple[str, ...] = ()
    installed: bool = True
    source_version: str = ""


class Packages(Protocol):
    """Which package owns what. Paths given and returned are real paths of the root file system."""

    def owners(self, path: str) -> tuple[str, ...]:
        """Names of the packages that list this path, sorted; () for a file that no package brought.

        Merged `/usr`, diversions and alternatives are seen through.
        """

    def files(self, name: str) -> tuple[str, ...]:
        """The real paths that a package lists and that exist, sorted, directories included; () if unknown."""

    def get(self, name: str) -> Package | None:
        """A package by its dpkg name or by its bare name."""

    def names(self) -> tuple[str, ...]:
        """The dpkg names of all installed packages, sorted."""

    def providers(self, bare: str) -> tuple[str, ...]:
        """dpkg names of the installed packages that are, or provide, the bare name."""

    def conffile(self, path: str) -> bool:
        """Whether a package declares the path as its configuration file."""

    def modified(self, path: str) -> bool:
        """Whether an owned regular file differs from what its package installed (md5sums, conffiles)."""


class NoPackages:
    """The database of an image that has none."""

    def owners(self, path: str) -> tuple[str, ...]:
        return ()

    def files(self, name: str) -> tuple[str, ...]:
        return ()

    def get(self, name: str) -> Package | None:
        return None

    def names(self) -> tuple[str, ...]:
        return ()

    def providers(self, bare: str) -> tuple[str, ...]:
        return ()

    def conffile(self, path: str) -> bool:
        return False

    def modified(self, path: str) -> bool:
        return False
