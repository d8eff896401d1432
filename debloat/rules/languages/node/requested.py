"""Packages of Node that were installed for everyone, by name: what lies in the global directories of npm, yarn, pnpm.

npm puts what its command line named, and nothing else, right below PREFIX/lib/node_modules (npm-folders(5)); what
these need lies inside of them. yarn, pnpm and bun keep a manifest of what they were asked for beside a node_modules.
So the image itself is the witness, as with the REQUESTED files of pip.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from debloat.closure import World, derived
from debloat.rules.language import Installed
from debloat.rules.languages.node import packages
from debloat.rules.languages.node.rules import claims

_NPM = re.compile(r"(?P<prefix>.*)/lib/node_modules")
_MANIFESTED = re.compile(r".*/global(?:/[\w.]+)?/node_modules")
"""`~/.config/yarn/global`, `$PNPM_HOME/global/5`, `~/.bun/install/global`."""

MAX_SHIM = 8192
"""Bytes of a script that starts a package's program: pnpm's have about one thousand."""


def installed(world: World) -> Iterator[Installed]:
    """The packages that were asked for, sorted by where they lie."""
    for name, place, programs in _places(world):
        real = world.rootfs.resolve(place).path
        if real is None or world.packages.owners(f"{real}/package.json"):
            continue
        own = tuple(path for path in programs if _starts(world, path, real))
        yield Installed(name, (*claims(world, place), *own), (real,), own)


def _places(world: World) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each package that was asked for: its name, its place, and the programs that may be its own."""
    for directory in sorted(world.rootfs.named("node_modules")):
        if "/node_modules/" in directory or not world.rootfs.is_dir(directory):
            continue
        base = posixpath.dirname(directory)
        if _MANIFESTED.fullmatch(directory):
            names: Iterable[str] = packages.needs(packages.manifest(world.rootfs, f"{base}/package.json"))
            programs = (*_programs(world), *_below(world, f"{directory}/.bin"))
        elif (match := _NPM.fullmatch(directory)) and not world.rootfs.is_file(f"{base}/package.json"):
            names = _names(world, directory)
            programs = _below(world, f"{match['prefix']}/bin")
        else:
            continue
        for name in names:
            if world.rootfs.is_dir(f"{directory}/{name}"):
                yield name, f"{directory}/{name}", programs


def _names(world: World, directory: str) -> Iterator[str]:
    """The packages in a directory: NAME and @SCOPE/NAME."""
    for name in world.rootfs.names(directory):
        if name.startswith("@"):
            yield from (f"{name}/{inner}" for inner in world.rootfs.names(f"{directory}/{name}"))
        elif not name.startswith("."):
            yield name


@derived
def _programs(world: World) -> tuple[str, ...]:
    """What lies in the directories of PATH and in pnpm's own, and belongs to no Debian package."""
    home = world.config.env.get("PNPM_HOME", "")
    directories = dict.fromkeys((*world.config.path, home, f"{home}/bin"))
    return tuple(path for directory in directories if directory[:1] == "/" for path in _below(world, directory))


def _below(world: World, directory: str) -> tuple[str, ...]:
    owners = world.packages.owners
    entries = [e for e in world.rootfs.children(directory) if not e.is_dir and not owners(e.path)]
    return tuple(e.path for e in entries if e.is_symlink or e.size <= MAX_SHIM)


def _starts(world: World, path: str, home: str) -> bool:
    """Whether a program is a link into a package, or a script of a manager's that runs a file of it."""
    rootfs = world.rootfs
    real = rootfs.resolve(path).path or ""
    if real.startswith(f"{home}/"):
        return True
    entry = rootfs.get(real)
    if entry is None or not entry.executable or entry.size > MAX_SHIM:
        return False
    return f"/node_modules/{home.rpartition('/node_modules/')[2]}/".encode() in rootfs.read(real)
