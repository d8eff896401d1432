"""Tools of a service: the programs that come in its package, by which it is administered and asked.

A server's package has its client, its configuration check, its password tool; an image is operated with them through
`docker exec`, and no request to the server would ever run one. What came from the same source (`samba-common-bin` of
`samba`, `mosquitto-clients` of `mosquitto`) counts as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.model import Entry, Level, Want
from debloat.rules.accounts import PROGRAM_DIRECTORIES
from debloat.rules.commands import on_path
from debloat.rules.families import left_out
from debloat.rules.kernel import shebang
from debloat.rules.plugins import MOST_BYTES, ran, siblings
from debloat.rules.shell import BUILD_TIME
from debloat.rules.shelleval import SHELLS


class Tools(Rule):
    """The programs of a package of which a program was run, and of those from the same source, up to a size.

    Not those of Essential packages, which everything runs, and no script for an interpreter that nothing ran, or
    that came with the scripts: those are the tools of a language's developers.
    """

    name = "package.tools"
    level = Level.SAFE

    def seeds(self, world: World) -> Iterable[Want]:
        unwanted = world.derived(left_out)
        for program in sorted(world.derived(ran)):
            for owner in world.packages.owners(program):
                package = world.packages.get(owner)
                if package is None or package.essential:
                    continue
                for holder in (owner, *siblings(owner, world)):
                    for path in world.derived(_tools).of(holder):
                        if not unwanted(path):
                            yield self.want(path, program, f"a program of {holder}, from the source of {owner}")


class _Tools:
    """The tools of each package, found once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._found: dict[str, tuple[str, ...]] = {}

    def of(self, holder: str) -> tuple[str, ...]:
        if holder not in self._found:
            self._found[holder] = tuple(self._look(holder))
        return self._found[holder]

    def _look(self, holder: str) -> Iterator[str]:
        world = self._world
        package = world.packages.get(holder)
        named = (path for path in world.packages.files(holder) if path.startswith(PROGRAM_DIRECTORIES))
        programs = {path: e for path in named if (e := world.rootfs.lookup(path)) is not None and e.executable}
        # One program may have many names.
        files = {entry.path: entry.size for entry in programs.values()}
        if package is None or package.essential or sum(files.values()) > MOST_BYTES:
            return
        world.rootfs.fetch(files)
        for path, entry in programs.items():
            if path.rpartition("/")[2] not in BUILD_TIME and _runs(entry, package.source, world):
                yield path


def _tools(world: World) -> _Tools:
    return _Tools(world)


def _runs(entry: Entry, source: str, world: World) -> bool:
    """Whether a program needs no interpreter, a shell, or one from another source that runs in this image anyway."""
    found = shebang(world.rootfs.read(entry.path, 256))
    if found is None:
        return True
    interpreter: str | None = found[0]
    if found[0].rpartition("/")[2] == "env":
        words = [word for word in found[1].split() if not word.startswith("-")]
        interpreter = on_path(world, words[0]) if words else None
    if interpreter is None or interpreter.rpartition("/")[2] in SHELLS:
        return interpreter is not None
    real = world.rootfs.resolve(interpreter).path
    if real is None or real not in world.derived(ran):
        return False
    owners = (world.packages.get(name) for name in world.packages.owners(real))
    return all(owner is None or owner.source != source for owner in owners)


RULES: tuple[Rule, ...] = (Tools(),)
