"""Language runtimes that were built from source into a prefix, recognised by what is in it.

Official language images have them in /usr/local, others in /opt: interpreter, standard library, headers, static
libraries, test suites. They are the distribution's part of such an image: nothing of them is kept for its own sake,
the languages' rules reach what is needed. What else is in the prefix stays the application's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from debloat.closure import World, derived
from debloat.core.globs import glob_regex
from debloat.image.rootfs import Rootfs
from debloat.rules import languages
from debloat.rules.language import Runtime as Kind

KINDS = tuple(kind for language in languages.known() for kind in language.runtimes)
"""Runtimes whose libraries the rules of their language reach, and compilers, which nothing needs at run time."""


def _marker(kind: Kind) -> str:
    """A regular expression of the paths of a runtime's landmarks; its group is the prefix."""
    below = f"/{kind.directory}" if kind.directory else ""
    return f"(.+){below}/(?:{'|'.join(map(re.escape, kind.landmarks))})"


_MARKERS = tuple((kind, re.compile(_marker(kind), re.DOTALL)) for kind in KINDS)
_ANY = re.compile("|".join(f"(?:{_marker(kind)})" for kind in KINDS), re.DOTALL)
_LANDMARKS = frozenset(name for kind in KINDS for name in kind.landmarks)


class Runtime(Struct, frozen=True):
    """A runtime of an image: what it is called and the real path of its prefix."""

    name: str
    prefix: str
    parts: tuple[str, ...]

    def tester(self) -> Callable[[str], bool]:
        """Whether a real path below the prefix is a part of the runtime."""
        compiled = [glob_regex(glob) for part in self.parts for glob in {part, part.removesuffix("/**")}]
        start = len(self.prefix) + 1
        return lambda path: any(c.fullmatch(path, start) for c in compiled)


@derived
def runtimes(world: World) -> tuple[Runtime, ...]:
    """The runtimes in the image that no package brought, sorted by prefix."""
    likely = (path for path in world.rootfs.named(*_LANDMARKS) if _ANY.fullmatch(path))
    present = {runtime for path in likely if not world.packages.owners(path) for runtime in _at(world, path)}
    return tuple(sorted(present, key=lambda runtime: (runtime.prefix, runtime.name, runtime.parts)))


def _at(world: World, path: str) -> Iterator[Runtime]:
    for kind, marker in _MARKERS:
        match = marker.fullmatch(path)
        if match and match[1] != "/usr" and all(_any(world.rootfs, match[1], group) for group in kind.needs):
            yield Runtime(kind.name, match[1], kind.parts)


def _any(rootfs: Rootfs, prefix: str, globs: tuple[str, ...]) -> bool:
    """Whether one of the globs matches below the prefix, which is matched as it is written."""
    return any(_exists(rootfs, prefix, glob.split("/")) for glob in globs)


def _exists(rootfs: Rootfs, directory: str, parts: list[str]) -> bool:
    if not parts or parts[0] == "**":
        return directory in rootfs
    regex = glob_regex(parts[0])
    return any(_exists(rootfs, f"{directory}/{n}", parts[1:]) for n in rootfs.names(directory) if regex.fullmatch(n))
