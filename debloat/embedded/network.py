"""A network namespace with a loopback and nothing else, and connections made from within it.

A thread lives in the namespace: a socket belongs to the namespace of the thread that made it, whoever uses it later. So
the tool reaches a container's ports without a bridge, without publishing them, and without a program in the container.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from debloat.core.errors import EngineUnavailable
from debloat.embedded import syscalls

ADDRESS = "172.17.0.2"
"""A container's own address, of the network that Docker gives containers: services that look for one find it."""

_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
"""netdevice(7)."""

_SETTINGS = (
    ("net/ipv6/conf/all/disable_ipv6", "1"),
    ("net/ipv6/conf/default/disable_ipv6", "1"),
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv4/ping_group_range", "0 2147483647"),
)
"""As Docker has them in a container of a network without IPv6."""


class Network:
    """A namespace, for as long as it is not closed or a container is in it. `own_address` gives it `ADDRESS`."""

    def __init__(self, *, own_address: bool = True) -> None:
        self._pool = ThreadPoolExecutor(1, "network")
        try:
            self._handle = self._pool.submit(_enter, own_address).result()
        except OSError as error:
            self._pool.shutdown()
            raise EngineUnavailable(
                f"cannot make a network namespace: {error.strerror}", "`debloat doctor` says what is missing"
            ) from error
        self.addresses = (ADDRESS,) if own_address else ()

    @property
    def path(self) -> str:
        """Leads to the namespace, for other processes too."""
        return f"/proc/{os.getpid()}/fd/{self._handle}"

    def opened(self, kind: socket.SocketKind) -> socket.socket:
        """A socket of the namespace."""
        return self._pool.submit(socket.socket, socket.AF_INET, kind).result()

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._pool.shutdown(wait=False)


def _enter(own_address: bool) -> int:
    """Move the calling thread into a new namespace, and set it up; a descriptor of it."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    for name, value in _SETTINGS:
        with contextlib.suppress(OSError):  # a kernel without IPv6; a user's own namespace has not all of them
            Path("/proc/sys", name).write_text(value)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _ask(control, _SIOCSIFFLAGS, "lo", struct.pack("H14x", _IFF_UP | _IFF_RUNNING))
        if own_address:
            _ask(control, _SIOCSIFADDR, "lo:0", _address(ADDRESS))
            _ask(control, _SIOCSIFNETMASK, "lo:0", _address("255.255.255.255"))
    return os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _ask(control: socket.socket, request: int, interface: str, value: bytes) -> None:
    fcntl.ioctl(control, request, struct.pack("16s16s8x", interface.encode(), value))


def _address(text: str) -> bytes:
    return struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(text))
