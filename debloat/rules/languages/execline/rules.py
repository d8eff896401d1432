"""execline: the programs that a kept script chains, and the files that it names.

Where one program's arguments end and the next program begins only that program knows, so each word that is the name of
a program counts as one.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import ClassVar

from debloat.closure import Rule, World
from debloat.core.model import Entry, Want
from debloat.core.shells import POSIX_SHELLS
from debloat.rules.cmdline import programs
from debloat.rules.commands import is_template, reachable_program
from debloat.rules.interpreters import is_script_of, script_head
from debloat.rules.knowledge.plugins import SHARED_DIRECTORY
from debloat.rules.languages.execline.language import LANGUAGE
from debloat.rules.languages.execline.source import words
from debloat.rules.programs import BUILD_TIME
from debloat.selector import FILES, SCRIPT, Selector

MAX_SCRIPT = 1 << 20


class ExeclineScripts(Rule):
    """Programs and files in the words of execline scripts; a shell among them reads the words with blanks."""

    name: ClassVar[str] = "execline.script"
    selector: ClassVar[Selector] = Selector(FILES, formats=SCRIPT)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.size > MAX_SCRIPT or not is_script_of(LANGUAGE, script_head(entry, world)):
            return
        if is_template(world, entry.path):
            return
        line_of: dict[str, int] = {}
        shell = False
        for line, word in words(world.rootfs.text(entry.path)):
            shell = shell or posixpath.basename(word) in POSIX_SHELLS
            for name in programs(word) if shell and " " in word else (word,):
                line_of.setdefault(name, line)
        for name, line in line_of.items():
            path = reachable_program(world, name, entry.path) or self._file(name, world)
            if path is not None and name not in BUILD_TIME:
                yield self.want(path, entry.path, f"{name[:80]}, line {line}")

    @staticmethod
    def _file(name: str, world: World) -> str | None:
        named = name.startswith("/") and len(name) < 4096 and "\0" not in name and not SHARED_DIRECTORY.fullmatch(name)
        return name if named and world.rootfs.is_file(name) else None


RULES: tuple[Rule, ...] = (ExeclineScripts(),)
