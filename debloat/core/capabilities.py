"""Capabilities of files, as `security.capability` holds them: capabilities(7), `vfs_cap_data` of linux/capability.h."""

from __future__ import annotations

import struct

XATTR = "security.capability"

NAMES = (
    *("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap"),
    *("linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner"),
    *("sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice"),
    *("sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap"),
    *("mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf"),
    "checkpoint_restore",
)
"""By number, without `cap_`."""

_WORDS = {1: 1, 2: 2, 3: 2}
"""Pairs of 32-bit sets by revision."""


def capabilities(attribute: bytes) -> tuple[str, ...]:
    """The capabilities that a program gets from the attribute of its file, as `cap_net_raw`, sorted by number.

    Inheritable ones count too; they are only had by a parent that has them. () for what is no such attribute.
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
    return f"cap_{NAMES[number]}" if number < len(NAMES) else f"cap_{number}"
