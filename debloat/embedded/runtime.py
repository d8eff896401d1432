"""The OCI runtime of this machine: crun, else runc, by their command lines (crun(1), runc(8))."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from debloat.core.errors import EngineUnavailable

NAMES = ("crun", "runc")
INSTALL = "apt-get install crun"
_PAUSE = 0.02
_ALSO = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_INITS = (
    *("/usr/bin/docker-init", "/usr/libexec/docker/docker-init", "/usr/bin/tini-static", "/usr/bin/catatonit"),
    *("/usr/libexec/podman/catatonit",),
)
"""Programs for `--init` that need nothing of an image, where Debian's packages and Docker's put them."""


class Runtime(Struct, frozen=True):
    """A runtime by its path; `name` is which one."""

    path: str
    name: str

    def argv(self, root: Path, log: Path, *words: str) -> list[str]:
        """A command line. Containers are known below `root`; what goes wrong is written to `log`.

        Without cgroups: debloat limits nothing, and may not be allowed to make any. runc has no such option, and goes
        without where it is rootless.
        """
        own = ["--cgroup-manager=disabled"] if self.name == "crun" else []
        return [self.path, "--root", str(root), "--log", str(log), *own, *words]

    def version(self) -> str:
        """What it says of itself; `?` where it says nothing."""
        try:
            done = subprocess.run([self.path, "--version"], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.SubprocessError):
            return "?"
        return done.stdout.partition("\n")[0].rpartition(" ")[2] or "?"


def find() -> Runtime | None:
    """The runtime that is installed, if any."""
    search = f"{os.environ.get('PATH', '')}:{_ALSO}"
    for name in NAMES:
        if path := shutil.which(name, path=search):
            return Runtime(path, name)
    return None


def must_be_there() -> Runtime:
    """The runtime; EngineUnavailable where none is installed."""
    found = find()
    if found is None:
        raise EngineUnavailable("cannot run containers: neither crun nor runc is installed", INSTALL)
    return found


def init() -> str:
    """A program for `--init`; EngineUnavailable where none is installed."""
    for path in _INITS:
        if os.access(path, os.X_OK):
            return path
    raise EngineUnavailable("cannot run with an init: none is installed", "apt-get install catatonit, or tini")


def wait_for_others(identifier: str, limit: float) -> None:
    """Wait until no process is called with the id of a container, for so many seconds at most."""
    latest = time.monotonic() + limit
    while any(_is_called_with(identifier.encode())) and time.monotonic() < latest:
        time.sleep(_PAUSE)


def _is_called_with(word: bytes) -> Iterator[bool]:
    """For each process of this machine, whether a word is among those that it was called with (proc(5))."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as line:
                yield word in line.read().split(b"\0")
