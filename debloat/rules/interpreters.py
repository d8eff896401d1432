"""Which program reads a script: the `#!` line as the kernel and env(1) split it, and what stands behind wrappers in it.

`#!/usr/bin/env -S A=1 sh`, `#!/usr/bin/tini /bin/sh`, `#!/command/with-contenv bash`, `#!/bin/busybox sh`: a program in
front may be anything, a script of the image's own too, and hands over to the interpreter that it is given.
"""

from __future__ import annotations

import functools
import re

from debloat.closure import World, derived_by
from debloat.core.model import Entry
from debloat.core.shells import POSIX_SHELLS
from debloat.rules import languages
from debloat.rules.language import Language
from debloat.selector import FILES, SCRIPT, Selector

HEAD = 512
"""Bytes of a script that are looked at: its `#!` line, and how it hands itself over to another interpreter."""

SHELL = "Shell"
"""The name of the record of the shells."""

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
            operands = [w for w in words[i + 1 :] if "=" not in w]
            return operands[0] if operands else None
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


@functools.lru_cache(maxsize=4096)
def interpreter(head: bytes) -> tuple[str, str]:
    """The language that reads a script which begins so, and the word that names its interpreter; "" for both if none.

    The first word of the `#!` line that is the name of an interpreter counts; one that only holds such a name
    (`ts-node`, `my-python-wrapper`) where no other is one.
    """
    line = shebang(head)
    if line is None:
        return "", ""
    program, argument = line[0], line[1]
    split = _SPLIT.match(argument) if _name(program) == "env" else None
    words = split_string(argument[split.end() :], {}) if split else argument.split()
    words = [program, *(word for word in words if not word.startswith("-") and "=" not in word)]
    for exact in (True, False):
        for word in words:
            for language, whole, part in _interpreters():
                if (whole.fullmatch if exact else part.search)(_name(word)):
                    return language, word.rstrip("\r")
    return "", ""


def named(program: str) -> str:
    """The language whose interpreter has this name; "" where none has."""
    return next((language for language, whole, _ in _interpreters() if whole.fullmatch(program)), "")


def _name(word: str) -> str:
    return word.rpartition("/")[2].rstrip("\r")


@functools.cache
def _interpreters() -> tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...]:
    """Each language's interpreters by their whole names, with versions, and by a part of a name."""
    shells = "|".join(map(re.escape, sorted(POSIX_SHELLS)))
    patterns = [(SHELL, re.compile(shells), re.compile(r"(?!)"))]
    for language in languages.known():
        if language.interpreters:
            names = f"(?:{language.interpreters})"
            patterns.append((language.name, re.compile(rf"{names}[\d.]*(?:-[\d.]+)?"), re.compile(rf"\b{names}")))
    return tuple(patterns)


def is_script_of(language: Language, head: bytes) -> bool:
    """Whether a script that begins so is one of a language: its interpreter's, or a shell's that hands itself over."""
    if interpreter(head)[0] == language.name:
        return True
    return language.polyglot and _compiled(language.handed()).match(head) is not None


@functools.cache
def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode())


def sources_of(*known: Language) -> Selector:
    """What may be source code of some languages: by how the name ends, or by a `#!` line, whosever."""
    return Selector(FILES, endings=tuple(s for language in known for s in language.suffixes), formats=SCRIPT)


def script_head(entry: Entry, world: World) -> bytes:
    """The beginning of a kept file that a `#!` line makes a script; b"" for any other.

    Of packages those that may be executed. An application's need no such bit: whoever wrote the line runs them as
    `sh FILE` or `python3 FILE`.
    """
    return _script_head(world, entry.path)


@derived_by
def _script_head(world: World, path: str) -> bytes:
    entry = world.rootfs.get(path)
    if entry is None or not entry.is_file or entry.size < 4:
        return b""
    if not entry.executable and world.packages.owners(path):
        return b""
    head = world.rootfs.read(path, HEAD)
    return head if head.startswith(b"#!") else b""
