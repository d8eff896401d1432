"""Closures put to the proof: only what is kept, in a directory, and a program run with that as its root."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from debloat.closure import Rule, World, close
from debloat.core.model import Closure, Want
from debloat.rules.system import elf, glibc, kernel

SYSTEM: tuple[Rule, ...] = (*elf.RULES, *glibc.RULES, *kernel.RULES)


def kept(world: World, rules: Sequence[Rule], *seeds: str) -> Closure:
    """The closure of some paths under these rules and those of the system."""
    return close(world, (*SYSTEM, *rules), [Want(s, "seed", "probe:test") for s in seeds])


def size(world: World, closure: Closure, *below: str) -> int:
    """Bytes of the kept regular files, or of those below some paths."""
    entries = (world.rootfs.get(p) for p in closure.evidence if not below or p.startswith(below))
    return sum(e.size for e in entries if e is not None)


def run(world: World, closure: Closure, root: Path, argv: Sequence[str], **env: str) -> str:
    """What a program prints (both streams) in a root that holds the closure, a few devices and /proc.

    The test is skipped where chroot(2) is not allowed. /proc goes with the mount namespace that it is in.
    """
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None:
        pytest.skip("needs root for chroot")
    materialise(world, closure, root)
    make_devices(root)
    for name in ("tmp", "proc"):
        (root / name).mkdir(exist_ok=True)
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **env}
    inside = 'mount -t proc proc "$0/proc" 2>/dev/null; exec chroot "$0" "$@"'
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", inside, str(root), *argv],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def make_devices(root: Path) -> None:
    """The devices that programs open without being asked to. Needs root."""
    for name, minor in (("null", 3), ("zero", 5), ("urandom", 9), ("random", 8)):
        device = root / "dev" / name
        device.parent.mkdir(exist_ok=True)
        if not device.exists():
            os.mknod(device, 0o20666, os.makedev(1, minor))


def materialise(world: World, closure: Closure, root: Path) -> None:
    """Write the kept entries below `root`."""
    for path in closure.evidence:
        entry, target = world.rootfs.get(path), root / path.lstrip("/")
        assert entry is not None
        if entry.is_dir:
            target.mkdir(exist_ok=True)
        elif entry.is_symlink:
            if not target.is_symlink():
                target.symlink_to(entry.target)
        elif not target.exists():
            target.write_bytes(world.rootfs.read(path))
            target.chmod(entry.mode)
