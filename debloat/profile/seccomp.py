"""From the system calls that were noted to a seccomp profile as Docker, Podman and Compose read it. Pure.

What is allowed is what was noted, closed over the groups, and never what Docker's default profile refuses. A call that
is refused fails with EPERM; a young one, of the numbering that all machines share, with ENOSYS, as on a kernel without
it: libraries have another way then, and none after EPERM (glibc and clone3, faccessat2, close_range).

Format: docs.docker.com, "Seccomp security profiles for Docker"; OCI runtime specification, config-linux.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec import Struct

from debloat.profile import groups
from debloat.profile.calls import COMPAT, Call, names, numbers, table

NATIVE = "native"
_COMMON = 424
"""The first number that a call has on every machine alike (Linux 5.1)."""
_ENOSYS = 38
_CLONE_NAMESPACES = 0x7E020000
"""Flags of clone(2) that make namespaces."""
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
"""What may be asked of personality(2): Linux, and 32 bits, each also as an old version; the last reads only."""
_SOCKETS = (("LT", 38), ("EQ", 39), ("GT", 40))
"""Address families: all but AF_ALG (38) and AF_VSOCK (40), which are not a container's own."""
_SCMP = {
    **{"x86_64": "SCMP_ARCH_X86_64", "i386": "SCMP_ARCH_X86"},
    **{"aarch64": "SCMP_ARCH_AARCH64", "arm": "SCMP_ARCH_ARM"},
}


class Profile(Struct, frozen=True):
    """A seccomp profile: its file, the calls that it allows, sorted, and how many Docker's default profile would."""

    document: str
    allowed: tuple[str, ...]
    default: int


def unseen(machine: str) -> str:
    """The calls that need no noting, as the sensor takes them (`--calls`)."""
    return ",".join(map(str, numbers(machine, groups.frequent())))


def named(noted: Iterable[tuple[str, int]], machine: str) -> dict[str, frozenset[str]]:
    """The calls by machine: of the 64-bit one, and of the 32-bit one where programs for that ran. Unknown ones go."""
    of: dict[str, set[str]] = {machine: set()}
    for abi, number in noted:
        which = machine if abi == NATIVE else COMPAT[machine]
        found = of.setdefault(which, set())
        if name := names(which).get(number):
            found.add(name)
    return {which: frozenset(found) for which, found in of.items()}


def profile(noted: Iterable[tuple[str, int]], machine: str, held: frozenset[str]) -> Profile:
    """The profile for calls as the sensor notes them (ABI, number), of containers with capabilities (no `CAP_`)."""
    seen = named(noted, machine)
    wanted = groups.closed(frozenset[str]().union(*seen.values()))
    known = [call for _, call in sorted(table().items()) if not seen.keys().isdisjoint(call.numbers)]
    allowed = [call for call in known if call.name in wanted and call.allowed_to(held)]
    others = [_SCMP[other] for other in sorted(seen.keys() - {machine})]
    document = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "archMap": [{"architecture": _SCMP[machine], "subArchitectures": others}],
        "syscalls": list(_decided([*_allowing(allowed), *_unknown(known, {call.name for call in allowed})], held)),
    }
    return Profile(
        json.dumps(document, indent=1) + "\n",
        tuple(call.name for call in allowed),
        sum(call.allowed_to(held) for call in known),
    )


def _allowing(calls: Iterable[Call]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    plain, of_capability = [], dict[tuple[str, ...], list[str]]()
    for call in calls:
        if call.name in _LIMITED:
            rows += [_row([call.name], **more) for more in _LIMITED[call.name]]
        elif call.allowed:
            plain.append(call.name)
        else:
            of_capability.setdefault(call.capabilities, []).append(call.name)
    for capabilities, some in sorted(of_capability.items()):
        rows += [_row(some, includes={"caps": _prefixed([capability])}) for capability in capabilities]
    return [_row(plain), *rows]


def _row(calls: list[str], action: str = "SCMP_ACT_ALLOW", **more: Any) -> dict[str, Any]:
    return {"names": calls, "action": action, **more}


def _argument(index: int, value: int, comparison: str) -> list[dict[str, Any]]:
    return [{"index": index, "value": value, "valueTwo": 0, "op": f"SCMP_CMP_{comparison}"}]


_ADMIN = {"caps": ["CAP_SYS_ADMIN"]}
_LIMITED: dict[str, list[dict[str, Any]]] = {
    "clone": [
        {"args": _argument(0, _CLONE_NAMESPACES, "MASKED_EQ"), "excludes": _ADMIN},
        {"includes": _ADMIN},
    ],
    **{name: [{"includes": {"minKernel": "4.8"}}] for name in ("process_vm_readv", "process_vm_writev", "ptrace")},
    "personality": [{"args": _argument(0, value, "EQ")} for value in _PERSONALITIES],
    "socket": [{"args": _argument(0, value, comparison)} for comparison, value in _SOCKETS],
}
"""Calls that Docker's default profile allows with some arguments only: the rows that say so."""


def _unknown(known: Iterable[Call], allowed: set[str]) -> list[dict[str, Any]]:
    """The rows that answer as a kernel does that does not know a call: to all, or to those who lack its capability."""
    to: dict[tuple[str, ...], list[str]] = {}
    for call in known:
        if min(call.numbers.values()) >= _COMMON and (call.name not in allowed or not call.allowed):
            to.setdefault(call.capabilities if call.name in allowed else (), []).append(call.name)
    return [
        _row(some, "SCMP_ACT_ERRNO", errnoRet=_ENOSYS, **({"excludes": {"caps": _prefixed(but)}} if but else {}))
        for but, some in sorted(to.items())
    ]


def _decided(rows: Iterable[dict[str, Any]], held: frozenset[str]) -> Iterator[dict[str, Any]]:
    """Rows without conditions on capabilities that the containers have not got: most profiles have none then, and are
    the OCI runtime specification's `linux.seccomp` as well."""
    for row in rows:
        needed, spared = ((row.get(key) or {}).get("caps", ()) for key in ("includes", "excludes"))
        if needed and "ALL" not in held and held.isdisjoint(_plain(needed)):
            continue
        if spared and "ALL" not in held and held.isdisjoint(_plain(spared)):
            row = {key: value for key, value in row.items() if key != "excludes"}
        yield row


def _plain(capabilities: Iterable[str]) -> list[str]:
    return [capability.removeprefix("CAP_") for capability in capabilities]


def _prefixed(capabilities: Iterable[str]) -> list[str]:
    return [f"CAP_{capability}" for capability in capabilities]
