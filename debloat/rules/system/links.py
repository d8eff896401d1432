"""What links lead to, and the links that lead to what is kept.

Debian moves data that several packages share, or that is independent of the architecture, into a package and a
directory of its own, and leaves a link where the program looks (`babel/locale-data`, `static/jquery`, `Zend`).
"""

from __future__ import annotations

from collections.abc import Iterable

from debloat.closure import Rule, World, derived
from debloat.core.model import Entry, Want
from debloat.debian.documentation import is_documentation
from debloat.rules.application.survey import MAX_OWNERS
from debloat.rules.commands import SYSTEM_PATH
from debloat.rules.knowledge.families import left_out
from debloat.rules.knowledge.plugins import SHARED_DIRECTORY, STORES
from debloat.rules.languages.shell.evaluate import SHELLS
from debloat.selector import FILES, LINKS, Selector

DATABASE = "/var/lib/dpkg/alternatives"


class LinkedDirectories(Rule):
    """All below the directory that a kept link leads to, where link and directory are not of one package.

    Within a package a link is another name for what other rules choose from (`perl/5.36 -> 5.36.0`).
    """

    name = "link.directory"
    selector = Selector(LINKS)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.path.startswith("/etc/alternatives/") or is_documentation(entry.path):
            return
        target = world.rootfs.resolve(entry.path).path
        if (
            target is None
            or not world.rootfs.is_dir(target)
            or SHARED_DIRECTORY.fullmatch(target)
            or STORES.fullmatch(target)
        ):
            return
        owners, theirs = world.packages.owners(entry.path), world.packages.owners(target)
        if not theirs or len(theirs) > MAX_OWNERS or not set(owners).isdisjoint(theirs):
            return
        unwanted = left_out(world)
        for child in world.rootfs.walk(target):
            if not is_documentation(child.path) and not unwanted(child.path):
                yield Want(child.path, self.name, entry.path, f"below {target}, which it leads to", follow=False)


class ProgramNames(Rule):
    """Links on PATH to a kept program: its other names (`iex -> ../lib/elixir/bin/iex`, alternatives like keytool).

    A link costs nothing, and whoever calls a program that is there calls it by a name on PATH.
    """

    name = "link.program"

    def select(self, world: World) -> Selector:
        return Selector(FILES, paths=_names_of(world))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        # A shell under another name is another shell: rbash is for people who must not do everything.
        if entry.executable and entry.name not in SHELLS:
            for path in _names_of(world)[entry.path]:
                yield self.want(path, entry.path, "another name of it")


@derived
def _names_of(world: World) -> dict[str, tuple[str, ...]]:
    """Program -> the links on PATH that lead to it."""
    directories = {world.rootfs.resolve(d).path for d in (*world.config.path, *SYSTEM_PATH) if d.startswith("/")}
    return _by_target(
        world,
        (
            child.path
            for directory in sorted(d for d in directories if d and world.rootfs.is_dir(d))
            for child in world.rootfs.children(directory)
            if child.is_symlink
        ),
    )


def _by_target(world: World, links: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What links lead to -> those that lead there; what is no link, or leads nowhere, is left out."""
    by_target: dict[str, list[str]] = {}
    for link in links:
        real = world.rootfs.resolve(link).path
        if real is not None and real != link:
            by_target.setdefault(real, []).append(link)
    return {real: tuple(names) for real, names in by_target.items()}


class AlternativeNames(Rule):
    """The names under which update-alternatives makes a kept file known: no package owns them.

    What goes with a program has a link of its own (`gnuplot.gih -> gnuplot-nox.gih`), and the program opens that.
    """

    name = "link.alternative"

    def select(self, world: World) -> Selector:
        return Selector(FILES, paths=_alternatives(world))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.name not in SHELLS:
            for path in _alternatives(world)[entry.path]:
                yield self.want(path, entry.path, "its name by update-alternatives")


@derived
def _alternatives(world: World) -> dict[str, tuple[str, ...]]:
    """File -> the links of alternatives that lead to it, without those of documentation."""
    return _by_target(world, (link for link in _recorded(world) if not is_documentation(link)))


@derived
def _recorded(world: World) -> Iterable[str]:
    """The links that update-alternatives has made.

    The files of its database hold the mode, the link, name and link of each that goes with it, and an empty line
    (update-alternatives(1), dpkg's `utils/update-alternatives.c`); what follows are the choices.
    """
    for record in world.rootfs.children(DATABASE) if world.rootfs.is_dir(DATABASE) else ():
        if record.is_file:
            head, *_ = world.rootfs.read(record.path).decode("utf-8", "surrogateescape").partition("\n\n")
            yield from (link for link in head.split("\n")[1::2] if link.startswith("/"))


RULES: tuple[Rule, ...] = (LinkedDirectories(), ProgramNames(), AlternativeNames())
