"""What a runtime is told of a container: pure functions of what the user, the image and the machine say."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from debloat.core.accounts import User
from debloat.core.capabilities import DEFAULT
from debloat.core.errors import UsageError
from debloat.core.model import ImageConfig
from debloat.embedded import bundle, files, seccomp
from debloat.engine.base import ContainerSpec

EVERY = frozenset({*DEFAULT, "SYS_ADMIN", "SYS_PTRACE", "NET_ADMIN"})
IMAGE = ImageConfig({"Entrypoint": ["/entry"], "Cmd": ["one"], "Env": ["PATH=/bin", "A=1"], "WorkingDir": "/w"})


def spec(**more: Any) -> ContainerSpec:
    return ContainerSpec("image", "run", **more)


@pytest.mark.parametrize(
    ("made", "argv"),
    [
        (spec(), ("/entry", "one")),
        (spec(cmd=("two",)), ("/entry", "two")),
        (spec(entrypoint=("/other",)), ("/other",)),
        (spec(entrypoint=("/other",), cmd=("two",)), ("/other", "two")),
    ],
)
def test_the_command_line(made: ContainerSpec, argv: tuple[str, ...]) -> None:
    assert bundle.program(made, IMAGE) == argv


def test_variables() -> None:
    given = spec(env=MappingProxyType({"A": "2", "B": "3"}))
    assert bundle.environment(given, IMAGE, "name") == ["PATH=/bin", "HOSTNAME=name", "A=2", "B=3"]
    assert bundle.environment(spec(), ImageConfig({}), "name")[0].startswith("PATH=/usr/local/sbin:")


@pytest.mark.parametrize(
    ("add", "drop", "held"),
    [
        ((), (), set(DEFAULT)),
        (("cap_sys_admin",), ("CHOWN",), set(DEFAULT) - {"CHOWN"} | {"SYS_ADMIN"}),
        (("SYS_PTRACE",), ("ALL",), {"SYS_PTRACE"}),
        (("ALL",), ("KILL",), set(EVERY) - {"KILL"}),
        (("SYS_BOOT",), (), set(DEFAULT)),  # which this machine cannot give
    ],
)
def test_capabilities(add: tuple[str, ...], drop: tuple[str, ...], held: set[str]) -> None:
    assert bundle.capabilities(spec(cap_add=add, cap_drop=drop), EVERY) == tuple(sorted(held))


def test_a_capability_that_is_none() -> None:
    with pytest.raises(UsageError, match="FLYING"):
        bundle.capabilities(spec(cap_add=("FLYING",)), EVERY)


def test_the_document() -> None:
    around = bundle.Surroundings("name", Path("/root"), Path("/files"), "/proc/1/fd/9", "/tini", EVERY, 1024)
    given = spec(init=True, read_only=True, tmpfs=("/run:size=1m",), no_new_privs=True)
    made = bundle.document(given, IMAGE, User(4, 5, (6,)), around, ("CHOWN",), {"defaultAction": "SCMP_ACT_ALLOW"})
    process = made["process"]
    assert process["args"] == ["/sbin/docker-init", "--", "/entry", "one"]
    assert process["user"] == {"uid": 4, "gid": 5, "additionalGids": [6]}
    assert (process["cwd"], process["noNewPrivileges"]) == ("/w", True)
    assert process["capabilities"]["bounding"] == ["CAP_CHOWN"]
    assert process["capabilities"]["effective"] == []
    assert made["root"] == {"path": "/root", "readonly": True}
    assert {"type": "network", "path": "/proc/1/fd/9"} in made["linux"]["namespaces"]
    mounts = {row["destination"]: row for row in made["mounts"]}
    assert mounts["/run"]["options"] == ["noexec", "nosuid", "nodev", "size=1m"]
    assert mounts["/etc/hosts"]["source"] == "/files/hosts"
    assert mounts["/sys"]["type"] == "sysfs"
    json.dumps(made)


def test_the_network_of_the_machine() -> None:
    around = bundle.Surroundings("name", Path("/root"), Path("/files"), "", "", EVERY, 0)
    made = bundle.document(spec(), IMAGE, User(), around, (), {})
    assert "network" not in {row["type"] for row in made["linux"]["namespaces"]}
    assert "rlimits" not in made["process"]


PROFILE = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": []},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
    ],
}


@pytest.mark.parametrize(
    ("held", "architecture", "kernel", "names"),
    [
        (set(), "amd64", (6, 1), ["read", "mount-", "arch_prctl", "ptrace"]),
        ({"SYS_ADMIN"}, "amd64", (4, 7), ["read", "mount", "arch_prctl"]),
        (set(), "arm64", (6, 1), ["read", "mount-", "ptrace"]),
    ],
)
def test_a_profile(held: set[str], architecture: str, kernel: tuple[int, int], names: list[str]) -> None:
    made = seccomp.resolved(PROFILE, frozenset(held), architecture, kernel)
    assert [row["names"][0] + "-" * ("errnoRet" in row) for row in made["syscalls"]] == names
    assert made["defaultErrnoRet"] == 38
    assert ("architectures" in made) == (architecture == "amd64")


def test_the_profile_that_is_written_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "seccomp.json").write_text("damaged")
    monkeypatch.setattr(seccomp, "PROFILES", (tmp_path / "seccomp.json",))

    def refused(*held: str) -> set[str]:
        made = seccomp.profile(held, "amd64", (6, 1))
        return {name for row in made["syscalls"] for name in row["names"]}

    assert {"mount", "unshare", "clone", "keyctl", "reboot"} <= refused()
    assert not {"mount", "unshare", "clone"} & refused("SYS_ADMIN")
    assert "keyctl" in refused("SYS_ADMIN")


@pytest.mark.parametrize(
    ("architecture", "machines"),
    [
        ("amd64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        ("arm64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
        ("riscv64", ["SCMP_ARCH_RISCV64"]),
    ],
)
def test_the_profile_that_is_written_down_is_for_32_bit_programs_too(
    monkeypatch: pytest.MonkeyPatch, architecture: str, machines: list[str]
) -> None:
    """A filter kills programs of machines that it does not name (seccomp_attr_set(3), SCMP_FLTATR_ACT_BADARCH)."""
    monkeypatch.setattr(seccomp, "PROFILES", ())
    assert seccomp.profile((), architecture, (6, 1))["architectures"] == machines


def test_resolvers_of_this_machine_are_not_the_containers() -> None:
    assert (
        files._beyond_loopback("search x\nnameserver 127.0.0.53\nnameserver 1.1.1.1\n")
        == "search x\nnameserver 1.1.1.1\n"
    )
    assert files._beyond_loopback("nameserver ::1\n") == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
