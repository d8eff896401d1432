"""An image whose command is a bare interpreter: whoever runs it brings the scripts, and they may import anything.

`CMD ["python3"]`, `ENTRYPOINT ["perl"]`, `CMD ["ruby", "--version"]`: nothing in the image says what is imported. The
standard library stays whole then, with the language's own tools; modules of other packages as far as they were asked
for.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import ClassVar

from debloat.closure import Rule, World, derived
from debloat.core.model import Want
from debloat.core.shells import behind_inits
from debloat.rules import languages
from debloat.rules.commands import on_path
from debloat.rules.interpreters import named
from debloat.rules.language import Language

UNUSED = (".pod", ".a", ".h", ".o", ".pyc", ".ri")
"""Ends of files that no script loads."""

_TESTS = ("/test/", "/tests/", "/idlelib/idle_test/", "/config-")


class BareInterpreter(Rule):
    """The standard library of an interpreter that the image's command starts without a program."""

    name: ClassVar[str] = "application.interpreter"

    def initial_wants(self, world: World) -> Iterable[Want]:
        language, program = bare_interpreter(world)
        if language is None:
            return
        for glob in language.library:
            for path in world.rootfs.glob(glob):
                if not path.endswith(UNUSED) and not any(part in path for part in _TESTS):
                    yield self.want(path, "config:Cmd", f"the command is {program} without a program")


@derived
def bare_interpreter(world: World) -> tuple[Language | None, str]:
    """The language whose interpreter the command starts with options at most, and the word; or (None, "").

    An interpreter that is an ENTRYPOINT by itself gets its program from whoever runs the image, whatever CMD says.
    """
    for words in (world.config.entrypoint, (*world.config.entrypoint, *world.config.cmd)):
        argv = behind_inits(words)
        if not argv or any(not word.startswith("-") or word in _PROGRAMS for word in argv[1:]):
            continue
        name = named(posixpath.basename(argv[0]))
        language = next((candidate for candidate in languages.known() if candidate.name == name), None)
        if language is not None and on_path(world, argv[0]) is not None:
            return language, argv[0]
    return None, ""


_PROGRAMS = frozenset({"-e", "-E", "-c", "-m", "-f", "-p", "-r", "-jar"})
"""Options whose value is the program."""

RULES: tuple[Rule, ...] = (BareInterpreter(),)
