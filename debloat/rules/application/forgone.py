"""Packages that a Dockerfile asks for by name and of which nothing stays: what a user may miss, so it is told."""

from __future__ import annotations

import re
from collections.abc import Iterable

from debloat.closure import World
from debloat.core.model import Level
from debloat.debian.prune import PackageShare
from debloat.rules.application.dockerfile import commands, installed_packages
from debloat.rules.programs import BUILD_TIME, DIRECTORIES

FOR_BUILDS = frozenset({"devel", "libdevel", "debug", "doc", "libs", "oldlibs", "metapackages", "kernel"})
"""Sections of packages (Debian policy 2.4) whose programs, if they have any, build or document."""

_PROGRAMS = (*DIRECTORIES, "/usr/games/")


def forgone(world: World, shares: Iterable[PackageShare]) -> tuple[str, ...]:
    """Names of packages with programs that are gone whole though asked for, sorted.

    Less those that the build itself used: a RUN instruction names one of their programs. At the level `exact`, where
    whatever was not touched goes, none is told.
    """
    asked = installed_packages(world.history) if world.policy.level >= Level.SAFE else frozenset[str]()
    used = frozenset(word for text in commands(world.history) for word in re.findall(r"[\w.+-]+", text))
    found = set()
    for share in shares:
        package = world.packages.get(share.name) if share.state == "gone" else None
        if package is None or package.package not in asked or package.section.rpartition("/")[2] in FOR_BUILDS:
            continue
        programs = {p.rpartition("/")[2] for p in world.packages.files(share.name) if p.startswith(_PROGRAMS)}
        if programs and used.isdisjoint(programs) and not programs <= BUILD_TIME:
            found.add(package.package)
    return tuple(sorted(found))
