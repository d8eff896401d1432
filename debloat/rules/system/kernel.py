"""What execve(2) needs that no system call shows: the interpreter of a script, and what env(1) finds for it.

`binfmt_misc` handlers are registered in the host's kernel, not by the image, so nothing can be said of them here.
"""

from __future__ import annotations

from collections.abc import Iterable

from debloat.closure import Rule, World
from debloat.core.model import Entry, Level, Want
from debloat.rules.commands import command, is_template
from debloat.rules.interpreters import BUFFER, env_command, interpreter, shebang
from debloat.selector import FILES, SCRIPT, Selector

MULTI_CALL = frozenset({"busybox", "toybox"})
"""Programs whose argument is an applet of their own (busybox(1))."""


class Shebang(Rule):
    """The interpreter of every kept executable script; the chain goes on where that is a script itself.

    The kernel follows five of them (`exec_binprm`); a longer chain cannot run, and keeps its files in vain. A
    file that is not executable is never handed to the kernel as a program, nor is a sample: its `#!` line means
    nothing.
    """

    name = "kernel.shebang"
    level = Level.EXACT
    selector = Selector(FILES, formats=SCRIPT)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.executable or entry.size < 4:
            return
        head = world.rootfs.read(entry.path, BUFFER)
        line = shebang(head)
        if line is None or is_template(world, entry.path):
            return
        first, argument = line
        program = command(world, first, world.config.workdir) if "/" in first else None
        if program is None:
            return
        yield self.want(program, entry.path, f"#!{first}")
        name = first.rpartition("/")[2]
        if name == "env":
            word = env_command(argument, world.config.env) if argument else None
        else:
            word = interpreter(head)[1] if name not in MULTI_CALL else None
        target = command(world, word, world.config.workdir) if word and word != first else None
        if target is not None:
            yield self.want(target, entry.path, f"{word} through {name}")


RULES: tuple[Rule, ...] = (Shebang(),)
