"""Archives of packages that are installed: an installation is done with them, and what it made of them is there.

`COPY --from=build /wheels /wheels` or a directory of `.deb` files: the Dockerfile put them there, and yet they are no
part of the application. One of a package that is not installed, or in another version, may still be wanted.
"""

from __future__ import annotations

import posixpath
import re

from debloat.closure import World, derived

SUFFIXES = (".whl", ".gem", ".deb")

_RUNS = re.compile(r"[-_.]+")
"""What is one separator in the name of a Python distribution (packaging.python.org: name normalization)."""


def is_installed(world: World, path: str) -> bool:
    """Whether a file's name is that of an archive whose package is installed in just that version.

    Names as the tools give them: `NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl` (packaging.python.org: binary
    distribution format), `NAME-VERSION[-PLATFORM].gem` (Gem::BasicSpecification), `NAME_VERSION_ARCHITECTURE.deb`, the
    epoch left out by dpkg-deb(1), or written `%3a` by apt.
    """
    name = posixpath.basename(path)
    if name.endswith(".whl"):
        parts = name.split("-")
        return len(parts) >= 5 and _distribution(*parts[:2]) in _distributions(world)
    if name.endswith(".gem"):
        return f"{name}spec" in _specifications(world)
    if name.endswith(".deb"):
        bare, _, rest = name.partition("_")
        version, _, architecture = rest.removesuffix(".deb").rpartition("_")
        package = world.packages.get(bare)
        return (
            package is not None
            and package.installed
            and architecture in (package.architecture, "all")
            and version.rpartition("%3a")[2] == package.version.rpartition(":")[2]
        )
    return False


def _distribution(name: str, version: str) -> tuple[str, str]:
    return _RUNS.sub("-", name).lower(), version.lower()


@derived
def _distributions(world: World) -> frozenset[tuple[str, str]]:
    """What Python has installed anywhere, by the names of `NAME-VERSION.dist-info` (PEP 376)."""
    directories = (posixpath.basename(posixpath.dirname(path)) for path in world.rootfs.named("METADATA"))
    stems = (name.removesuffix(".dist-info") for name in directories if name.endswith(".dist-info"))
    return frozenset(_distribution(stem.rpartition("-")[0], stem.rpartition("-")[2]) for stem in stems)


@derived
def _specifications(world: World) -> frozenset[str]:
    """The names of the specifications in gem homes."""
    return frozenset(name for home in world.rootfs.named("specifications") for name in world.rootfs.names(home))
