"""Names of Python distributions, and what requirements say (PEP 503, PEP 508), read with `packaging`.

It is loaded where it is used: it brings what starts programs, which rules do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

MAX_LINE = 4096
"""Characters of a requirement that are read."""

_COMMENT = re.compile(r"(?:^|\s)#.*")
_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,200})(?:[\[(<>=!~;,\s]|$)")
"""How a requirement begins; older metadata and pip's files have more behind it than PEP 508 (`foo (>=1.0.*)`, `\\`)."""
_EXTRA = re.compile(r"\bextra\b")
_EGG = re.compile(r"[#&]egg=([A-Za-z0-9][A-Za-z0-9._-]{0,200})")
_ARCHIVE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*?)-\d[^-]*\.(?:tar\.(?:gz|bz2|xz)|tgz|zip)")
_ARCHIVES = (".whl", ".zip", ".gz", ".bz2", ".xz", ".tgz")


def normalised(name: str) -> str:
    """The name as PEP 503 writes it: `Flask_Cors` is `flask-cors`."""
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(name))


def requirements(lines: Iterable[str]) -> Iterator[str]:
    """The normalised names in requirement lines; options, comments and what extras need are none.

    Markers of platform or version are not evaluated: what one of them asks for may be wanted.
    """
    for line in lines:
        name, marker = _read(line)
        if name and not _EXTRA.search(marker):
            yield name


def requested(argument: str) -> str:
    """The normalised name of what an argument of `pip install` asks for; "" where it tells none (a directory, a URL).

    It may be a requirement, a wheel or a source archive by path or URL, a repository with `#egg=NAME`.
    """
    return _read(argument)[0]


def _read(line: str) -> tuple[str, str]:
    """Normalised name and marker of what a line asks for; "" for what it has not."""
    from packaging.requirements import InvalidRequirement, Requirement

    text = _COMMENT.sub("", line[:MAX_LINE]).strip()
    if (egg := _EGG.search(text)) is not None and "://" in text.partition("#")[0]:
        return normalised(egg[1]), text.partition(";")[2]
    file = text.partition("#")[0].partition("?")[0]
    if file.endswith(_ARCHIVES) and "@" not in file.partition("://")[0]:
        return _of_archive(file.rpartition("/")[2]), ""
    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError):
        match = _NAME.match(text)
        return (normalised(match[1]), text.partition(";")[2]) if match else ("", "")
    return normalised(requirement.name), str(requirement.marker or "")


def _of_archive(name: str) -> str:
    """The normalised name in a wheel's or a source archive's (packaging.python.org: package formats)."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    if name.endswith(".whl"):
        try:
            return str(parse_wheel_filename(name)[0])
        except InvalidWheelFilename:
            return ""
    archive = _ARCHIVE.fullmatch(name)
    return normalised(archive[1]) if archive else ""
