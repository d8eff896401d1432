"""Where the engine keeps what it has, and the locks by which processes share it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from debloat.core.errors import EngineUnavailable

VARIABLE = "DEBLOAT_STORE"
"""Names another directory to keep images in."""
AGAIN = 0.05
"""Seconds between two attempts to remove a directory."""


def usual() -> Path:
    """The directory of this user: /var/lib/debloat of root, else below XDG_DATA_HOME (XDG base directories)."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/debloat")
    data = os.environ.get("XDG_DATA_HOME", "")
    return (Path(data) if data.startswith("/") else Path.home() / ".local" / "share") / "debloat"


class Place(Struct, frozen=True):
    """The directories below `home`, which are this user's alone."""

    home: Path

    @property
    def layers(self) -> Path:
        return self.home / "layers"

    @property
    def indexes(self) -> Path:
        return self.home / "indexes"

    @property
    def images(self) -> Path:
        return self.home / "images"

    @property
    def names(self) -> Path:
        return self.home / "names"

    @property
    def containers(self) -> Path:
        return self.home / "containers"

    @property
    def volumes(self) -> Path:
        return self.home / "volumes"

    @property
    def drafts(self) -> Path:
        """What is being made, or on its way out; a directory each, with the id of the process in its name."""
        return self.home / "drafts"

    def make(self) -> None:
        """Make the directories. EngineUnavailable where they cannot be."""
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            for directory in (self.layers, self.indexes, self.images, self.names, self.containers, self.volumes):
                directory.mkdir(mode=0o700, exist_ok=True)
            self.drafts.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise EngineUnavailable(
                f"cannot keep images in {self.home}: {error.strerror}",
                f"name a directory that can be written, and has room, in {VARIABLE}",
            ) from error

    def in_use(self) -> int:
        """A descriptor that says, as long as it is open, that somebody uses the place."""
        handle = os.open(self.home / "in-use", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_SH)
        return handle

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """A block in which no other process adds or removes anything. Short ones: all others wait."""
        handle = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def alone(handle: int) -> bool:
    """Whether nobody else uses the place; if so nobody begins to until `shared`. `handle` is that of `in_use`."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # Whoever asked for more has lost what it had (flock(2)).
        fcntl.flock(handle, fcntl.LOCK_SH)
        return False
    return True


def shared(handle: int) -> None:
    """Let others use the place too."""
    fcntl.flock(handle, fcntl.LOCK_SH)


def remove_tree(directory: Path, limit: float) -> None:
    """Remove a directory of a container whose programs may still be on their way out, for so many seconds at most.

    While the kernel takes the last of a killed container away, its overlay still clears up in `work`: what is removed
    under way is missed by one and then the other, and the directory is not empty.
    """
    latest = time.monotonic() + limit
    shutil.rmtree(directory, ignore_errors=True)
    while directory.exists() and time.monotonic() < latest:
        time.sleep(AGAIN)
        shutil.rmtree(directory, ignore_errors=True)
