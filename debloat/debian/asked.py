"""Which installed packages somebody asked apt for, by its own records: the marks (apt-mark(8)) and the log."""

from __future__ import annotations

import re
from collections.abc import Mapping

from debloat.debian.packages import Package, Packages

MARKS = "/var/lib/apt/extended_states"
"""Where apt notes which packages came for the sake of others: the rest was asked for, or was there before apt."""

LOG = "/var/log/apt/history.log"
"""What apt did, a stanza a call; `Install` tells which packages came for the sake of others."""

LIMIT = 16 << 20
"""Bytes read of either; a record of a thousand packages has a tenth of one."""

BASE = frozenset({"required", "important"})
"""Priorities of what a Debian system has before anybody asks for anything (Debian policy 2.5)."""

_FIELD = re.compile(r"^(Package|Architecture|Auto-Installed):[ \t]*(\S+)[ \t]*$", re.MULTILINE)
_INSTALLED = re.compile(r"^Install: (.*)$", re.MULTILINE)
_ITEM = re.compile(r"(?<![^ ])([^\s:(),]+):([^\s(),]+) \(([^()]*)\)")

Names = frozenset[tuple[str, str]]
"""Packages by bare name and architecture; apt writes its own architecture for packages of every architecture."""


def automatic(marks: str) -> Names:
    """The packages that `extended_states` marks as installed for others."""
    stanzas = (dict(_FIELD.findall(stanza)) for stanza in re.split(r"\n[ \t]*\n", marks))
    return frozenset(
        (fields["Package"], fields.get("Architecture", ""))
        for fields in stanzas
        if fields.get("Auto-Installed") == "1" and "Package" in fields
    )


def logged(log: str) -> Names:
    """The packages that `history.log` says were installed for their own sake."""
    items = (item for line in _INSTALLED.findall(log) for item in _ITEM.findall(line))
    return frozenset((name, architecture) for name, architecture, how in items if not how.endswith(", automatic"))


def asked_for(packages: Packages, marks: str, log: str) -> frozenset[str]:
    """dpkg names of the installed packages that somebody asked for, by the texts of both records.

    By the marks, those that are neither automatic nor of the base; none where there are no marks, since without them
    all packages look alike.
    """
    known = {name: package for name in packages.names() if (package := packages.get(name)) is not None}
    marked = automatic(marks)
    found = _listed(known, logged(log))
    if marked:
        found |= known.keys() - _base(known, packages) - _listed(known, marked)
    return frozenset(found)


def _listed(packages: Mapping[str, Package], names: Names) -> set[str]:
    """dpkg names of the packages that are among `names`."""
    of_all = {(name, "all") for name, _ in names}
    return {name for name, p in packages.items() if (p.package, p.architecture) in names | of_all}


def _base(known: Mapping[str, Package], packages: Packages) -> frozenset[str]:
    """The packages of the base, and all that they depend on."""
    stack = [name for name, package in known.items() if package.essential or package.priority in BASE]
    found = set[str]()
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            depends = known[name].depends if name in known else ()
            stack += [p for alternatives in depends for bare in alternatives for p in packages.providers(bare)]
    return frozenset(found)
