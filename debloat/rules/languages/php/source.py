"""What PHP code and ini files say, read from their text alone: includes by names that can be told, and settings.

Code is read with tree-sitter's grammar where it has a word that includes something; any bytes give an answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from debloat.core.parsed import cached
from debloat.rules.expressions import UNKNOWN, normal
from debloat.rules.languages.php.values import Values

MAX_SOURCE = 4 << 20
"""Bytes of a file that are read; larger ones are data."""

MAX_NAME = 500
"""Characters of a name; what is longer names nothing."""

_SETTING = re.compile(r"^[ \t]*([\w.]+)[ \t]*=[ \t]*\"?([^\"\n;]*)", re.MULTILINE)
_STATEMENTS = (b"include", b"require")
_INCLUDE = re.compile(rb"(?:include|require)(?:_once)?(?=[\s(\"'$\\@_[]|//|/\*)")
_COMMENTS = (b"//", b"#", b"*", b"/*")
_INCLUDES = frozenset(
    ("include_expression", "include_once_expression", "require_expression", "require_once_expression")
)

Include = tuple[int, bool, str]
"""A line, whether the name is relative to the file's own directory, the name."""


def includes(source: bytes) -> tuple[Include, ...]:
    """What a PHP file includes by names that can be told."""
    return _parsed(source) if _includes(source) else ()


def _includes(source: bytes) -> bool:
    """Whether there is a statement that a parse could find; to look for words first is three times as fast."""
    lowered = source.lower()
    for word in _STATEMENTS:
        for place in _places(lowered, word):
            before = lowered[place - 1 : place]
            plain = not before or not (before.isalnum() or before in b"_$>:")
            if plain and _INCLUDE.match(lowered, place) and not _commented(source, place):
                return True
    return False


@cached(
    lambda included: [list(include) for include in included],
    lambda plain: tuple((int(line), bool(beside), str(name)) for line, beside, name in plain),
)
def _parsed(source: bytes) -> tuple[Include, ...]:
    values, included = Values(source), dict[Include, None]()
    for statement in values.nodes(_INCLUDES):
        for value in values.of(statement.named_children[0]) if statement.named_children else ():
            beside, path = normal(value)
            if UNKNOWN not in path and 0 < len(path) <= MAX_NAME:
                included[statement.start_point.row + 1, beside, path] = None
    return tuple(included)


def _places(text: bytes, word: bytes) -> Iterator[int]:
    place = text.find(word)
    while place >= 0:
        yield place
        place = text.find(word, place + len(word))


def _commented(source: bytes, place: int) -> bool:
    line = source[source.rfind(b"\n", 0, place) + 1 : place].lstrip()
    return line.startswith(_COMMENTS)


def settings(source: bytes) -> tuple[tuple[str, str], ...]:
    """Keys and values of an ini file, in its order, those without a value left out (php.ini(5))."""
    text = source.decode("utf-8", "surrogateescape")
    return tuple((m[1], m[2].strip()) for m in _SETTING.finditer(text) if m[2].strip())
