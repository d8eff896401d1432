"""A container as an OCI runtime is told of it (OCI runtime specification, config.md), as Docker makes it.

Pure: values in, a document out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from debloat.core.accounts import User
from debloat.core.capabilities import DEFAULT, NAMES, named
from debloat.core.errors import UsageError
from debloat.core.model import DEFAULT_PATH, ImageConfig
from debloat.engine.base import ContainerSpec

INIT = "/sbin/docker-init"
"""Where Docker puts the init of `--init`."""
_MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug"),
    *("/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware"),
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class Surroundings(Struct, frozen=True):
    """What a container finds on this machine.

    `name` is its host name, `root` its root file system, `files` a directory with hosts, hostname and resolv.conf,
    `network` a network namespace (empty for the machine's own), `init` a program for `--init`, `capabilities` those
    that this process can give, `descriptors` the most that it may have open. `user` says that its root is
    a user's own.
    """

    name: str
    root: Path
    files: Path
    network: str
    init: str
    capabilities: frozenset[str]
    descriptors: int
    user: bool = False


def program(spec: ContainerSpec, config: ImageConfig) -> tuple[str, ...]:
    """The command line: an entrypoint of the user's own puts the image's CMD out of force (`docker run`)."""
    if spec.entrypoint:
        return (*spec.entrypoint, *spec.cmd)
    return (*config.entrypoint, *(spec.cmd or config.cmd))


def environment(spec: ContainerSpec, config: ImageConfig, name: str) -> list[str]:
    """The variables in Docker's order."""
    variables = {"PATH": DEFAULT_PATH, "HOSTNAME": name} | config.env | dict(spec.env)
    return [f"{key}={value}" for key, value in variables.items()]


def capabilities(spec: ContainerSpec, possible: frozenset[str]) -> tuple[str, ...]:
    """The capabilities of the container, without `CAP_`, sorted: by default, less those dropped, and those added."""
    added, dropped, known = named(spec.cap_add), named(spec.cap_drop), frozenset(NAMES)
    if unknown := sorted((added | dropped) - known - {"ALL"}):
        raise UsageError(f"no capability is called {', '.join(unknown)}", "see capabilities(7)")
    base = known if "ALL" in added else frozenset[str]() if "ALL" in dropped else DEFAULT
    return tuple(sorted(((base - dropped) | (added - {"ALL"})) & possible))


def process(
    argv: tuple[str, ...], user: User, env: list[str], workdir: str, held: tuple[str, ...], spec: ContainerSpec
) -> dict[str, Any]:
    """`process` of a container, or of a command in it. As execve(2) has it, only root begins with capabilities."""
    names = [f"CAP_{name}" for name in held]
    own = names if user.uid == 0 else []
    return {
        "terminal": False,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(argv),
        "env": env,
        "cwd": workdir,
        "capabilities": {
            "bounding": names,
            "effective": own,
            "permitted": own,
            "inheritable": [],
            "ambient": [],
        },
        "noNewPrivileges": spec.no_new_privs,
    }


def document(
    spec: ContainerSpec,
    config: ImageConfig,
    user: User,
    around: Surroundings,
    held: tuple[str, ...],
    seccomp: Mapping[str, Any],
) -> dict[str, Any]:
    """config.json. Volumes are mounted below `around.root` already."""
    argv = program(spec, config)
    if spec.init:
        argv = (INIT, "--", *argv)
    main = process(argv, user, environment(spec, config, around.name), spec.workdir or config.workdir, held, spec)
    if around.descriptors:
        main["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": around.descriptors, "hard": around.descriptors}]
    namespaces: list[dict[str, str]] = [{"type": kind} for kind in ("mount", "uts", "pid", "ipc")]
    if around.network:
        namespaces.append({"type": "network", "path": around.network})
    return {
        "ociVersion": "1.0.2",
        "process": main,
        "root": {"path": str(around.root), "readonly": spec.read_only},
        "hostname": around.name,
        "mounts": [
            *_MOUNTS,
            _HOST_SYS if around.user or not around.network else _SYS,
            *_own_files(around),
            *_tmpfs(spec),
        ],
        "linux": {
            "namespaces": namespaces,
            "maskedPaths": list(_MASKED),
            "readonlyPaths": list(_READ_ONLY),
            "seccomp": dict(seccomp),
        },
    }


def _mount(target: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}


_MOUNTS = (
    _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
    _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
    _mount("/dev/pts", "devpts", "devpts", *("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5")),
    _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
    _mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
)
_SYS = _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")
_HOST_SYS = _mount("/sys", "none", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro")
"""As it is here: a user's own root may mount no other, for the network's sake, or because a container hides parts of it
(mount_namespaces(7))."""


def _own_files(around: Surroundings) -> list[dict[str, Any]]:
    rows = [
        _mount(f"/etc/{name}", "bind", str(around.files / name), "rbind", "rprivate")
        for name in ("resolv.conf", "hostname", "hosts")
    ]
    if around.init:
        rows.append(_mount(INIT, "bind", around.init, "bind", "ro"))
    return rows


def _tmpfs(spec: ContainerSpec) -> list[dict[str, Any]]:
    rows = []
    for text in spec.tmpfs:
        path, _, options = text.partition(":")
        rows.append(_mount(path, "tmpfs", "tmpfs", "noexec", "nosuid", "nodev", *filter(None, options.split(","))))
    return rows
