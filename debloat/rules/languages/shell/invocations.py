"""The commands of a script as argument vectors, those that wrappers and further shells run included."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable, Iterator

from debloat.core.model import ImageConfig
from debloat.rules.languages.shell.evaluate import LINE_TAKERS, LOOKUPS, PROGRAM_OPTIONS, SHELLS, UNKNOWN, Evaluator
from debloat.rules.languages.shell.source import Word, parse
from debloat.rules.languages.shell.wrappers import WRAPPERS, unwrap

MAX_NESTED = 4
"""Shells within shells, and wrappers around wrappers, that are looked into."""

MAX_VALUES = 128
"""Values of a word: a loop over a list of packages gives its variable as many."""

MAX_WORDS = 4096
MAX_VECTORS = 4096
"""Words of a vector, vectors of a script: no build has as many."""

Vector = tuple[str, ...]


def invocations(script: str, variables: Iterable[tuple[str, str]] = ()) -> Iterator[Vector]:
    """Argument vectors of a script's commands, in source order, every branch; none is empty.

    A word stands there by all its values, split as a shell splits what is not quoted; a part that cannot be told is
    `UNKNOWN`. What a wrapper (`sudo`, `xargs`), `sh -c`, `eval` or a shell with a here-document runs follows it, and of
    itself only the name is left; `xargs` adds the words of its here-document.
    """
    config = ImageConfig({"Env": [f"{name}={value}" for name, value in variables]})
    yield from itertools.islice(_script(script, config, None, 0), MAX_VECTORS)


def _script(text: str, config: ImageConfig, outer: Evaluator | None, depth: int) -> Iterator[Vector]:
    """Argument vectors of the commands of a script; `outer` evaluates the script that this one stands in."""
    if depth > MAX_NESTED:
        return
    # What cannot be told must not become a word of its own when it is parsed again.
    script = parse(text.replace(UNKNOWN, "$_").encode("utf-8", "surrogateescape"))
    evaluator = Evaluator(script, config, outer=outer, most=MAX_VALUES)
    for command in script.commands:
        values = (value for word in command.words[1:] for value in _split(word, evaluator))
        rest = tuple(itertools.islice(values, MAX_WORDS))
        for head in evaluator.values(command.words[0]):
            vector = (*(head.split() if command.words[0].literal is None else (head,)), *rest)
            for argv, line in _unwrapped(vector, command.stdin, 0):
                if argv:
                    yield argv
                if line:
                    yield from _script(line, config, evaluator, depth + 1)


def _split(word: Word, evaluator: Evaluator) -> Iterator[str]:
    for value in evaluator.values(word):
        if word.quoted or word.literal is not None:
            yield value
        else:
            yield from value.split()


def _unwrapped(vector: Vector, stdin: str, depth: int) -> Iterator[tuple[Vector, str]]:
    """A vector and those within it, each with the line that it hands to a shell."""
    if not vector or not vector[0] or depth > MAX_NESTED:
        return
    name, args = posixpath.basename(vector[0]), vector[1:]
    line = _line(name, args)
    if name in SHELLS and not line:
        line = stdin
    wraps = name in WRAPPERS and name not in LOOKUPS
    yield vector[:1] if wraps or line else vector, line
    for option in PROGRAM_OPTIONS.get(name, ()):
        if option in args:
            yield from _unwrapped(args[args.index(option) + 1 :], "", depth + 1)
    if wraps:
        inner = tuple(unwrap(WRAPPERS[name], args))
        if name == "xargs":
            inner = (*inner, *stdin.split())
        yield from _unwrapped(inner, stdin, depth + 1)


def _line(name: str, args: Vector) -> str:
    """The command line in the arguments of a program that hands one to a shell; "" where there is none."""
    if name in SHELLS:
        for number, arg in enumerate(args):
            if not arg.startswith("-"):
                break
            if not arg.startswith("--") and "c" in arg:
                return next((a for a in args[number + 1 :] if not a.startswith("-")), "")
        return ""
    if name == "eval":
        return " ".join(args)
    option = LINE_TAKERS.get(name)
    if option:
        return args[args.index(option) + 1] if option in args[:-1] else ""
    return args[0] if option == "" and args and not args[0].startswith("-") else ""
