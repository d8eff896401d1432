"""Repositories in the application, where the program that reads them is kept.

What a checkout brings along is a leftover of the build (`leftovers.py`), unless the application asks it for its
version, or its contents are under version control themselves: a wiki, notes, configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from debloat.closure import Rule, World, derived
from debloat.core.model import Entry, Level, Want
from debloat.rules.application.survey import is_application, survey
from debloat.rules.commands import TEMPLATES, on_path
from debloat.selector import Selector

READERS = {"git": (".git", ".gitmodules"), "hg": (".hg",), "svn": (".svn",), "bzr": (".bzr",), "darcs": ("_darcs",)}
"""Programs, and the names by which they find what is theirs in a working copy."""


class Repositories(Rule):
    """Version control data of the application's directories, once the program for it is kept.

    Not the samples of hooks, which nothing runs: one of them is for Perl.
    """

    name = "application.repository"
    level = Level.SAFE

    def select(self, world: World) -> Selector:
        return Selector(paths=_repositories(world))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        for path in _repositories(world).get(entry.path, ()):
            below = (child.path for child in world.rootfs.walk(path)) if world.rootfs.is_dir(path) else ()
            for member in (p for p in (path, *below) if not TEMPLATES.fullmatch(p)):
                yield Want(member, self.name, entry.path, f"of {path}, which it reads", follow=False)


@derived
def _repositories(world: World) -> Mapping[str, tuple[str, ...]]:
    """The real path of each program, with the data in directories of the application that is for it."""
    leftovers = [p for p in survey(world).leftovers if is_application(world, p.rpartition("/")[0])]
    by_program = {}
    for program, names in READERS.items():
        path = on_path(world, program)
        real = world.rootfs.resolve(path).path if path is not None else None
        if real is not None:
            by_program[real] = tuple(sorted(p for p in leftovers if p.rpartition("/")[2] in names))
    return by_program


RULES: tuple[Rule, ...] = (Repositories(),)
