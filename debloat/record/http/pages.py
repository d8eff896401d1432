"""What a page leads to: its links, and the hidden fields of its forms (HTML Living Standard, 4.6 and 4.10)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

from msgspec import Struct

MAX_HTML = 1 << 20
"""Characters of a page that are read for links."""
MAX_LINKS = 2000
"""Links of a page that are looked at."""
MAX_LINK = 2000
"""Characters of a link that is followed."""
MAX_DEPTH = 8
"""Links between the start and a page."""

_ORIGIN = "http://a.invalid"
"""Stands for the origin of the page in links: its real one has a port that changes from run to run."""
_LINKS = {
    **dict.fromkeys(("a", "area", "link"), ("href",)),
    **dict.fromkeys(("script", "iframe", "frame", "embed", "track", "source", "audio", "input"), ("src",)),
    "img": ("src",),
    "video": ("src", "poster"),
    "object": ("data",),
}
_ENDS_A_SESSION = re.compile(r"\b(?:log|sign)[-_]?(?:out|off)\b", re.IGNORECASE)


class Page(Struct, frozen=True):
    """The links of a page to its own origin, as paths in the order in which they stand, and its forms: the hidden
    fields by the path that the form is sent to."""

    links: tuple[str, ...] = ()
    forms: Mapping[str, Mapping[str, str]] = {}


def page(path: str, html: str, origins: Iterable[str] = ()) -> Page:
    """What the page at `path` leads to. `origins` are those (`http://127.0.0.1:4711`) that are its own."""
    reader = _Reader(path, tuple(origins))
    try:
        reader.feed(html[:MAX_HTML])
        reader.close()
    except AssertionError:
        pass  # of html.parser, on markup that it gives up on; what came before counts
    return Page(tuple(dict.fromkeys(reader.links)), reader.forms)


def local_path(base: str, link: str, origins: Iterable[str] = ()) -> str:
    """The path and query that a link on the page at `base` leads to; empty where it leads to another origin."""
    if len(link) > MAX_LINK:
        return ""
    for origin in origins:
        if link == origin or link.startswith((f"{origin}/", f"{origin}?", f"{origin}#")):
            link = _ORIGIN + link[len(origin) :]
    try:
        url = urlsplit(urldefrag(urljoin(_ORIGIN + base, link.strip())).url)
    except ValueError:
        return ""
    if f"{url.scheme}://{url.netloc}" != _ORIGIN:
        return ""
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return "" if re.search(r"[\x00-\x20\x7f]", path) else path


class Walk:
    """A walk over pages, the nearest first: each path once, at most `pages` of them, none that ends a session."""

    def __init__(self, start: Iterable[str], pages: int) -> None:
        self._queue = deque((path, 0) for path in dict.fromkeys(start))
        self._known = {path for path, _ in self._queue}
        self._left = pages
        self._depth = 0

    def next(self) -> str:
        """The path of the next page; empty where there is none."""
        if not self._queue or not self._left:
            return ""
        self._left -= 1
        path, self._depth = self._queue.popleft()
        return path

    def found(self, links: Iterable[str]) -> None:
        """Take in the links of the page that `next` named last."""
        if self._depth >= MAX_DEPTH:
            return
        for link in links:
            if link not in self._known and not _ENDS_A_SESSION.search(link):
                self._known.add(link)
                self._queue.append((link, self._depth + 1))


class _Reader(HTMLParser):
    def __init__(self, path: str, origins: tuple[str, ...]) -> None:
        super().__init__()
        self._path, self._base, self._origins = path, path, origins
        self.links: list[str] = []
        self.forms: dict[str, dict[str, str]] = {}
        self._form: dict[str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in reversed(attrs)}
        if tag == "base" and "href" in values:
            self._base = local_path(self._path, values["href"], self._origins) or self._base
        elif tag == "form":
            action = values.get("action", "")
            target = local_path(self._base, action, self._origins) if action else self._path
            self._form = self.forms.setdefault(target, {}) if target else None
        elif tag == "input" and values.get("type", "").lower() == "hidden" and values.get("name"):
            if self._form is not None:
                self._form.setdefault(values["name"], values.get("value", ""))
        else:
            for name in _LINKS.get(tag, ()):
                self._add(values.get(name, ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None

    def _add(self, link: str) -> None:
        if link and len(self.links) < MAX_LINKS and (path := local_path(self._base, link, self._origins)):
            self.links.append(path)
