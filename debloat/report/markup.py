"""What the pages are made of: the frame, which lets nothing in but its own style and script, and the parts in it.

Names come from an untrusted image, and are escaped by `escaped` before they are put into a page. As a second defence,
the Content-Security-Policy allows the page's style and script by their digests only, so that injected markup would
neither run nor load anything; that is why bars are SVG with attributes: style attributes would need `unsafe-inline`.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources

from debloat.core.text import name, printable


def page(title: str, parts: Iterable[str], style: str, script: str, data: str = "") -> str:
    """A page of the parts that are not empty; `data` is JSON that its script reads as text."""
    policy = (
        f"default-src 'none'; style-src '{digest(style)}'; script-src '{digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{escaped(title)}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body><main>",
            *filter(None, parts),
            "</main>",
            *((f'<script type="application/json" id="data">{data}</script>',) if data else ()),
            f"<script>{script}</script>",
            "</body></html>",
            "",
        )
    )


@cache
def part(file: str) -> str:
    """Style or script, which stand in files of their own beside this module."""
    return "\n" + resources.files(__package__).joinpath(file).read_text("utf-8")


def digest(text: str) -> str:
    """A source expression of Content Security Policy Level 3 for an inline element of this text."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def escaped(text: str) -> str:
    """A name or a line, escaped: one line without control characters, lone surrogates and markup."""
    return html.escape(name(text))


def lines_of(text: str) -> str:
    """Text of several lines, escaped."""
    return html.escape(printable(text))


def path_of(path: str) -> str:
    return f'<span class="path">{escaped(path)}</span>'


def section(title: str, about: str, *body: str) -> str:
    return "\n".join((f"<section>\n<h2>{title}</h2>", f'<p class="about">{about}</p>', *body, "</section>"))


def table(heads: Sequence[str], rows: Iterable[str], attributes: str = "") -> str:
    """A table; a head that begins with `#` is one of figures."""
    cells = "".join(
        f'<th scope="col"{" class=n" if head.startswith("#") else ""}>{head.removeprefix("#")}</th>' for head in heads
    )
    return "\n".join(
        (
            f'<div class="scroll"><table{attributes}>',
            f"<thead><tr>{cells}</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody></table></div>",
        )
    )


def figure(value: int | float, text: str) -> str:
    return f'<td class="n" data-v="{value}">{text}</td>'


def bar(part: float, whole: float, start: float = 0.0) -> str:
    """A bar of `part` out of `whole`, hidden from screen readers: the figures stand beside it."""
    scale = 1000 / whole if whole > 0 else 0
    width = max(part * scale, 4 if part else 0)
    left = min(start * scale, 1000 - width)
    return (
        '<svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="rail" width="1000" height="10"/>'
        f'<rect class="fill" x="{max(left, 0):.1f}" width="{min(width, 1000):.1f}" height="10"/></svg>'
    )
