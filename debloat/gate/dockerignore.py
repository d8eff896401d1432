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
MAX_PATTERN_CHARS = 1024
"""A longer pattern is ignored: it matches no path that anybody has."""
MAX_VARIANTS = 16
"""Patterns that one with `**` inside a name is replaced by, at most."""

_STARS = re.compile(r"\*\*+/?")


class Dockerignore:
    """The paths that a .dockerignore excludes from a build context. `excepts`: some pattern re-includes paths (`!`)."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.lstrip("\ufeff").splitlines() if not line.startswith("#")]
        patterns = [line for line in lines if line.strip("! ") and len(line) <= MAX_PATTERN_CHARS][:MAX_PATTERNS]
        self.excepts = any(pattern.startswith("!") for pattern in patterns)
        self._spec = _spec(patterns) if patterns else None

    def __call__(self, path: str) -> bool:
        """Whether a path, relative to the context and with slashes, is excluded."""
        return self._spec is not None and self._spec.match_file(path)


def _spec(patterns: list[str]) -> PathSpec[Pattern]:
    from pathspec import PathSpec

    return PathSpec(compiled for pattern in patterns for compiled in _compiled(pattern))


def _compiled(pattern: str) -> Iterator[Pattern]:
    """The gitignore patterns that together mean the same; none for a pattern that builders reject."""
    from pathspec.patterns.gitignore.basic import GitIgnoreBasicPattern

    mark = "!" if pattern.startswith("!") else ""
    path = posixpath.normpath(pattern[len(mark) :].strip()).lstrip("/")
    for variant in _variants(path):
        # What lies below a directory is excluded with it, also where the last name is a star.
        for line in (f"{mark}/{variant}", f"{mark}/{variant}/**"):
            with contextlib.suppress(ValueError, re.error):  # the latter for a range such as [z-a]
                yield GitIgnoreBasicPattern(line)


def _variants(pattern: str) -> list[str]:
    """The patterns, with `**` as whole names only, that together mean `pattern`.

    In gitignore `**` is special only between slashes. To builders `a**b` matches `ab`, `axb` and `ax/y/b`.
    """
    first, *others = _STARS.split(pattern)
    variants = [first]
    for number, part in enumerate(others, 1):
        last = number == len(others) and not part
        extended = list[str]()
        for prefix in variants:
            if not prefix or prefix.endswith("/"):
                extended.append(f"{prefix}**" if last else f"{prefix}**/{part}")
            else:
                extended += [f"{prefix}*"] if last else [f"{prefix}{part}", f"{prefix}*/**/{part}"]
        variants = extended[:MAX_VARIANTS]
    return variants
