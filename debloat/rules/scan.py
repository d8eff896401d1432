"""Searching whole files for any of several texts.

`re` looks for an expression that begins with a literal as fast as memory is read, but tries one that begins with `\\b`
or with alternatives at every byte, some hundred times slower. So each text is looked for by itself, and what must not
stand before it is checked where it was found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

WORD_BYTES = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")


class Texts:
    """Texts to look for in sources: words, no part of a longer one, and fragments, which may stand anywhere.

    `words` and `fragments` are literals, or pairs of a literal and a regular expression of what has to follow it.
    """

    def __init__(
        self, words: Iterable[bytes | tuple[bytes, bytes]], fragments: Iterable[bytes | tuple[bytes, bytes]] = ()
    ) -> None:
        self._plain = tuple(text for text in fragments if isinstance(text, bytes))
        pairs = [(*_pair(text, rb"\b"), True) for text in words]
        pairs += [(*text, False) for text in fragments if isinstance(text, tuple)]
        self._patterns = tuple((text, re.compile(re.escape(text) + rest), whole) for text, rest, whole in pairs)

    def stand_in(self, data: bytes) -> bool:
        """Whether any of the texts stands there."""
        return any(text in data for text in self._plain) or next(self._matches(data), None) is not None

    def groups(self, data: bytes) -> Iterator[bytes]:
        """The first group of what follows each of the texts; of fragments without an expression nothing."""
        return (match[1] for match in self._matches(data))

    def _matches(self, data: bytes) -> Iterator[re.Match[bytes]]:
        for text, pattern, whole in self._patterns:
            if text in data:
                for match in pattern.finditer(data):
                    start = match.start()
                    if not (whole and start and data[start - 1] in WORD_BYTES):
                        yield match


def _pair(text: bytes | tuple[bytes, bytes], rest: bytes) -> tuple[bytes, bytes]:
    return text if isinstance(text, tuple) else (text, rest)
