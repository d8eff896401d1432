"""Whether a position of a source text is in a comment, without a parser: by how its line begins.

A search goes forward, and many of its matches may lie on one line, which in hostile or generated files is the whole
file. So the line that was looked at last is remembered, and a text of one line is read once, not once a match.
"""

from __future__ import annotations

import re

_BLANK = re.compile(r"\s*")


class Comments:
    """Answers for one text.

    A line is a comment from its first word on when that begins with one of `marks`, unless it begins with `but`; and
    from behind the first `inner`, where given, to its end.
    """

    def __init__(self, text: str, marks: tuple[str, ...], *, but: str = "", inner: str = "") -> None:
        self._text, self._marks, self._but, self._inner = text, marks, but, inner
        self._start, self._end, self._word, self._behind = 1, 0, 0, 0

    def hold(self, at: int) -> bool:
        """Whether what begins at `at` is commented out."""
        if not self._start <= at <= self._end:
            self._look(at)
        if self._behind <= at:
            return True
        text, word = self._text, self._word
        return text.startswith(self._marks, word, at) and not (self._but and text.startswith(self._but, word, at))

    def _look(self, at: int) -> None:
        """Remember the line that `at` is in; its end belongs to it."""
        text = self._text
        self._start = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        self._end = end if end >= 0 else len(text)
        blank = _BLANK.match(text, self._start, self._end)
        self._word = blank.end() if blank else self._start
        inner = text.find(self._inner, self._word, self._end) if self._inner else -1
        self._behind = inner + len(self._inner) if inner >= 0 else self._end + 1
