"""What ENV names: a file, a directory or a program that the application looks up under the name of a variable.

`ENV PUPPETEER_EXECUTABLE_PATH=/usr/bin/chromium`, `ENV TESSDATA_PREFIX=/usr/share/tessdata`, `ENV EDITOR=vim`: no
source names the thing itself, so nothing else reaches it. Variables that every process has (environ(7)) say where
things are looked for, not what is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from debloat.closure import Rule, World
from debloat.core.model import Level, Want
from debloat.rules.cmdline import programs
from debloat.rules.commands import on_path
from debloat.rules.knowledge.families import left_out
from debloat.rules.knowledge.plugins import SHARED_DIRECTORY, STORES
from debloat.rules.programs import BUILD_TIME

GENERAL = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "HOSTNAME", "TERM", "LANG", "LANGUAGE", "TZ"),
        *("TMPDIR", "LD_LIBRARY_PATH", "CC", "CXX", "CPP"),
    }
)
"""Variables of every process (environ(7), ld.so(8)) and of builds; `LC_*` as well. Rules of their own read some."""

WORDS = frozenset(
    {
        *("true", "false", "yes", "no", "on", "off", "none", "test", "dev", "development", "production"),
        *("info", "debug"),
    }
)
"""Values of switches that are names of programs as well (true(1), yes(1), test(1))."""

MAX_BYTES = 32 << 20
"""A directory with more files of packages than this is a place to look in, not data to be used."""


class Environment(Rule):
    """Files, directories and programs in the values of ENV."""

    name: ClassVar[str] = "config.environment"
    level: ClassVar[Level] = Level.SAFE

    def initial_wants(self, world: World) -> Iterable[Want]:
        for name, value in sorted(world.config.env.items()):
            if name in GENERAL or name.startswith("LC_"):
                continue
            source = f"config:Env {name}"
            for path in _paths(value):
                yield from self._path(world, path, source)
            for word in programs(value):
                program = on_path(world, word) if word.lower() not in WORDS and word not in BUILD_TIME else None
                if program is not None:
                    yield self.want(program, source, word)

    def _path(self, world: World, path: str, source: str) -> Iterator[Want]:
        entry = world.rootfs.lookup(path)
        if entry is None or SHARED_DIRECTORY.fullmatch(entry.path):
            return
        yield self.want(path, source)
        if not entry.is_dir or STORES.fullmatch(entry.path):
            return
        unwanted = left_out(world)
        # What no package brought is the application's by itself, or left over.
        packaged = (e for e in world.rootfs.walk(entry.path) if not e.is_dir and world.packages.owners(e.path))
        files = [file for file in packaged if not unwanted(file.path)]
        if sum(file.size for file in files) <= MAX_BYTES:
            for file in files:
                yield self.want(file.path, source, f"below {path}")


def _paths(value: str) -> Iterator[str]:
    """The absolute paths in a value: the value itself, the parts of a list, the words of options."""
    for word in (value, *value.replace(":", " ").replace(",", " ").replace("=", " ").split()):
        if word.startswith("/") and "\0" not in word and len(word) < 4096:
            yield word


RULES: tuple[Rule, ...] = (Environment(),)
