"""What is done in the root file system of a container before it starts: each function has that root as its own.

So they may use names as the image has them, whose links lead nowhere else, and import nothing (`Namespace.within`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from msgspec import Struct

_MARKER = "/.dockerenv"
_MTAB = "/etc/mtab"
_MOST = 4 << 20
"""Bytes of a table of accounts that are read."""


class Seen(Struct, frozen=True):
    """A root file system made ready: its accounts, and the real paths of the directories asked for, in their order."""

    passwd: str
    group: str
    directories: tuple[str, ...]


def prepare(directories: Iterable[str], files: frozenset[str]) -> Seen:
    """Put in what engines put in, and make the directories (of `files`, files) that are missing."""
    with contextlib.suppress(OSError):
        os.close(os.open(_MARKER, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o755))
    _mtab()
    made = tuple(_made(path, path in files) for path in directories)
    return Seen(_text("/etc/passwd"), _text("/etc/group"), made)


def _mtab() -> None:
    """The table of mounts of today, whatever the image has."""
    with contextlib.suppress(OSError):
        if os.path.lexists(_MTAB) and not os.path.isdir(_MTAB):
            os.unlink(_MTAB)
        os.makedirs(os.path.dirname(_MTAB), exist_ok=True)
        os.symlink("/proc/mounts", _MTAB)


def _made(path: str, as_file: bool) -> str:
    """The real path of a directory, or a file, made where there is none."""
    real = os.path.realpath(path)
    if as_file and not os.path.lexists(real):
        os.makedirs(os.path.dirname(real), 0o755, exist_ok=True)
        os.close(os.open(real, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
    elif not as_file:
        os.makedirs(real, 0o755, exist_ok=True)
    return real


def _text(path: str) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(handle, _MOST).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(handle)
