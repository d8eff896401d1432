"""A .dockerignore as the builders read it (Dockerfile reference, "Syntax" of .dockerignore), matched by `pathspec`.

Its patterns look like those of git and mean something else: each begins at the root of the context, and the last one
that matches a path or a directory above it decides, even below a directory that is left out.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import PathSpec
    from pathspec.pattern import Pattern

MAX_PATTERNS = 10_000
MAX_PATTERN = 1024
"""Characters of a pattern; what is longer matches no path that anybody has."""
MAX_SPREAD = 16
"""Patterns that one with `**` within names stands for."""

_STARS = re.compile(r"\*\*+/?")


class Dockerignore:
    """Which paths of a build context are left out; `excepts` says that a pattern brings some back."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.lstrip("\ufeff").splitlines() if not line.startswith("#")]
        patterns = [line for line in lines if line.strip("! ") and len(line) <= MAX_PATTERN][:MAX_PATTERNS]
        self.excepts = any(pattern.startswith("!") for pattern in patterns)
        self._spec = _spec(patterns) if patterns else None

    def __call__(self, path: str) -> bool:
        """Whether a path, relative to the context and with slashes, is left out."""
        return self._spec is not None and self._spec.match_file(path)


def _spec(patterns: list[str]) -> PathSpec[Pattern]:
    from pathspec import PathSpec

    return PathSpec(compiled for pattern in patterns for compiled in _compiled(pattern))


def _compiled(pattern: str) -> Iterator[Pattern]:
    """Patterns of git's that together mean the same; none for one that builders refuse."""
    from pathspec.patterns.gitignore.basic import GitIgnoreBasicPattern

    mark = "!" if pattern.startswith("!") else ""
    path = posixpath.normpath(pattern[len(mark) :].strip()).lstrip("/")
    for spread in _spread(path):
        # What lies below goes with it, also where the last name is a star.
        for line in (f"{mark}/{spread}", f"{mark}/{spread}/**"):
            with contextlib.suppress(ValueError):
                yield GitIgnoreBasicPattern(line)


def _spread(pattern: str) -> list[str]:
    """A pattern in which `**` stands for whole names, as git wants it.

    To builders `a**b` is `a`, then nothing or anything up to a slash, then `b`.
    """
    first, *others = _STARS.split(pattern)
    found = [first]
    for number, part in enumerate(others, 1):
        last = number == len(others) and not part
        grown = list[str]()
        for before in found:
            if not before or before.endswith("/"):
                grown.append(f"{before}**" if last else f"{before}**/{part}")
            else:
                grown += [f"{before}*"] if last else [f"{before}{part}", f"{before}*/**/{part}"]
        found = grown[:MAX_SPREAD]
    return found
