"""Where an output goes: a file that it replaces, or a device, a pipe or a descriptor that it is written to."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

_DESCRIPTOR = re.compile(r"/dev/(stdin|stdout|stderr)|/(?:dev|proc/self)/fd/([0-9]{1,4})", re.ASCII)
_STANDARD = {"stdin": 0, "stdout": 1, "stderr": 2}
_MAX_LINKS = 40
"""Symbolic links that the kernel follows at most (path_resolution(7))."""


class Place(Struct, frozen=True):
    """A place: its path with links followed, the descriptor of this process that it is (else -1), and whether there is,
    or will be, a file that an output replaces."""

    path: Path
    descriptor: int = -1
    replaced: bool = True

    @property
    def takes_any_number(self) -> bool:
        """Whether outputs that are written to it are not in each other's way: a null device, a terminal."""
        try:
            mode = os.fstat(self.descriptor).st_mode if self.descriptor >= 0 else self.path.stat().st_mode
        except OSError:
            return False
        return stat.S_ISCHR(mode) and self.descriptor < 0

    def open(self) -> BinaryIO:
        """Open what is written to and not replaced."""
        return os.fdopen(os.dup(self.descriptor), "wb") if self.descriptor >= 0 else self.path.open("wb")


def place_of(path: Path) -> Place:
    """Where a path leads."""
    at = path.absolute()
    for _ in range(_MAX_LINKS):
        if match := _DESCRIPTOR.fullmatch(str(at)):
            return Place(at, _STANDARD[match[1]] if match[1] else int(match[2]), replaced=False)
        try:
            at = at.parent / at.readlink()
        except OSError:
            break
    try:
        mode = at.stat().st_mode
    except OSError:
        return Place(at)
    return Place(at, replaced=stat.S_ISREG(mode) or stat.S_ISDIR(mode))
