"""A user namespace in which this process is root, where it is not root enough by itself (user_namespaces(7)).

The process enters it as a whole, before it has threads: all that follows, unpacking and mounting and running, is then
the same as root's. Its user outside is root inside; further ids come from the ranges that the system gives its user
(subuid(5)), by newuidmap(1), or, as root of a container without privileges, are the same as outside.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
from pathlib import Path

from debloat.core.capabilities import NAMES
from debloat.core.errors import EngineUnavailable
from debloat.embedded import syscalls

_TO_MAP = frozenset({"SETGID", "SETUID"})
_NEEDED = frozenset({"CHOWN", "NET_ADMIN", "SYS_CHROOT", "SYS_ADMIN"})
"""What root's containers are made with."""
_ALL_IDS = (1 << 32) - 1
_MAPPERS = ("newuidmap", "newgidmap")
OF_USER = ("_CONTAINERS_USERNS_CONFIGURED", "_CONTAINERS_ROOTLESS_UID", "_CONTAINERS_ROOTLESS_GID")
"""By these variables Podman knows which user is root in a namespace, and so whose images are meant (podman-unshare)."""
IN_CONTAINER = "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
"""What Docker lets a container do without privileges, so that it can run containers."""
_WITH_APPARMOR = (
    "docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
    " --security-opt apparmor=unconfined"
)
_APPARMOR = "/proc/self/attr/current"


def enter() -> bool:
    """Become root of a namespace, unless this process may mount already; whether it is in one that is a user's own.

    EngineUnavailable with what is missing.
    """
    if capabilities() >= _NEEDED:
        return _is_users_own()
    mappings = ("uid", "gid")
    lines = [_mapping(kind) for kind in mappings]
    ready, go = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    pid = os.getpid()
    child = os.fork()
    if child == 0:
        _map_from_outside(pid, lines, go, ready)
    os.close(go[0])
    os.close(ready[1])
    own, advice = (os.geteuid(), os.getegid()), ranges_advice()
    try:
        # Mounts of its own too: tools that keep images, as Podman does, may then mount what they need.
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
    except OSError as error:
        os.close(go[1])
        os.waitpid(child, 0)
        raise EngineUnavailable(f"cannot make a user namespace: {error.strerror}", advice_on_namespaces()) from error
    os.write(go[1], b"x")
    os.close(go[1])
    said = b""
    while piece := os.read(ready[0], 4096):
        said += piece
    os.close(ready[0])
    os.waitpid(child, 0)
    if said:
        raise EngineUnavailable(f"cannot map users: {said.decode('utf-8', 'replace').strip()}", advice)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    if own[0]:
        os.environ.update(zip(OF_USER, ("done", *map(str, own)), strict=True))
    return True


def capabilities(kind: str = "CapEff") -> frozenset[str]:
    """A set of this process's capabilities, as proc_pid_status(5) calls it; those it uses, or may use (`CapPrm`)."""
    with open("/proc/self/status", encoding="utf-8") as status:
        mask = next(int(line.split()[1], 16) for line in status if line.startswith(f"{kind}:"))
    return frozenset(name for number, name in enumerate(NAMES) if mask >> number & 1)


def _is_users_own() -> bool:
    """Whether the ids here are not all of the machine's: some kernel checks then are as for any user."""
    words = Path("/proc/self/uid_map").read_text("ascii").split()
    return words != ["0", "0", str(_ALL_IDS)]


def _map_from_outside(pid: int, lines: list[list[str]], go: tuple[int, int], ready: tuple[int, int]) -> None:
    """In a process that stays outside: map the ids once the other is inside; what goes wrong is written to it."""
    said = b""
    try:
        os.close(go[1])
        if os.read(go[0], 1):
            for kind, tool, words in zip(("uid", "gid"), _MAPPERS, lines, strict=True):
                if capabilities() >= _TO_MAP:
                    text = "".join(" ".join(words[at : at + 3]) + "\n" for at in range(0, len(words), 3))
                    Path(f"/proc/{pid}/{kind}_map").write_text(text)
                else:
                    done = subprocess.run([tool, str(pid), *words], capture_output=True)
                    if done.returncode:
                        said = done.stderr or f"{tool} failed".encode()
                        break
    except BaseException as error:
        said = str(error).encode() or b"?"
    finally:
        os.write(ready[1], said)
        os._exit(0)


def _mapping(kind: str) -> list[str]:
    """`INSIDE OUTSIDE COUNT` for each range. EngineUnavailable where the user has none."""
    if capabilities() >= _TO_MAP:
        rows = [line.split() for line in Path(f"/proc/self/{kind}_map").read_text("ascii").splitlines()]
        # One less than all: by a whole range runtimes tell that they are in no namespace of a user's.
        return [word for inside, _, n in rows for word in (inside, inside, str(min(int(n), _ALL_IDS - 1)))]
    missing = [tool for tool in _MAPPERS if not shutil.which(tool)]
    if missing:
        raise EngineUnavailable(
            f"cannot run containers as an ordinary user: {' and '.join(missing)} are not installed",
            "apt-get install uidmap",
        )
    own = os.geteuid() if kind == "uid" else os.getegid()
    words, inside = ["0", str(own), "1"], 1
    for start, number in _ranges(kind):
        words += [str(inside), str(start), str(number)]
        inside += number
    if inside == 1:
        raise EngineUnavailable(
            f"cannot run containers as an ordinary user: /etc/sub{kind} gives {_user()} no range", ranges_advice()
        )
    return words


def _ranges(kind: str) -> list[tuple[int, int]]:
    """The ranges of ids that this user may map (subuid(5), subgid(5))."""
    found = []
    try:
        for line in Path(f"/etc/sub{kind}").read_text("utf-8").splitlines():
            owner, _, numbers = line.strip().partition(":")
            start, _, number = numbers.partition(":")
            if owner in (_user(), str(os.geteuid())) and start.isdigit() and number.isdigit():
                found.append((int(start), int(number)))
    except OSError:
        pass
    return found


def _user() -> str:
    """The name of this user, in its namespace too."""
    outside = os.environ.get(OF_USER[1], "")
    number = int(outside) if outside.isdecimal() else os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except (KeyError, OverflowError):
        return str(number)


def ranges_advice() -> str:
    """What gives this user ids beside its own."""
    return f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {_user()}, as root"


def advice_on_namespaces() -> str:
    """What allows user namespaces here."""
    if in_container():
        return container_advice()
    for name, value in (
        ("kernel/apparmor_restrict_unprivileged_userns", "0"),
        ("kernel/unprivileged_userns_clone", "1"),
    ):
        path = Path("/proc/sys", name)
        if path.exists() and path.read_text("ascii").strip() != value:
            return f"sysctl {name.replace('/', '.')}={value}, as root"
    return "sysctl user.max_user_namespaces=15000, as root"


def container_advice() -> str:
    """What the container that this runs in has to be started with."""
    confined = False
    with contextlib.suppress(OSError):
        confined = "docker-default" in Path(_APPARMOR).read_text("ascii", "replace")
    return f"start the container that this runs in by `{_WITH_APPARMOR if confined else IN_CONTAINER}`"


def in_container() -> bool:
    """Whether this machine is a container."""
    return Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
