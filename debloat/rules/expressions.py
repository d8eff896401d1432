"""Texts and paths that an expression in source may give, as the readers of languages work them out.

A value is a text in which two characters that stand in no name have a meaning: `HERE` is the directory of the file
that the expression is in, `UNKNOWN` a part that cannot be told.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

UNKNOWN = "\0"
HERE = "\1"
FILE = f"{HERE}/\2"
"""The file that the expression is in: of its name, only the directory matters."""

MAX_VALUES = 64
"""Values of an expression that are followed."""

MAX_LENGTH = 4096
"""Characters of a value (PATH_MAX); what is longer cannot be told."""


def products(parts: Iterable[Sequence[str]], separator: str = "") -> list[str]:
    """Every text that the parts may make one after the other, at most `MAX_VALUES`."""
    texts: list[str] | None = None
    for values in parts:
        if texts is None:
            texts = list(values)[:MAX_VALUES]
        else:
            texts = [bounded(a + separator + b) for a in texts for b in values][:MAX_VALUES]
    return list(dict.fromkeys(texts or [""]))


def both(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """The texts of one, each followed by those of the other."""
    return products((left, right))


def either(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """The texts of one or of the other."""
    return list(dict.fromkeys((*left, *right)))


def below(left: Sequence[str], right: Sequence[str]) -> list[str]:
    """The paths of one seen from the directories of the other."""
    return [join(base, path) for base in left for path in right]


def bounded(value: str) -> str:
    """The value, or `UNKNOWN` where it is longer than `MAX_LENGTH`."""
    return value if len(value) <= MAX_LENGTH else UNKNOWN


def dirname(path: str, levels: int = 1) -> str:
    """The directory `levels` above a path: of `HERE`, the one above it."""
    for _ in range(min(levels, 64)):
        path = path.rstrip("/") or "/"
        has_name = path != HERE and posixpath.basename(path) not in ("..", ".")
        path = posixpath.dirname(path) or "." if has_name else f"{path}/.."
    return path


def join(base: str, path: str) -> str:
    """A path seen from a directory, as File.expand_path and File.join see it (`../x` from a file leaves its name)."""
    return path if path.startswith((HERE, "/")) else f"{base.rstrip('/')}/{path}"


def normal(value: str) -> tuple[bool, str]:
    """Whether a value is seen from the directory of its file, and the path that it is, without `.` and `..` within."""
    if not value.startswith(HERE):
        return False, value
    return True, posixpath.normpath(value[len(HERE) :].lstrip("/") or ".")
