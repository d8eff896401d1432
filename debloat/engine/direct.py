"""Whether the containers of an engine are reached from here by their own addresses, told without sending them anything.

A bridge belongs to the machine, and there to the network namespace, in which the engine runs: whoever is in it reaches
what is behind the bridge. An engine is elsewhere, though its socket is here, where that is mounted into a container,
forwarded from another machine or leads into a virtual one. The addresses of its bridge may be in use here all the same.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from debloat.engine.inspection import mapping, text

_CREDENTIALS = struct.Struct("3i")
"""pid, uid and gid (SO_PEERCRED, unix(7)): of who listened, when that was."""
_MANAGER = 1
"""The process that listens for an engine which systemd starts when it is asked something."""
_DAEMON = "dockerd"
_CONNECT_LIMIT = 5.0


def is_beside(path: str) -> bool:
    """Whether it is Docker itself that listens at a socket, and it is in the network of this process.

    Its processes have to be seen from here, by the numbers that it gives them. False where any of it cannot be told.
    """
    with contextlib.suppress(OSError, ValueError):
        with socket.socket(socket.AF_UNIX) as attempt:
            attempt.settimeout(_CONNECT_LIMIT)
            attempt.connect(path)
            found = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, _, _ = _CREDENTIALS.unpack(found)
        if pid != _MANAGER and Path(f"/proc/{pid}/comm").read_text().strip() != _DAEMON:
            return False
        return _numbers_of(pid) == [str(pid)] and _network_of(str(pid)) == _network_of("self")
    return False


def _numbers_of(pid: int) -> list[str]:
    """The numbers of a process, one for each namespace of processes that it is in below this one (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines()
    return next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])


def _network_of(pid: str) -> tuple[int, int]:
    """What tells network namespaces apart; unlike /proc/PID/ns/net, everybody may look at it."""
    entry = os.stat(f"/proc/{pid}/net/dev")  # the same file for all that are in one
    return entry.st_dev, entry.st_ino


def has_bridge(network: Mapping[str, Any]) -> bool:
    """Whether this machine is the gateway of a bridge network (`GET /networks/X`)."""
    if text(network, "Driver") != "bridge" or text(network, "Scope") != "local":
        return False
    rows = mapping(network, "IPAM").get("Config") or ()
    return any(_is_ours(text(row, "Gateway") or _first(text(row, "Subnet"))) for row in rows)


def _first(subnet: str) -> str:
    """The address that Docker gives to a gateway which nobody named: an engine that was started for the first time
    does not say it (measured with 20.10)."""
    with contextlib.suppress(ValueError):
        return str(next(iter(ipaddress.IPv4Network(subnet).hosts()), ""))
    return ""


def _is_ours(address: str) -> bool:
    """Whether an IPv4 address is this machine's: only then can a socket be bound to it."""
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attempt:
        known = ipaddress.IPv4Address(address)
        attempt.bind((str(known), 0))
        return not (known.is_loopback or known.is_unspecified)
    return False


def process(pid: int, container: str) -> Process | None:
    """The first process of a running container; None where it is not seen from here, or has ended."""
    with contextlib.suppress(OSError):
        return Process(pid, container)
    return None


class Process:
    """The first process of a running container. OSError where it is no process of this machine, or has ended."""

    def __init__(self, pid: int, container: str) -> None:
        # A directory of /proc stays that of its process, whoever gets the number next.
        self._directory = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._directory)
        groups = os.open("cgroup", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        with open(groups, encoding="utf-8", errors="replace") as lines:
            if container not in lines.read():
                raise ProcessLookupError(f"{pid} is not of the container {container}")

    def ended(self) -> bool:
        """Whether it is gone. Until then its container's addresses are nobody else's."""
        try:
            os.stat("stat", dir_fd=self._directory)
        except OSError:
            return True
        return False
