"""The system calls that take a path, by their names: what each does with it, and in which argument (strace's order).

The same facts as in the sensor's `calls.h`, where the kernel's numbers stand; the source of both are the manual pages,
section 2.
"""

from __future__ import annotations

from typing import NamedTuple

from debloat.core.model import Op


class Call(NamedTuple):
    """A path that a call takes: `path`, `dir` and `flags` are arguments counted from 0, -1 for none.

    `how` says what the flags mean: `follow` and `nofollow` need none; `at` has AT_SYMLINK_NOFOLLOW, `at-follow` has
    AT_SYMLINK_FOLLOW, `open` those of open(2), `unlink` AT_REMOVEDIR. With `descriptor` the path is that of `dir`; with
    `socket` it is `sun_path` of an address. `exec` and `link-text` take an empty path for the descriptor itself.
    """

    op: Op
    how: str
    path: int = 0
    dir: int = -1
    flags: int = -1


def _plain(op: Op, *names: str, how: str = "follow") -> dict[str, tuple[Call, ...]]:
    """Calls that take a path first, relative to the working directory."""
    return {name: (Call(op, how),) for name in names}


def _at(op: Op, *names: str, how: str = "follow", flags: int = -1) -> dict[str, tuple[Call, ...]]:
    """Calls that take a directory first, and a path relative to it."""
    return {name: (Call(op, how, 1, 0, flags),) for name in names}


CALLS: dict[str, tuple[Call, ...]] = {
    "open": (Call(Op.OPEN, "open", 0, -1, 1),),
    "openat": (Call(Op.OPEN, "open", 1, 0, 2),),
    "openat2": (Call(Op.OPEN, "open", 1, 0, 2),),
    "creat": (Call(Op.OPEN, "creat"),),
    **_plain(Op.EXEC, "execve", "uselib"),
    "execveat": (Call(Op.EXEC, "exec", 1, 0, 4),),
    **_plain(Op.STAT, "stat", "stat64", "oldstat"),
    **_plain(Op.STAT, "lstat", "lstat64", "oldlstat", how="nofollow"),
    **_at(Op.STAT, "newfstatat", "fstatat64", how="at", flags=3),
    **_at(Op.STAT, "statx", how="at", flags=2),
    **_plain(Op.ACCESS, "access"),
    **_at(Op.ACCESS, "faccessat"),
    **_at(Op.ACCESS, "faccessat2", how="at", flags=3),
    **_plain(Op.READLINK, "readlink", how="nofollow"),
    **_at(Op.READLINK, "readlinkat", how="link-text"),
    **{name: (Call(Op.LIST, "descriptor", dir=0),) for name in ("getdents", "getdents64")},
    **_plain(Op.CHDIR, "chdir"),
    "fchdir": (Call(Op.CHDIR, "descriptor", dir=0),),
    **_plain(Op.CHROOT, "chroot"),
    "pivot_root": (Call(Op.CHROOT, "follow", 0), Call(Op.CHROOT, "follow", 1)),
    **_plain(Op.MKDIR, "mkdir", how="nofollow"),
    **_at(Op.MKDIR, "mkdirat", how="nofollow"),
    **_plain(Op.MKNOD, "mknod", how="nofollow"),
    **_at(Op.MKNOD, "mknodat", how="nofollow"),
    "symlink": (Call(Op.SYMLINK, "nofollow", 1),),
    "symlinkat": (Call(Op.SYMLINK, "nofollow", 2, 1),),
    "link": (Call(Op.LINK, "nofollow", 0), Call(Op.CREATE, "nofollow", 1)),
    "linkat": (Call(Op.LINK, "at-follow", 1, 0, 4), Call(Op.CREATE, "nofollow", 3, 2)),
    "rename": (Call(Op.RENAME, "nofollow", 0), Call(Op.CREATE, "nofollow", 1)),
    **{
        name: (Call(Op.RENAME, "nofollow", 1, 0), Call(Op.CREATE, "nofollow", 3, 2))
        for name in ("renameat", "renameat2")
    },
    **_plain(Op.UNLINK, "unlink", how="nofollow"),
    "unlinkat": (Call(Op.UNLINK, "unlink", 1, 0, 2),),
    **_plain(Op.RMDIR, "rmdir", how="nofollow"),
    **_plain(Op.CHMOD, "chmod"),
    **_at(Op.CHMOD, "fchmodat"),
    **_at(Op.CHMOD, "fchmodat2", how="at", flags=3),
    **_plain(Op.CHOWN, "chown", "chown32"),
    **_plain(Op.CHOWN, "lchown", "lchown32", how="nofollow"),
    **_at(Op.CHOWN, "fchownat", how="at", flags=4),
    **_plain(Op.UTIME, "utime", "utimes"),
    **_at(Op.UTIME, "futimesat"),
    **_at(Op.UTIME, "utimensat", "utimensat_time64", how="at", flags=3),
    **_plain(Op.TRUNCATE, "truncate", "truncate64"),
    **_plain(Op.STATFS, "statfs", "statfs64"),
    **_plain(Op.GETXATTR, "getxattr", "listxattr"),
    **_plain(Op.GETXATTR, "lgetxattr", "llistxattr", how="nofollow"),
    **_plain(Op.SETXATTR, "setxattr", "removexattr"),
    **_plain(Op.SETXATTR, "lsetxattr", "lremovexattr", how="nofollow"),
    "inotify_add_watch": (Call(Op.WATCH, "follow", 1),),
    "connect": (Call(Op.CONNECT, "socket", 1),),
    "bind": (Call(Op.BIND, "socket", 1),),
    "mount": (Call(Op.MOUNT, "follow", 1),),
    **_plain(Op.MOUNT, "umount", "umount2"),
    **_at(Op.HANDLE, "name_to_handle_at", how="at-follow", flags=4),
}

OPEN_LETTERS = (
    ("O_CREAT", "c"),
    ("O_EXCL", "x"),
    ("O_TRUNC", "t"),
    ("O_DIRECTORY", "d"),
    ("O_TMPFILE", "d"),
    ("O_PATH", "p"),
    ("O_NOFOLLOW", "l"),
)


def open_letters(flags: str) -> str:
    """Flags of open(2) as they are written in C, joined by `|`, as the letters of docs/sensor.md."""
    words = set(flags.replace(" ", "").split("|"))
    how = "rw" if "O_RDWR" in words else "w" if "O_WRONLY" in words else "" if "O_PATH" in words else "r"
    return how + "".join(dict.fromkeys(letter for word, letter in OPEN_LETTERS if word in words))
