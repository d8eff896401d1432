"""Lookups in a container from beside it: which of them failed there though the original has what was looked up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from msgspec.structs import replace

from debloat.core.model import Access, Op
from debloat.image.rootfs import Rootfs

ROOT = "/proc/1/root"
"""Where the files of a container are for one that shares its PID namespace (proc(5))."""

_BELOW = re.compile(r"/+proc/+1/+root(?=/|\Z)")
_MAKING = frozenset({Op.CREATE, Op.MKDIR, Op.MKNOD, Op.SYMLINK, Op.BIND})


def lookups(accesses: Iterable[Access]) -> Iterator[Access]:
    """What was looked up below `ROOT`, by the container's own paths. What makes a name looks for nothing."""
    for access in accesses:
        below = _BELOW.match(access.path)
        if below and access.op not in _MAKING and "x" not in access.flags:
            yield replace(access, path=access.path[below.end() :] or "/")


def in_vain(lookups: Iterable[Access], original: Rootfs, has: Callable[[str], bool]) -> tuple[str, ...]:
    """The real paths of the original for want of which lookups failed in a container that `has` others, sorted.

    Of a lookup, the first: what a link that is gone leads to follows from it. An absolute link is followed in the root
    of the process that looks, which is not the container's for most: there a lookup ends.
    """
    missing = set[str]()
    for access in lookups:
        found = original.resolve(access.path, follow=access.follows)
        if found.path is None:
            continue
        for path in (*found.links, found.path):
            entry = original.get(path)
            if entry is None or not has(path):
                missing.update((path,) if entry else ())
                break
            if entry.is_symlink and entry.target.startswith("/"):
                break
    return tuple(sorted(missing))
