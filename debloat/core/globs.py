"""Glob patterns over absolute paths: `*` and `?` within a name, `**` across directories, `[...]` sets."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable

from debloat.core.errors import UsageError

_WILD = re.compile(r"[*?\[]")


@functools.lru_cache(maxsize=4096)
def glob_regex(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression: `**/` any directories, `**` anything, `*` and `?` within a name."""
    return re.compile(glob_text(pattern), re.DOTALL)


def glob_text(pattern: str) -> str:
    """A glob as the text of a regular expression."""
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


@functools.lru_cache(maxsize=4096)
def _matcher(patterns: tuple[str, ...]) -> Matcher:
    return Matcher(patterns)


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A predicate: does a path match any of these globs? A pattern names the path itself or a directory above it."""
    return _matcher(tuple(patterns)).matches


class Matcher:
    """Many globs at once, by the directory that each names literally: most say nothing of most paths.

    Only what a path reaches is ever compiled: of the thousand globs that the knowledge of Debian holds, an image
    reaches a tenth, and compiling all would take longer than matching.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._literal = set[str]()
        self._wild: dict[str | None, list[str]] = {}
        """By the literal directory they begin with; None where there is none, not even the root."""
        self._compiled: dict[str | None, Callable[[str], object]] = {}
        for pattern in patterns:
            pattern = pattern.rstrip("/")
            wild = _WILD.search(pattern)
            if wild is None:
                self._literal.add(pattern)
            else:
                directory, slash, _ = pattern[: wild.start()].rpartition("/")
                self._wild.setdefault(directory if slash else None, []).append(pattern)

    def matches(self, path: str) -> bool:
        """Whether a glob names the path, or a directory above it."""
        literal, wild = self._literal, self._wild
        if None in wild and self._match(None, path):
            return True
        at = path.find("/")
        while at >= 0:
            above = path[:at]
            if above in literal or (above in wild and self._match(above, path)):
                return True
            at = path.find("/", at + 1)
        return path in literal

    def _match(self, directory: str | None, path: str) -> bool:
        match = self._compiled.get(directory)
        if match is None:
            each = "|".join(f"{glob_text(pattern)}(?:/.*)?" for pattern in self._wild[directory])
            match = self._compiled[directory] = re.compile(each, re.DOTALL).fullmatch
        return match(path) is not None


def absolute(pattern: str) -> str:
    """A pattern that begins with `/`; UsageError for any other."""
    if not pattern.startswith("/"):
        raise UsageError(f"the pattern {pattern!r} must be absolute", f"write /{pattern.lstrip('./')} or /**/{pattern}")
    return pattern
