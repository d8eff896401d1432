"""From what was recorded to what must stay: each use of a path is a claim, at every level.

A path that was found stays, with the links on the way. A path that was missing keeps the links that led nowhere and
what made it fail, so that the lookup fails in the same way; where the program was about to create it, the directory
it lands in stays. A directory that was listed keeps its names when it is the application's: a program that lists its
own data reads the names. In the distribution's directories names are kept by other uses only, and what a sweep
(`sweeps.py`) touched is not kept at all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.model import Access, Level, Op, Want
from debloat.image.rootfs import Rootfs
from debloat.rules import languages
from debloat.rules.language import NEVER
from debloat.rules.recorded.sweeps import (
    NON_READING_OPS,
    Sweep,
    is_distribution_directory,
    is_outside_image,
    sweeps_in_trace,
)

CREATING_OPS = frozenset({Op.CREATE, Op.MKDIR, Op.MKNOD, Op.SYMLINK, Op.BIND})
"""Operations that make the name; so does an `open` with the letter `c`."""

_IMPORTERS = tuple(language.importer for language in languages.known() if language.importer is not None)

MODULE_PATH = re.compile(f"(?:{'|'.join(importer.directories for importer in _IMPORTERS) or NEVER})\\Z")
"""Ends of directories that an importer lists to look for modules, not for the names."""

IMPORTING = re.compile(f"(?:{'|'.join(importer.program for importer in _IMPORTERS) or NEVER})\\Z")
"""Ends of paths of programs that list their script's own directory for that."""


class Traced(Rule):
    """What the recorded programs used."""

    name = "trace"
    level = Level.EXACT

    def initial_wants(self, world: World) -> Iterable[Want]:
        swept = _by_group(sweeps_in_trace(world))
        uses: dict[tuple[str, bool, str, str], set[str]] = defaultdict(set)
        for access in world.trace.accesses:
            if not is_outside_image(access.path):
                for path, follow, word in _uses(access, world, swept):
                    uses[path, follow, access.probe, access.program].add(word)
        for probe, program in sorted({(a.probe, a.program) for a in world.trace.accesses}):
            if program.startswith("/") and not is_outside_image(program):
                yield self.want(program, f"probe:{probe}", "it ran")
        for (path, follow, probe, program), words in sorted(uses.items()):
            yield Want(path, self.name, f"probe:{probe}", f"{', '.join(sorted(words))} by {program}", follow)


def listed_children(world: World) -> Iterator[Want]:
    """The names in every directory that was listed, the distribution's too, sorted by probe and directory.

    For a second round of healing: when an answer differs and no lookup failed, a listing came out shorter.
    Walks over many directories are left out.
    """
    swept = _by_group(tuple(s for s in sweeps_in_trace(world) if len(s.directories) > 1))
    listed = set()
    for access in world.trace.accesses:
        if access.op is Op.LIST and (real := world.rootfs.resolve(access.path).path) and not is_outside_image(real):
            among = swept.get((access.probe, access.program), ())
            imports = MODULE_PATH.search(real) or _own_directory(access.program, real)
            if not imports and not any(real in sweep.directories for sweep in among):
                listed.add((access.probe, real, access.program))
    for probe, directory, program in sorted(listed):
        for child in world.rootfs.children(directory):
            yield Want(child.path, "healed.list", f"probe:{probe}", f"listed by {program}", follow=False)


def _by_group(sweeps: Iterable[Sweep]) -> dict[tuple[str, str], tuple[Sweep, ...]]:
    groups: dict[tuple[str, str], tuple[Sweep, ...]] = {}
    for sweep in sweeps:
        groups[sweep.probe, sweep.program] = (*groups.get((sweep.probe, sweep.program), ()), sweep)
    return groups


def _uses(
    access: Access, world: World, swept: dict[tuple[str, str], tuple[Sweep, ...]]
) -> Iterator[tuple[str, bool, str]]:
    """What an access asks for: a path, whether its last link is followed, a word on the use."""
    rootfs, follow = world.rootfs, access.follows
    resolution = rootfs.resolve(access.path, follow=follow)
    if resolution.path is None or is_outside_image(resolution.path):
        yield from _missing(access, rootfs, resolution.links, resolution.broken)
        return
    for sweep in swept.get((access.probe, access.program), ()):
        if sweep.covers(resolution.path) and (access.op in NON_READING_OPS or _is_dir(rootfs, resolution.path)):
            return
    yield access.path, follow, str(access.op)
    if "/.." in access.path:
        yield from ((prefix, True, "passed") for prefix in _passed(access.path))
    if (
        access.op is Op.LIST
        and _reads_names(world, resolution.path)
        and not _own_directory(access.program, resolution.path)
    ):
        for child in rootfs.children(resolution.path):
            yield child.path, False, "listed"


def _missing(access: Access, rootfs: Rootfs, links: tuple[str, ...], broken: str) -> Iterator[tuple[str, bool, str]]:
    """What a path that ends nowhere, or outside the image, still asks for.

    Where it was cut off by a file in place of a directory, or by a loop of links, that decides the error.
    """
    op = str(access.op)
    yield from ((prefix, True, "passed") for prefix in _passed(access.path))
    for link in links:
        yield link, False, f"{op} through"
    if broken in rootfs:
        yield broken, False, f"{op} ends there"
    if access.op in CREATING_OPS or "c" in access.flags:
        yield broken.rpartition("/")[0] or "/", True, f"{op} in it"


def _passed(path: str) -> Iterator[str]:
    """The directories that `..` in a path steps out of: the kernel looks them up."""
    parts = path.split("/")
    yield from ("/".join(parts[:i]) for i, part in enumerate(parts) if part == ".." and i > 1)


def _is_dir(rootfs: Rootfs, path: str) -> bool:
    entry = rootfs.get(path)
    return entry is not None and entry.is_dir


def _own_directory(program: str, directory: str) -> bool:
    """Whether a listing is an importer's that looks beside the script that runs."""
    return IMPORTING.search(program) is not None and directory.endswith(("/bin", "/sbin"))


def _reads_names(world: World, directory: str) -> bool:
    """Whether a listing of this directory keeps its names."""
    return not MODULE_PATH.search(directory) and not is_distribution_directory(world, directory)


RULES: tuple[Rule, ...] = (Traced(),)
