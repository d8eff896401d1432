"""Files of the project that documents show, as they are; `python -m tests.support.included` puts them in anew.

A document holds them between `<!-- FILE -->` and `<!-- end -->`, in a fenced block.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.snippets import ROOT, documents

_BLOCK = re.compile(r"<!-- (?P<file>fixtures/[\w./-]+) -->\n.*?<!-- end -->\n", re.DOTALL)
_LANGUAGES = {".toml": "toml", "Dockerfile": "dockerfile"}


def included(text: str) -> list[str]:
    """The files that a document shows."""
    return [match["file"] for match in _BLOCK.finditer(text)]


def without(text: str) -> str:
    """A document without the files that it shows."""
    return _BLOCK.sub("", text)


def replaced(text: str) -> str:
    """A document with the files that it shows as they are now."""

    def block(match: re.Match[str]) -> str:
        path = ROOT / match["file"]
        language = _LANGUAGES[path.suffix or path.name]
        return f"<!-- {match['file']} -->\n```{language}\n{path.read_text().rstrip()}\n```\n<!-- end -->\n"

    return _BLOCK.sub(block, text)


def showing() -> list[Path]:
    """The documents that show files."""
    return [path for path in documents() if included(path.read_text())]


if __name__ == "__main__":
    for document in showing():
        document.write_text(replaced(document.read_text()))
