"""What was asked of the languages' own package managers by name: `npm install -g`, `gem install`, pip's REQUESTED.

Who was asked for is the language's to tell (its module `requested`); for what is decided as for Debian's packages:
for the build where a RUN instruction runs one of the programs and nothing that was recorded touched the package, or
where the package installs and builds others; else for the running container. Then it stays as a unit of its language.
`[packages]` overrules: `"npm:pm2" = "run"`, or `pm2 = "run"` where no Debian package of the image is called so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from msgspec import Struct

from debloat.closure import Rule, World, derived
from debloat.core.model import Level, Want
from debloat.rules import languages
from debloat.rules.application.requested import Purpose, Request, is_toolbox, ran_in_builds, touched_files
from debloat.rules.commands import executed
from debloat.rules.language import Installed, Language


class Asked(Struct, frozen=True):
    """A package of a language that was asked for by name, and its request, whose name has the manager before it."""

    installed: Installed
    request: Request
    builder: bool

    def holds(self, path: str) -> bool:
        """Whether a real path is a part of it."""
        installed = self.installed
        below = tuple(f"{directory}/" for directory in installed.code)
        return path in installed.programs or path in installed.code or path.startswith(below)


@derived
def asked_modules(world: World) -> tuple[Asked, ...]:
    """What was asked for, sorted by name."""
    modules = []
    for language, installed in languages.installed(world):
        builder = installed.name in language.builders
        modules.append(Asked(installed, _judge(world, language, installed, builder), builder))
    return tuple(sorted(modules, key=lambda module: (module.request.package, module.installed.wanted)))


class RequestedModules(Rule):
    """The packages of languages that were asked for to be run, with their programs."""

    name: ClassVar[str] = "application.requested"

    def initial_wants(self, world: World) -> Iterable[Want]:
        for module in asked_modules(world):
            if module.request.purpose is Purpose.RUN:
                for path in module.installed.wanted:
                    yield self.want(path, module.request.package, module.request.evidence)


def dropped_modules(world: World, kept: Mapping[str, object]) -> tuple[str, ...]:
    """What was asked for and of which nothing is kept, sorted: what a user may miss. Builders are not named.

    At the level `exact`, where whatever was not touched goes, none is named.
    """
    if world.policy.level < Level.SAFE:
        return ()
    dropped = (a for a in asked_modules(world) if not a.builder and a.request.purpose is Purpose.BUILD)
    return tuple(sorted({a.request.package for a in dropped if not any(path in kept for path in a.installed.wanted)}))


def _judge(world: World, language: Language, installed: Installed, builder: bool) -> Request:
    name = f"{language.registry}:{installed.name}"
    if (chosen := _chosen(world, name, installed.name)) is not None:
        key, purpose = chosen
        return Request(name, purpose, f'[packages] says "{purpose}" of {key}')
    if is_toolbox(world):
        return Request(name, Purpose.RUN, "asked for in an image whose command is a bare shell")
    if _is_used(world, installed, builder):
        return Request(name, Purpose.RUN, "asked for, and used while recorded")
    if builder:
        return Request(name, Purpose.BUILD, "a package for builds, and nothing of it was used while recorded")
    ran = ran_in_builds(world)
    if (used := next((ran[path] for path in installed.programs if path in ran), None)) is not None:
        return Request(name, Purpose.BUILD, f"{used}, and nothing of it was used while recorded")
    return Request(name, Purpose.RUN, f"asked for by name, of {language.registry}")


def _chosen(world: World, name: str, bare: str) -> tuple[str, Purpose] | None:
    """What `[packages]` says of a package, and under which key."""
    table = dict(world.policy.packages)
    if name in table:
        return name, Purpose(table[name])
    if bare in table and not world.packages.providers(bare):
        return bare, Purpose(table[bare])
    return None


def _is_used(world: World, installed: Installed, builder: bool) -> bool:
    """Whether a recorded program opened or ran a file of a package; of a builder, ran: a start opens shims of them."""
    if builder:
        return any((world.rootfs.resolve(path).path or path) in executed(world) for path in installed.programs)
    return not _touched(world).isdisjoint(installed.code)


@derived
def _touched(world: World) -> frozenset[str]:
    """The files that recorded programs opened or ran, and the directories above them."""
    paths = set[str]()
    for path in touched_files(world):
        while path and path not in paths:
            paths.add(path)
            path = path.rpartition("/")[0]
    return frozenset(paths)


RULES: tuple[Rule, ...] = (RequestedModules(),)
