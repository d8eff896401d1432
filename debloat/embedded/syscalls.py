"""System calls that Python 3.11 has no function for. OSError where one fails, with the call's name as its file."""

from __future__ import annotations

import ctypes
import os

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
"""sched.h."""

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_SLAVE = 1 << 12, 1 << 14, 1 << 19
MNT_DETACH = 2
"""mount(2), umount2(2)."""

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(name: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own (unshare(2))."""
    _checked("unshare", _libc.unshare(flags))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2) with the calling thread's working directory and namespace."""
    arguments = [os.fsencode(text) if text else None for text in (source, target, kind)]
    _checked("mount", _libc.mount(*arguments, ctypes.c_ulong(flags), os.fsencode(data) if data else None))


def unmount(target: str) -> None:
    """Take a mount away at once, whatever is open below it (MNT_DETACH)."""
    _checked("umount2", _libc.umount2(os.fsencode(target), MNT_DETACH))
