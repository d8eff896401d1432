"""Glob patterns over absolute paths: `*` and `?` within a name, `**` across directories, `[...]` sets."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable

from debloat.core.errors import UsageError


@functools.lru_cache(maxsize=4096)
def glob_regex(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression: `**/` any directories, `**` anything, `*` and `?` within a name."""
    return re.compile(_glob_text(pattern), re.DOTALL)


def _glob_text(pattern: str) -> str:
    out, i = [], 0
    while i < len(pattern):
        char = pattern[i]
        if pattern.startswith("**/", i):
            out.append("(?:.*/)?")
            i += 3
            continue
        if pattern.startswith("**", i):
            out.append(".*")
            i += 2
            continue
        if char == "[" and (end := pattern.find("]", i + 2)) > 0:
            body = pattern[i + 1 : end].replace("\\", "\\\\")
            out.append("[" + ("^" + body[1:] if body[0] == "!" else body) + "]")
            i = end + 1
            continue
        out.append({"*": "[^/]*", "?": "[^/]"}.get(char) or re.escape(char))
        i += 1
    return "".join(out)


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A predicate: does a path match any of these globs? A pattern names the path itself or a directory above it."""
    match = _any_of(tuple(patterns)).fullmatch
    return lambda path: match(path) is not None


@functools.lru_cache(maxsize=4096)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all of them: the search among a hundred globs stays within the regular expression."""
    each = (f"{_glob_text(pattern.rstrip('/'))}(?:/.*)?" for pattern in patterns)
    return re.compile("|".join(each) if patterns else r"(?!)", re.DOTALL)


def absolute(pattern: str) -> str:
    """A pattern that begins with `/`; UsageError for any other."""
    if not pattern.startswith("/"):
        raise UsageError(f"the pattern {pattern!r} must be absolute", f"write /{pattern.lstrip('./')} or /**/{pattern}")
    return pattern
