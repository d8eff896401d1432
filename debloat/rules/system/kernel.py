"""What execve(2) needs that no system call shows: the interpreter of a script, and what env(1) finds for it.

`binfmt_misc` handlers are registered in the host's kernel, not by the image, so nothing can be said of them here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from debloat.closure import Rule, World
from debloat.core.model import Entry, Level, Want
from debloat.rules.commands import command, inert

BUFFER = 256
"""BINPRM_BUF_SIZE since Linux 5.1: what the kernel reads of a script to find its interpreter."""

_SPLIT = re.compile(r"--split-string[= ]|-[0iv]*S")
_ENV_OPTIONS_WITH_VALUE = ("-u", "--unset", "-C", "--chdir")
_ESCAPES = {"_": " ", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}


def shebang(head: bytes) -> tuple[str, str] | None:
    """Interpreter and its one argument (`""` if none), split as `fs/binfmt_script.c` splits the first line.

    Blanks are spaces and tabs; all behind the interpreter is one argument. A line that does not end within the
    buffer is valid only if the interpreter's name does.
    """
    head = head[:BUFFER]
    if not head.startswith(b"#!"):
        return None
    line, newline, _ = head[2:].partition(b"\n")
    # The kernel's strings end at a NUL.
    line, zero, _ = line.partition(b"\0")
    text = line.strip(b" \t")
    if not text:
        return None
    parts = text.replace(b"\t", b" ").split(b" ", 1)
    cut = not newline and not zero and len(head) == BUFFER
    if cut and len(parts) == 1 and not line.endswith((b" ", b"\t")):
        return None
    argument = text[len(parts[0]) :].strip(b" \t")
    return parts[0].decode("utf-8", "surrogateescape"), argument.decode("utf-8", "surrogateescape")


def env_command(argument: str, environment: dict[str, str]) -> str | None:
    """The program that `#!/usr/bin/env ARGUMENT` runs, as a word; None where it runs none.

    The kernel hands over one argument: without `-S` (`--split-string`) it is an option, an assignment or the whole
    name of the program, blanks included (env(1), "-S usage in scripts").
    """
    split = _SPLIT.match(argument)
    return _command_word(split_string(argument[split.end() :], environment) if split else [argument])


def _command_word(words: list[str]) -> str | None:
    skip = False
    for i, word in enumerate(words):
        if skip:
            skip = False
        elif word == "--":
            rest = [w for w in words[i + 1 :] if "=" not in w]
            return rest[0] if rest else None
        elif word in _ENV_OPTIONS_WITH_VALUE:
            skip = True
        elif word and not word.startswith("-") and "=" not in word:
            return word
    return None


def split_string(text: str, environment: dict[str, str]) -> list[str]:
    r"""Words of `env -S`: blanks separate, quotes group, `${NAME}` expands, `\c` and `#` end, `\_` is a blank."""
    words, word, quote, started = list[str](), "", "", False
    i = 0
    while i < len(text):
        char = text[i]
        if char == "\\" and i + 1 < len(text) and not (quote == "'" and text[i + 1] not in "\\'"):
            i += 1
            if text[i] == "c" and not quote:
                break
            if text[i] == "_" and not quote:
                words, word, started = ([*words, word], "", False) if started else (words, word, started)
            else:
                word, started = word + _ESCAPES.get(text[i], text[i]), True
        elif char in "'\"" and quote in ("", char):
            quote, started = ("" if quote else char), True
        elif char == "$" and quote != "'" and text.startswith("${", i) and (end := text.find("}", i)) > 0:
            word, started = word + environment.get(text[i + 2 : end], ""), True
            i = end
        elif char in " \t\n\v\f\r" and not quote:
            words, word, started = ([*words, word], "", False) if started else (words, word, started)
        elif char == "#" and not quote and not started:
            break
        else:
            word, started = word + char, True
        i += 1
    return [*words, word] if started else words


class Shebang(Rule):
    """The interpreter of every kept executable script; the chain goes on where that is a script itself.

    The kernel follows five of them (`exec_binprm`); a longer chain cannot run, and keeps its files in vain. A
    file that is not executable is never handed to the kernel as a program, nor is a sample: its `#!` line means
    nothing.
    """

    name = "kernel.shebang"
    level = Level.EXACT

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.executable or entry.size < 4:
            return
        found = shebang(world.rootfs.read(entry.path, BUFFER))
        if found is None or inert(world, entry.path):
            return
        interpreter, argument = found
        program = command(world, interpreter, world.config.workdir) if "/" in interpreter else None
        if program is None:
            return
        yield self.want(program, entry.path, f"#!{interpreter}")
        if interpreter.rpartition("/")[2] != "env" or not argument:
            return
        word = env_command(argument, world.config.env)
        target = command(world, word, world.config.workdir) if word else None
        if target is not None:
            yield self.want(target, entry.path, f"{word} through env")


RULES: tuple[Rule, ...] = (Shebang(),)
