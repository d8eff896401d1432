"""Whose a run is: its id names the machine, the process and when it began, so that others can tell whether it lives.

The id stands in the label of every container and in the name of every unproven image, where any machine that shares
the engine reads it; no file has to be kept in step with them.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import os
import re
import secrets
import socket
import time
from pathlib import Path

from msgspec import Struct

STALE = 24 * 3600
"""Seconds after which the run of another machine counts as dead: nobody here can ask whether it is."""

_ID = re.compile(
    r"(?P<place>[0-9a-f]{8})-(?P<pid>\d{1,10})-(?P<start>\d{1,20})-(?P<time>\d{1,12})-[0-9a-f]{6}", re.ASCII
)


class Life(enum.Enum):
    """Whether the process of a run is still there."""

    ALIVE = "under way"
    UNKNOWN = "of another machine, perhaps under way"
    DEAD = "left behind"


class Owner(Struct, frozen=True):
    """The process of a run: a digest of where it runs, its number, its start (proc(5), `starttime`), the time then."""

    place: str
    pid: int
    start: int
    time: int


def new_run() -> str:
    """An id for a run of this process."""
    return f"{_place()}-{os.getpid()}-{_start(os.getpid())}-{int(time.time())}-{secrets.token_hex(3)}"


def owner(run: str) -> Owner | None:
    """The process that an id names; None for what is no such id."""
    match = _ID.fullmatch(run)
    return Owner(match["place"], int(match["pid"]), int(match["start"]), int(match["time"])) if match else None


def life(run: str) -> Life:
    """Whether a run is under way. Of an id that debloat does not give itself nothing is known, for ever."""
    found = owner(run)
    if found is None:
        return Life.UNKNOWN
    if found.place != _place():
        return Life.DEAD if time.time() - found.time > STALE else Life.UNKNOWN
    return Life.ALIVE if _lives(found) else Life.DEAD


def _lives(found: Owner) -> bool:
    try:
        os.kill(found.pid, 0)
    except PermissionError:
        pass  # another user's: it is there
    except (OSError, OverflowError):
        return False
    return _start(found.pid) == found.start


def _start(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 for one that only waits to be reaped, or without /proc."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The name, in parentheses, may have spaces and parentheses in it.
        state, *fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return 0 if state in "ZX" else int(fields[18])
    return 0


def _place() -> str:
    """A digest of the machine since it booted and of the process numbers' namespace: containers share the former."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with contextlib.suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:8]
