"""Which system calls a container may make: the profile that container engines share, for a set of capabilities.

Debian's package golang-github-containers-common has it as a file (containers/common, `seccomp.json`). Where that is not
installed, what it refuses is written down here: the calls that reach beyond a container, and the capability that allows
each (capabilities(7); docs.docker.com, "Seccomp security profiles for Docker").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from debloat.core.platform import PLATFORMS

PROFILES = (Path("/etc/containers/seccomp.json"), Path("/usr/share/containers/seccomp.json"))
"""Where containers/common looks for it."""

_EPERM, _ENOSYS = 1, 38
_CLONE_NAMESPACES = 0x7E020000
"""Flags of clone(2) that make namespaces."""

_REFUSED: Mapping[str, tuple[str, ...]] = {
    "SYS_ADMIN": (
        *(
            "bpf",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "mount",
            "mount_setattr",
        ),
        *("move_mount", "open_tree", "perf_event_open", "pivot_root", "quotactl", "quotactl_fd", "setdomainname"),
        *("sethostname", "setns", "swapoff", "swapon", "umount", "umount2", "unshare"),
    ),
    "SYS_BOOT": ("reboot", "kexec_file_load", "kexec_load"),
    "SYS_MODULE": ("create_module", "delete_module", "finit_module", "init_module", "query_module"),
    "SYS_NICE": ("get_mempolicy", "mbind", "move_pages", "set_mempolicy"),
    "SYS_PACCT": ("acct",),
    "SYS_PTRACE": ("kcmp", "process_madvise"),
    "SYS_RAWIO": ("ioperm", "iopl"),
    "SYS_TIME": ("clock_adjtime", "clock_settime", "settimeofday", "stime"),
    "SYS_TTY_CONFIG": ("vhangup",),
    "DAC_READ_SEARCH": ("open_by_handle_at",),
    "": (
        *("_sysctl", "add_key", "get_kernel_syms", "keyctl", "nfsservctl", "request_key", "sysfs", "userfaultfd"),
        *("uselib", "ustat", "vm86", "vm86old"),
    ),
}
"""By the capability that allows them; without one, those that nothing allows."""


def profile(capabilities: Iterable[str], architecture: str, kernel: tuple[int, int]) -> dict[str, Any]:
    """`linux.seccomp` of a container with these capabilities (names without `CAP_`) on an architecture (OCI's name)."""
    held = frozenset(capabilities)
    for path in PROFILES:
        try:
            return resolved(json.loads(path.read_bytes()), held, architecture, kernel)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            continue
    return _written_down(held, architecture)


def resolved(
    document: Mapping[str, Any], held: frozenset[str], architecture: str, kernel: tuple[int, int]
) -> dict[str, Any]:
    """A profile in the form of containers/common as the OCI runtime specification has it: its conditions decided."""
    rows = []
    for row in document["syscalls"]:
        if _applies(row.get("includes") or {}, held, architecture, kernel, every=True) and not _applies(
            row.get("excludes") or {}, held, architecture, kernel, every=False
        ):
            rows.append({key: row[key] for key in ("names", "action", "errnoRet") if row.get(key) is not None})
            if row.get("args"):
                rows[-1]["args"] = row["args"]
    machines: list[str] = []
    for known in document.get("archMap") or ():
        if known["architecture"] == _scmp(architecture):
            machines = [known["architecture"], *(known.get("subArchitectures") or ())]
    result = {"defaultAction": document["defaultAction"], "syscalls": rows}
    if document.get("defaultErrnoRet") is not None:
        result["defaultErrnoRet"] = document["defaultErrnoRet"]
    return result | ({"architectures": machines} if machines else {})


def _applies(
    conditions: Mapping[str, Any], held: frozenset[str], architecture: str, kernel: tuple[int, int], *, every: bool
) -> bool:
    """Whether conditions hold: to include a row all of them must, to exclude it one of them is enough."""
    answers = []
    if capabilities := conditions.get("caps"):
        have = [capability.removeprefix("CAP_") in held for capability in capabilities]
        answers.append(all(have) if every else any(have))
    if machines := conditions.get("arches"):
        answers.append(architecture in machines or _docker_arch(architecture) in machines)
    if least := conditions.get("minKernel"):
        major, _, minor = least.partition(".")
        answers.append(kernel >= (int(major), int(minor)))
    return all(answers) if every else any(answers)


def _docker_arch(architecture: str) -> str:
    return {"386": "x86"}.get(architecture, architecture)


_SCMP = {"amd64": "X86_64", "arm64": "AARCH64", "386": "X86", "arm": "ARM", "riscv64": "RISCV64", "s390x": "S390X"}


def _scmp(architecture: str) -> str:
    return f"SCMP_ARCH_{_SCMP.get(architecture, architecture.upper())}"


_BESIDE = {"amd64": ("X86", "X32"), "arm64": ("ARM",), "s390x": ("S390",)}
"""Machines whose programs a kernel of an architecture runs as well: a filter kills those that it does not name."""


def _written_down(held: frozenset[str], architecture: str) -> dict[str, Any]:
    refused = sorted(
        call for capability, calls in _REFUSED.items() if not capability or capability not in held for call in calls
    )
    rows: list[dict[str, Any]] = [{"names": refused, "action": "SCMP_ACT_ERRNO", "errnoRet": _EPERM}]
    if "SYS_ADMIN" not in held:
        # clone3 passes its flags in memory, where no filter sees them: programs fall back to clone.
        rows.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS})
        rows += [
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": _EPERM,
                "args": [{"index": 0, "value": flag, "valueTwo": flag, "op": "SCMP_CMP_MASKED_EQ"}],
            }
            for flag in (1 << bit for bit in range(32))
            if flag & _CLONE_NAMESPACES
        ]
    machines = [_scmp(architecture), *(f"SCMP_ARCH_{name}" for name in _BESIDE.get(architecture, ()))]
    named = {"architectures": machines} if architecture in _SCMP else {}
    return {"defaultAction": "SCMP_ACT_ALLOW", **named, "syscalls": rows}


def architecture_of(machine: str) -> str:
    """`uname -m` by its OCI name."""
    return next((known.oci for known in PLATFORMS if known.machine == machine), machine)
