"""A thread with a mount namespace of its own: what it mounts nobody else sees, and the kernel takes away with it.

Namespaces belong to threads (unshare(2)), and a process that a thread starts is in its namespaces. So mounts need no
process beside the tool, and a tool that is killed leaves none: the namespace ends with its last process.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from debloat.embedded import syscalls

T = TypeVar("T")

_TURN = 0.0005
"""Seconds after which a thread lets another one run."""
CGROUPS = "/sys/fs/cgroup"


class Namespace:
    """Calls functions in a thread that has mounts of its own. OSError where the kernel refuses it the namespace."""

    def __init__(self) -> None:
        # A container is made in many short system calls, beside threads that read its image: after each of them this
        # thread would wait for its turn as long as the interpreter lets others run.
        sys.setswitchinterval(min(_TURN, sys.getswitchinterval()))
        self._pool = ThreadPoolExecutor(1, "mounts")
        self._thread = 0
        try:
            self.call(self._enter)
        except BaseException:
            self.close()
            raise

    def _enter(self) -> None:
        # CLONE_FS too: chroot, umask and working directory of this thread are then its own.
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_FS)
        syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
        os.umask(0)
        self._thread = threading.get_native_id()
        _one_cgroup_tree()

    def call(self, function: Callable[[], T]) -> T:
        """What `function` returns, run among the mounts; others wait meanwhile."""
        return self._pool.submit(function).result()

    def within(self, root: str, function: Callable[[], T]) -> T:
        """What `function` returns, run with `root` as its root directory: links of an image lead nowhere else.

        It must import nothing, for what it imported would be the image's.
        """
        return self.call(lambda: _rooted(root, function))

    def close(self) -> None:
        """End the thread; with it go the mounts that no container is in."""
        self._pool.shutdown(wait=True)


def _rooted(root: str, function: Callable[[], T]) -> T:
    own = os.open("/", os.O_PATH | os.O_DIRECTORY)
    try:
        os.chroot(root)
        os.chdir("/")
        return function()
    finally:
        os.fchdir(own)
        os.chroot(".")
        os.close(own)


def _one_cgroup_tree() -> None:
    """Show runtimes the unified tree where this machine has version 1 beside it, which crun 1.8 refuses to run on."""
    if os.path.exists(f"{CGROUPS}/cgroup.controllers"):
        return
    try:
        syscalls.mount("cgroup2", CGROUPS, "cgroup2")
    except OSError:
        try:
            # In a user namespace the tree can be mounted only for a cgroup namespace that is its own.
            syscalls.unshare(syscalls.CLONE_NEWCGROUP)
            syscalls.mount("cgroup2", CGROUPS, "cgroup2")
        except OSError:
            return  # the runtime says what it thinks of it
