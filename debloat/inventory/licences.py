"""Licences as packages state them: Debian's copyright files, and the fields of other packages' metadata.

Sources: the machine-readable format of copyright files (DEP 5, version 1.0) and Debian policy 12.5, for whose other
files only the texts in `/usr/share/common-licenses` that they point at are taken; SPDX's list, annex D of its
specification.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator

from debloat.inventory.model import Licence

MAX_COPYRIGHT = 1 << 20
"""Bytes read of a copyright file; the largest real ones have about half of it."""
MAX_NAME = 200

_DEP5 = re.compile(r"\s*Format(?:-Specification)?:", re.IGNORECASE)
_FIELD = re.compile(r"^License:[ \t]*(\S[^\n]*)$", re.MULTILINE | re.IGNORECASE)
_COMMON = re.compile(r"/usr/share/common-licenses/([A-Za-z][A-Za-z0-9.+-]*)")
_SPLIT = re.compile(r",?\s+(and|or)\s+", re.IGNORECASE)
_GNU = re.compile(r"(A?GPL|LGPL|GFDL)-(\d+(?:\.\d+)?)(\+?)")

_OTHERWISE = {
    "Expat": "MIT",
    "MIT/Expat": "MIT",
    "BSD-2-clause": "BSD-2-Clause",
    "BSD-3-clause": "BSD-3-Clause",
    "BSD-4-clause": "BSD-4-Clause",
    "Artistic": "Artistic-1.0-Perl",
    "ZLIB": "Zlib",
    "zlib": "Zlib",
    "PSF-2": "PSF-2.0",
    "Python": "Python-2.0",
    "CC0": "CC0-1.0",
}
"""Short names that DEP 5 defines and SPDX has under another name."""


def of_copyright(text: str) -> tuple[Licence, ...]:
    """The licences that a copyright file names, sorted, each once."""
    if _DEP5.match(text):
        return _sorted(debian(found.strip()) for found in _FIELD.findall(text))
    return _sorted(Licence(found.rstrip(".")) for found in _COMMON.findall(text))


def debian(stated: str) -> Licence:
    """A licence by the short names of DEP 5, which joins them by `and` and `or`."""
    parts = _SPLIT.split(stated)
    names = [_debian_name(part) for part in parts[::2]]
    if not all(names):
        return Licence(stated[:MAX_NAME])
    joined = "".join(
        name + (f" {parts[2 * i + 1].upper()} " if i < len(names) - 1 else "") for i, name in enumerate(names)
    )
    return Licence(stated[:MAX_NAME], expression(joined))


def _debian_name(name: str) -> str:
    """The SPDX name of one short name, or nothing."""
    gnu = _GNU.fullmatch(name)
    if gnu is None:
        return known(_OTHERWISE.get(name, name))
    version = gnu[2] if "." in gnu[2] else f"{gnu[2]}.0"
    return known(f"{gnu[1]}-{version}-{'or-later' if gnu[3] else 'only'}")


def stated(texts: Iterable[object]) -> tuple[Licence, ...]:
    """Licences of other metadata, in its words (`with_expressions` says what they are in SPDX's): those of one line."""
    return _sorted(
        Licence(text)
        for value in texts
        if isinstance(value, str) and (text := value.strip()) and "\n" not in text and len(text) <= MAX_NAME
    )


def with_expressions(found: Iterable[Licence]) -> tuple[Licence, ...]:
    """Licences as metadata of a language state them, with SPDX expressions where they are some."""
    return tuple(Licence(licence.stated, expression(licence.stated)) for licence in found)


def _sorted(found: Iterable[Licence]) -> tuple[Licence, ...]:
    return tuple(sorted(set(found), key=lambda licence: licence.stated))


@functools.cache
def _names() -> dict[str, str]:
    """SPDX's names by their small letters; deprecated ones and exceptions are left out."""
    from license_expression import get_license_index

    rows = (row for row in get_license_index() if not (row.get("is_deprecated") or row.get("is_exception")))
    ids = (row["spdx_license_key"] for row in rows)
    return {name.lower(): name for name in ids if name and not name.startswith("LicenseRef-")}


def known(name: str) -> str:
    """A name as SPDX's list has it, or nothing."""
    return _names().get(name.lower(), "")


@functools.cache
def expression(text: str) -> str:
    """An SPDX expression in its normal form, or nothing for what is none, or names a licence that is not on the list.
    An SPDX expression in its normal form, or nothing for what is none, or names a licence that is not on the list."""
    from license_expression import ExpressionError, get_spdx_licensing

    if plain := known(text):
        return plain
    if not re.search(r" (?:AND|OR|WITH) ", text):
        return ""
    try:
        parsed = get_spdx_licensing().parse(text, validate=True, strict=True)
    except (ExpressionError, AttributeError):
        return ""
    names = {str(key) for key in get_spdx_licensing().license_keys(parsed)}
    return str(parsed) if not any(name.startswith("LicenseRef-") for name in names) else ""


def classifiers(values: Iterable[str]) -> Iterator[str]:
    """The last words of the licence classifiers of PyPI (`License :: OSI Approved :: MIT License`)."""
    for value in values:
        parts = [part.strip() for part in value.split("::")]
        if parts[0] == "License" and len(parts) > 2:
            yield parts[-1]
