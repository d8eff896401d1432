"""What the layer history says of where the application was put: COPY, ADD and WORKDIR, by either builder.

The classic builder writes `/bin/sh -c #(nop) COPY dir:HASH in /app `, BuildKit `COPY --chown=1:1 . /app # buildkit`
(moby/moby builder/dockerfile/dispatchers.go, moby/buildkit frontend/dockerfile/dockerfile2llb/convert.go).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NOP = re.compile(r"/bin/sh -c #\(nop\)\s+|\|\d+ .{0,4096}?/bin/sh -c #\(nop\)\s+", re.DOTALL)
_INSTRUCTION = re.compile(r"(COPY|ADD|WORKDIR)\s+(\S.*)", re.DOTALL)
_HASH = re.compile(r"(?:dir|file|multi):[0-9a-f]{16,}")

_INSTALL = re.compile(r"\bapt(?:-get)?\s(?:[^;&|]*\s)?install\s([^;&|]*)")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?![^:=/])")
"""A package name (Debian policy 5.6.1), before an architecture, a version or a release."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A place that an instruction names: an absolute path without a trailing slash.

    `sources` are the names that were copied, as far as the history tells (the classic builder tells none);
    `inside` says that the text ends in a slash, so that the path is a directory.
    """

    instruction: str
    path: str
    sources: tuple[str, ...] = ()
    inside: bool = False

    def __str__(self) -> str:
        return f"{self.instruction} {self.path}"


def destinations(history: Sequence[str]) -> tuple[Destination, ...]:
    """The places that the history names, oldest first; the root directory, which says nothing, is left out."""
    return tuple(place for place in _read(history) if place.path != "/")


def installed_packages(history: Sequence[str]) -> frozenset[str]:
    """Bare names of the packages that RUN instructions hand to `apt-get install` or `apt install`."""
    found: set[str] = set()
    for text in history:
        for match in _INSTALL.finditer(text.removesuffix("# buildkit")):
            words = re.split(r"[\s\\]+", match[1])
            found.update(m[0] for word in words if (m := _PACKAGE.match(word)))
    return frozenset(found)


def commands(history: Sequence[str]) -> Iterator[str]:
    """The texts of RUN instructions, and of BuildKit those of CMD and the like, less the packages that they install."""
    for text in history:
        if not _NOP.match(text) and not _INSTRUCTION.match(text):
            yield _INSTALL.sub(" ", text)


def _read(history: Sequence[str]) -> Iterator[Destination]:
    workdir = "/"
    for text in history:
        nop = _NOP.match(text)
        match = _INSTRUCTION.match(text[nop.end() if nop else 0 :].removesuffix("# buildkit").strip())
        if match is None:
            continue
        instruction, rest = match[1], match[2].strip()
        *sources, target = [rest] if instruction == "WORKDIR" else _words(rest) or [""]
        if not target:
            continue
        path = posixpath.normpath(posixpath.join(workdir, target))
        path = "/" + path.lstrip("/")
        if instruction == "WORKDIR":
            workdir = path
        yield Destination(instruction, path, _names(sources), target.endswith(("/", "/.")) or instruction == "WORKDIR")


def _words(rest: str) -> list[str]:
    """Sources and target of a COPY or ADD; options are dropped, the JSON form is understood."""
    options = re.match(r"(?:--\S+\s+)*", rest)
    rest = rest[options.end() if options else 0 :]
    if _HASH.match(rest):
        return [rest.partition(" in ")[2].strip()]
    if rest.startswith("["):
        try:
            words = json.loads(rest)
        except (ValueError, RecursionError):
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return rest.split()


def _names(sources: Sequence[str]) -> tuple[str, ...]:
    names = (posixpath.basename(source.rstrip("/")) for source in sources)
    return tuple(sorted({name for name in names if name not in ("", ".", "..") and not set(name) & set("*?[")}))
