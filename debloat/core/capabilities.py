"""Capabilities by name, those of containers, and those of files: capabilities(7)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

XATTR = "security.capability"
"""The extended attribute of a file's capabilities."""

NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
"""By number (linux/capability.h), without `CAP_`."""

DEFAULT = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW"),
        *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
"""What containers have by default (`docker run`, "Runtime privilege and Linux capabilities")."""

_WORDS = {1: 1, 2: 2, 3: 2}
"""Pairs of 32-bit sets by revision."""


def named(words: Iterable[str]) -> frozenset[str]:
    """Capabilities as `docker run --cap-add` takes them, by the names used here; `ALL` stands for itself."""
    return frozenset(word.upper().removeprefix("CAP_") for word in words)


def capabilities(attribute: bytes) -> tuple[str, ...]:
    """The capabilities that a program gets from the attribute of its file, as `cap_net_raw`, sorted by number.

    The format is `vfs_cap_data` of linux/capability.h. Inheritable ones count too; they are only had by a parent that
    has them. () for what is no such attribute.
    """
    if len(attribute) < 4:
        return ()
    pairs = _WORDS.get(struct.unpack_from("<I", attribute)[0] >> 24, 0)
    if len(attribute) < 4 + 8 * pairs:
        return ()
    bits = 0
    for number in range(pairs):
        permitted, inheritable = struct.unpack_from("<II", attribute, 4 + 8 * number)
        bits |= (permitted | inheritable) << (32 * number)
    return tuple(_name(number) for number in range(64) if bits >> number & 1)


def _name(number: int) -> str:
    return f"cap_{NAMES[number].lower()}" if number < len(NAMES) else f"cap_{number}"
