"""Command lines in programs' source: the programs that a shell would run for them.

Languages hand a string to `/bin/sh -c` (system(3)); the words that run programs in it are those of a small script.
"""

from __future__ import annotations

import functools
import posixpath
import shlex
from collections.abc import Iterable, Iterator, Sequence

from debloat.rules.languages.shell.evaluate import SHELLS
from debloat.rules.languages.shell.source import Command, parse
from debloat.rules.languages.shell.wrappers import WRAPPERS, unwrap

MAX_LINE = 4096
MAX_NESTED = 4
UNKNOWN_WORD = "$"


@functools.lru_cache(maxsize=4096)
def programs(line: str) -> tuple[str, ...]:
    """The words of a shell line that run programs, in its pipelines, substitutions and wrappers; each once."""
    if len(line) > MAX_LINE or "\0" in line:
        return ()
    return tuple(dict.fromkeys(_programs(line, 0)))


def _programs(line: str, depth: int) -> Iterator[str]:
    for command in parse(line.encode("utf-8", "surrogateescape")).commands:
        yield from _programs_of_argv(_words(command), depth)


def _words(command: Command) -> list[str]:
    return [word.literal if word.literal is not None else UNKNOWN_WORD for word in command.words]


def _programs_of_argv(words: Sequence[str], depth: int) -> Iterator[str]:
    """The program of an argument vector, and those in its arguments that it will run."""
    if not words or depth > MAX_NESTED or words[0] in ("", UNKNOWN_WORD):
        return
    name = posixpath.basename(words[0])
    # Names of built-ins are programs too, for whoever runs them without a shell.
    yield words[0]
    if name in SHELLS:
        yield from _shell(words[1:], depth)
    elif name in WRAPPERS:
        yield from _programs_of_argv(unwrap(WRAPPERS[name], words[1:]), depth + 1)


def _shell(words: Sequence[str], depth: int) -> Iterator[str]:
    """The line of `sh -c LINE`."""
    for at, word in enumerate(words):
        if word.startswith("-") and not word.startswith("--") and "c" in word:
            for line in words[at + 1 : at + 2]:
                yield from _programs(line, depth + 1)
            return
        if not word.startswith("-"):
            return


def split(text: str) -> list[str]:
    """The words of a command line without operators; where quotation marks do not match, what stands between blanks."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def words_of(texts: Iterable[str]) -> Iterator[str]:
    """Some words; a command line among them gives its own."""
    for text in texts:
        yield from split(text) if " " in text else (text,)


def programs_of_argv(words: Sequence[str]) -> tuple[str, ...]:
    """The programs that an argument vector runs without a shell."""
    return tuple(dict.fromkeys(_programs_of_argv(words, 0)))
