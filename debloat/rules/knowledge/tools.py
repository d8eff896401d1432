"""What comes in a service's package beside the service: the programs by which it is administered, and its state.

A server's package has its client, its configuration check, its password tool; an image is operated with them through
`docker exec`, and no request to the server would ever run one. What came from the same source (`samba-common-bin` of
`samba`, `mosquitto-clients` of `mosquitto`) counts as well. The directories that a package has in /var are where its
programs write one day, and these do not make them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from debloat.closure import Rule, World, derived, derived_by
from debloat.core.model import Entry, Level, Want
from debloat.rules import languages
from debloat.rules.commands import interpreter_of, on_path
from debloat.rules.interpreters import shebang
from debloat.rules.knowledge.families import left_out
from debloat.rules.knowledge.plugins import MAX_PRIVATE_BYTES, SHARED_DIRECTORY, STORES, executed_programs, siblings
from debloat.rules.languages.shell.evaluate import SHELLS
from debloat.rules.programs import BUILD_TIME, DIRECTORIES
from debloat.selector import Selector

MAX_TOOL_BYTES = 2 << 20
"""A larger program is no tool beside a service, but a service or a client in its own right."""


class Tools(Rule):
    """The programs of a package that a recorded program belongs to, and of packages from the same source, up to a size.

    Not those of Essential packages, which everything runs, and no script for an interpreter that nothing ran, or
    that came with the scripts: those are the tools of a language's developers.
    """

    name = "package.tools"
    level = Level.SAFE

    def initial_wants(self, world: World) -> Iterable[Want]:
        unwanted = left_out(world)
        for program in sorted(executed_programs(world)):
            for owner in world.packages.owners(program):
                package = world.packages.get(owner)
                if package is None or package.essential:
                    continue
                for holder in (owner, *siblings(owner, world)):
                    for path in _tools(world, holder):
                        if not unwanted(path):
                            yield self.want(path, program, f"a program of {holder}, from the source of {owner}")


@derived_by
def _tools(world: World, holder: str) -> tuple[str, ...]:
    """The tools of a package, as paths that it has them at."""
    package = world.packages.get(holder)
    named = (path for path in world.packages.files(holder) if path.startswith(DIRECTORIES))
    programs = {path: e for path in named if (e := world.rootfs.lookup(path)) is not None and e.executable}
    # One program may have many names.
    files = {entry.path: entry.size for entry in programs.values() if entry.size <= MAX_TOOL_BYTES}
    if package is None or package.essential or sum(files.values()) > MAX_PRIVATE_BYTES:
        return ()
    world.rootfs.fetch(files)
    return tuple(
        path
        for path, entry in programs.items()
        if entry.path in files
        and path.rpartition("/")[2] not in BUILD_TIME
        and _interpreter_runs(entry, package.source, world)
    )


OTHER_LANGUAGES = re.compile(
    r"^[^#\n]*?(?<![\w./-])(?:/usr/bin/)?({})(?![\w./-])".format(
        "|".join(word for language in languages.known() for word in language.shell_words)
    ).encode(),
    re.MULTILINE,
)
"""An interpreter in the text of a shell script: reports and statistics that are half Perl are scripts for Perl."""


def _interpreter_runs(entry: Entry, source: str, world: World) -> bool:
    """Whether a program needs no interpreter, a shell, or one from another source that runs in this image anyway."""
    line = shebang(world.rootfs.read(entry.path, 256))
    if line is None:
        return True
    interpreter = interpreter_of(world, line)
    if interpreter is not None and interpreter.rpartition("/")[2] in SHELLS:
        called = {match.decode() for match in OTHER_LANGUAGES.findall(world.rootfs.read(entry.path))}
        return all(_was_executed(world, on_path(world, word)) for word in called)
    if not _was_executed(world, interpreter):
        return False
    real = world.rootfs.resolve(interpreter or "").path or ""
    owners = (world.packages.get(name) for name in world.packages.owners(real))
    return all(owner is None or owner.source != source for owner in owners)


def _was_executed(world: World, path: str | None) -> bool:
    return path is not None and world.rootfs.resolve(path).path in executed_programs(world)


class StateDirectories(Rule):
    """The directories in /var of a package with a kept program: its /var/lib/NAME, /var/spool/NAME, ..."""

    name = "package.state"
    level = Level.SAFE
    selector = Selector(executable=True)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.path.startswith((*DIRECTORIES, "/usr/lib/", "/usr/libexec/")):
            return
        for owner in world.packages.owners(entry.path):
            for path in _state_directories(world).get(owner, ()):
                yield self.want(path, entry.path, f"where {owner} keeps what it writes")


@derived
def _state_directories(world: World) -> dict[str, tuple[str, ...]]:
    by_package: dict[str, tuple[str, ...]] = {}
    for owner in world.packages.names():
        below = (path for path in world.packages.files(owner) if path.startswith("/var/"))
        own = (path for path in below if not SHARED_DIRECTORY.fullmatch(path) and not STORES.fullmatch(path))
        if directories := tuple(path for path in own if (e := world.rootfs.get(path)) is not None and e.is_dir):
            by_package[owner] = directories
    return by_package


RULES: tuple[Rule, ...] = (Tools(), StateDirectories())
