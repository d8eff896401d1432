"""The simple commands of a script by its tokens alone, for scripts that the grammar does not get through; braces.

What a shell takes and tree-sitter's grammar does not (`cat <<A; tool`, `f() for ...`) leaves the rest of the script
unread or misread. Quotes, substitutions, comments and here-documents are told apart here, the nesting of compound
commands is not; each piece is then read by the grammar by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MAX_SCRIPT = 256 << 10
"""Larger scripts are read by the grammar alone."""

_LEADING = re.compile(r"(?:(?:if|then|elif|else|do|while|until|time|!|\{|\})(?=\s|$)\s*)+")
_DROPPED = re.compile(r"(?:for|select|case|function|in|done|fi|esac|;)(?=\s|$)")
_HEREDOC = re.compile(r"<<(-?)[ \t]*(?:'([^'\n]+)'|\"([^\"\n]+)\"|\\?([\w.-]+))")
_QUOTED = re.compile(
    r"'[^']*'|\"(?:\\.|\$\((?:[^()]|\([^()]*\))*+\)|[^\"\\])*+\"|`(?:\\.|[^`\\])*`|\\.|\$\{[^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*\}",
    re.DOTALL,
)
"""What stands in quotes. A substitution between them is never read as letters after all: of a quote that nothing closes
there would be twice as many readings with each."""
_REDIRECTS = re.compile(r"[<>]&|.?&>", re.DOTALL)
_EMPTY = re.compile(r"[ \t]*\)")
_PLAIN = re.compile(r"[^'\"`\\$#<>;&|()\n]+")


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """The simple commands of a script, as texts without their here-documents, each with its line."""
    start, at, line, depth, nested = 0, 0, 1, 0, 0
    heredocs: list[tuple[str, bool]] = []
    length = len(text)
    while at < length:
        if (match := _PLAIN.match(text, at)) or (match := _QUOTED.match(text, at)):
            at = match.end()
            continue
        char = text[at]
        if char == "#" and (at == 0 or text[at - 1] in " \t\n;&|("):
            yield from _piece(text, start, at, line)
            end = text.find("\n", at)
            at = length if end < 0 else end
            line += text.count("\n", start, at)
            start = at
        elif match := _HEREDOC.match(text, at):
            heredocs.append((match[2] or match[3] or match[4], match[1] == "-"))
            at = match.end()
        elif char == "(" and (nested or (at and text[at - 1] in "$<>")):
            nested, at = nested + 1, at + 1
        elif char == ")" and nested:
            nested, at = nested - 1, at + 1
        elif nested or char not in ";&|()\n" or (char == "&" and _REDIRECTS.match(text, max(0, at - 1))):
            at += 1
        else:
            function = char == "(" and _EMPTY.match(text, at + 1) is not None
            pattern = char == ")" and not depth
            if not function and not pattern:
                yield from _piece(text, start, at, line)
            depth = max(0, depth + (char == "(") - (char == ")"))
            at += 1
            if char == "\n" and heredocs:
                at = _skip(text, at, heredocs)
                heredocs = []
            line += text.count("\n", start, at)
            start = at
    yield from _piece(text, start, length, line)


def _piece(text: str, start: int, end: int, line: int) -> Iterator[tuple[int, str]]:
    piece = text[start:end]
    line += piece[: len(piece) - len(piece.lstrip())].count("\n")
    piece = _LEADING.sub("", piece.strip(), count=1) if _LEADING.match(piece.strip()) else piece.strip()
    if piece and not _DROPPED.match(piece):
        yield line, _HEREDOC.sub(" ", piece)


def _skip(text: str, at: int, heredocs: list[tuple[str, bool]]) -> int:
    """Where the bodies of here-documents end that begin at a place."""
    for mark, tabs in heredocs:
        end = ("\\t*" if tabs else "") + re.escape(mark)
        end_mark = re.compile(f"^{end}$", re.MULTILINE).search(text, at)
        if end_mark is None:
            return len(text)
        at = min(end_mark.end() + 1, len(text))
    return at


MAX_BRACES = 64
"""Words that brace expansion makes of one."""
_BRACES = re.compile(r"(?<![$\\])\{([^{},\s]*(?:,[^{},\s]*)+)\}")
"""Innermost braces with a list in them."""


def braces(text: str) -> list[str]:
    """What brace expansion makes of a word: `{/usr,}/lib` is `/usr/lib` and `/lib` (bash(1)); at most some."""
    done, todo = list[str](), [text]
    while todo and len(done) + len(todo) <= MAX_BRACES:
        text = todo.pop(0)
        match = _BRACES.search(text)
        if match is None:
            done.append(text)
        else:
            todo[:0] = [text[: match.start()] + part + text[match.end() :] for part in match[1].split(",")]
    return [*done, *todo]
