r"""The words of an execline script.

Blanks separate, double quotes group, `\` takes the next character as it is, `#` at the beginning of a word starts a
comment, and `{` and `}` as words of their own enclose a block (skarnet.org/software/execline/execlineb.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(r"[ \t\r\n]+|#[^\n]*|((?:\\.|\"(?:\\.|[^\"\\])*\"?|[^\s\\\"])+|\\)", re.DOTALL)
_PART = re.compile(r"\\(.)|\"((?:\\.|[^\"\\])*)\"?", re.DOTALL)


def words(text: str) -> Iterator[tuple[int, str]]:
    """The words of a script with their lines, braces and the `#!` line left out."""
    line, at = 1, 0
    while match := _TOKEN.match(text, at):
        if match[1] and match[1] not in ("{", "}"):
            yield line, _PART.sub(_plain, match[1])
        line += match[0].count("\n")
        at = match.end()


def _plain(part: re.Match[str]) -> str:
    return part[1] if part[1] is not None else re.sub(r"\\(.)", r"\1", part[2], flags=re.DOTALL)
