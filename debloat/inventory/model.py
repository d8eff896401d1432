"""The nouns of an inventory: packages of any kind, and files with their digests."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct


class Licence(Struct, frozen=True):
    """A licence as a package states it, in its words; `spdx` is the SPDX expression of the same, where it is one."""

    stated: str
    spdx: str = ""


class Component(Struct, frozen=True):
    """A package that an image has.

    `kind` is the type of its package URL (`deb`, `pypi`, `npm`, `gem`, `golang`, `cargo`), `name` as that type writes
    it, with the name space before it where there is one (`@babel/core`, `golang.org/x/net`). `places` are the files
    that say so, `files` the real paths of regular files that are its own; both are sorted. The last three are of Debian
    packages.
    """

    kind: str
    name: str
    version: str
    places: tuple[str, ...]
    files: tuple[str, ...] = ()
    licences: tuple[Licence, ...] = ()
    architecture: str = ""
    source: str = ""
    source_version: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it another package than the next one."""
        return self.kind, self.name, self.version, self.architecture


class Inventory(Struct, frozen=True):
    """The packages of an image, each once and sorted, and its regular files with their SHA-1 and SHA-256.

    `distribution` is `ID-VERSION_ID` of os-release(5). `digests` is empty where files were not asked for.
    """

    components: tuple[Component, ...]
    distribution: str
    digests: Mapping[str, tuple[str, str]] = MappingProxyType({})

    def owner(self) -> dict[str, Component]:
        """The first component that has a file, by path."""
        found: dict[str, Component] = {}
        for component in self.components:
            for path in component.files:
                found.setdefault(path, component)
        return found
