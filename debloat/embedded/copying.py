"""A directory's copy with owners, modes, times and attributes: what a new volume gets of the image."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat


def copy_tree(source: str, target: str) -> None:
    """Copy what is in a directory into an empty one, and its own owner and mode; no link is followed."""
    for entry in sorted(os.scandir(source), key=lambda e: e.name):
        place, status = f"{target}/{entry.name}", entry.stat(follow_symlinks=False)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), place)
            os.chown(place, status.st_uid, status.st_gid, follow_symlinks=False)
        elif entry.is_dir(follow_symlinks=False):
            os.mkdir(place)
            copy_tree(entry.path, place)
        elif entry.is_file(follow_symlinks=False):
            shutil.copyfile(entry.path, place, follow_symlinks=False)
            _dress(entry.path, place, status)
        else:
            with contextlib.suppress(OSError):  # a device in a user namespace
                os.mknod(place, status.st_mode, status.st_rdev)
                _dress(entry.path, place, status)
    _dress(source, target, os.stat(source, follow_symlinks=False))


def _dress(source: str, target: str, status: os.stat_result) -> None:
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source, follow_symlinks=False):
        with contextlib.suppress(OSError):  # overlayfs's own
            os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
