"""Directories that links lead to: what a package reads through its link lies in another package's directory.

Debian moves data that several packages share, or that is independent of the architecture, into a package and a
directory of its own, and leaves a link where the program looks (`babel/locale-data`, `static/jquery`, `Zend`).
"""

from __future__ import annotations

from collections.abc import Iterable

from debloat.closure import Rule, World
from debloat.debian.documentation import is_documentation
from debloat.model import Entry, Want
from debloat.rules.application import MANY
from debloat.rules.families import left_out
from debloat.rules.plugins import SHARED, STORES


class LinkedDirectories(Rule):
    """All below the directory that a kept link leads to, where link and directory are not of one package.

    Within a package a link is another name for what other rules choose from (`perl/5.36 -> 5.36.0`).
    """

    name = "link.directory"

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.is_symlink or entry.path.startswith("/etc/alternatives/") or is_documentation(entry.path):
            return
        target = world.rootfs.resolve(entry.path).path
        if target is None or not world.rootfs.is_dir(target) or SHARED.fullmatch(target) or STORES.fullmatch(target):
            return
        owners, theirs = world.packages.owners(entry.path), world.packages.owners(target)
        if not theirs or len(theirs) > MANY or not set(owners).isdisjoint(theirs):
            return
        unwanted = world.derived(left_out)
        for child in world.rootfs.walk(target):
            if not is_documentation(child.path) and not unwanted(child.path):
                yield Want(child.path, self.name, entry.path, f"below {target}, which it leads to", follow=False)


RULES: tuple[Rule, ...] = (LinkedDirectories(),)
