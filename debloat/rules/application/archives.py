"""Archives of packages that are installed: an installation is done with them, and what it made of them is there.

`COPY --from=build /wheels /wheels` or a directory of `.deb` files: the Dockerfile put them there, and yet they are no
part of the application. One of a package that is not installed, or in another version, may still be wanted.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from types import MappingProxyType

from debloat.closure import World
from debloat.rules import languages


def _deb_is_installed(world: World, name: str) -> bool:
    """`NAME_VERSION_ARCHITECTURE.deb`, the epoch left out by dpkg-deb(1), or written `%3a` by apt."""
    bare, _, rest = name.partition("_")
    version, _, architecture = rest.removesuffix(".deb").rpartition("_")
    package = world.packages.get(bare)
    return (
        package is not None
        and package.installed
        and architecture in (package.architecture, "all")
        and version.rpartition("%3a")[2] == package.version.rpartition(":")[2]
    )


KINDS: Mapping[str, Callable[[World, str], bool]] = MappingProxyType(
    {".deb": _deb_is_installed}
    | {suffix: installed for language in languages.known() for suffix, installed in language.archives.items()}
)
"""Suffix of an archive -> whether the package that a file's name tells is installed in just that version."""

SUFFIXES = tuple(KINDS)


def is_installed(world: World, path: str) -> bool:
    """Whether a file's name is that of an archive whose package is installed in just that version."""
    name = posixpath.basename(path)
    return any(name.endswith(suffix) and installed(world, name) for suffix, installed in KINDS.items())
