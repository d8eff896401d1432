"""From numbers of system calls to a profile in Docker's format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.capabilities import DEFAULT
from debloat.embedded.seccomp import resolved
from debloat.profile import calls, groups
from debloat.profile.seccomp import profile, unseen

CAPS = frozenset(DEFAULT)
ADMIN = frozenset({"SYS_ADMIN"})
KERNEL = (6, 1)
NOTED = st.frozensets(st.tuples(st.sampled_from(["native", "compat"]), st.integers(0, 700)), max_size=30)


def number(name: str, machine: str = "x86_64") -> int:
    return calls.table()[name].numbers[machine]


def document(noted: list[tuple[str, int]], machine: str = "x86_64", held: frozenset[str] = frozenset()) -> Any:
    return json.loads(profile(noted, machine, held).document)


def answers(made: Any, held: frozenset[str] = frozenset(), architecture: str = "amd64") -> dict[str, list[Any]]:
    """By call: what a container with these capabilities gets, EPERM (1) and ENOSYS (38) as numbers."""
    rows = resolved(made, held, architecture, KERNEL)["syscalls"]
    found: dict[str, list[Any]] = {}
    for row in rows:
        for name in row["names"]:
            found.setdefault(name, []).append(row.get("errnoRet") or row.get("args") or "allowed")
    return found


def test_what_was_noted_is_allowed_and_what_was_not_is_refused() -> None:
    made = answers(document([("native", number("inotify_init1"))]))
    assert made["inotify_add_watch"] == made["read"] == ["allowed"]
    assert "chown" not in made
    assert "ptrace" not in made


@given(NOTED, st.sampled_from(["x86_64", "aarch64"]), st.sampled_from([frozenset[str](), ADMIN]))
def test_never_more_than_the_default_profile(
    noted: frozenset[tuple[str, int]], machine: str, held: frozenset[str]
) -> None:
    made = profile(noted, machine, held)
    assert all(calls.table()[name].allowed_to(held) for name in made.allowed)
    assert len(made.allowed) <= made.default
    assert list(made.allowed) == sorted(set(made.allowed))
    assert profile(sorted(noted), machine, held) == made
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[machine]
    for has in (frozenset[str](), ADMIN):
        for name, rows in answers(json.loads(made.document), has, architecture).items():
            assert rows == [38] or calls.table()[name].allowed_to(has), name


def test_a_call_that_needs_a_capability() -> None:
    noted = [("native", number("mount"))]
    assert "mount" not in answers(document(noted))
    made = document(noted, held=ADMIN)
    assert answers(made, ADMIN)["mount"] == ["allowed"]
    assert "mount" not in answers(made), "not to a container that is started without the capability"


def test_calls_that_are_allowed_with_some_arguments_only() -> None:
    made = document([("native", number("personality")), ("native", number("socket")), ("native", number("ptrace"))])
    assert [row[0]["value"] for row in answers(made)["personality"]] == [0, 8, 0x20000, 0x20008, 0xFFFFFFFF]
    assert [(row[0]["op"], row[0]["value"]) for row in answers(made)["socket"]] == [
        ("SCMP_CMP_LT", 38),
        ("SCMP_CMP_EQ", 39),
        ("SCMP_CMP_GT", 40),
    ]
    (args,) = answers(made)["clone"]
    assert args == [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    assert answers(document([], held=ADMIN), ADMIN)["clone"] == ["allowed"]
    assert answers(document([], held=ADMIN))["clone"] == [args]
    assert "ptrace" not in {
        name for row in resolved(made, frozenset(), "amd64", (4, 4))["syscalls"] for name in row["names"]
    }


def test_no_conditions_where_no_capability_was_added() -> None:
    """So runtimes that know only their own form of a profile read it rightly too."""
    rows = document([("native", number(name)) for name in ("mount", "clone", "clone3", "socket")], held=CAPS)[
        "syscalls"
    ]
    assert {key for row in rows for key in row} == {"names", "action", "args", "errnoRet"}


def test_young_calls_fail_as_on_a_kernel_without_them() -> None:
    made = answers(document([]))
    assert made["clone3"] == made["io_uring_setup"] == made["pidfd_open"] == [38]
    assert answers(document([("native", number("pidfd_open"))]))["pidfd_open"] == ["allowed"]
    with_admin = document([("native", number("clone3"))], held=ADMIN)
    assert answers(with_admin, ADMIN)["clone3"] == ["allowed"]
    assert answers(with_admin)["clone3"] == [38]


@pytest.mark.parametrize(
    ("machine", "compat", "native_only", "both"),
    [
        ("x86_64", "i386", "SCMP_ARCH_X86_64", ["SCMP_ARCH_X86"]),
        ("aarch64", "arm", "SCMP_ARCH_AARCH64", ["SCMP_ARCH_ARM"]),
    ],
)
def test_32_bit_programs_only_where_they_ran(machine: str, compat: str, native_only: str, both: list[str]) -> None:
    made = document([], machine)
    assert made["archMap"] == [{"architecture": native_only, "subArchitectures": []}]
    assert "mmap2" not in answers(made)
    made = document([("compat", number("mmap2", compat))], machine)
    assert made["archMap"] == [{"architecture": native_only, "subArchitectures": both}]
    assert answers(made)["mmap2"] == ["allowed"]


def test_names_of_another_machine_are_left_out() -> None:
    assert "open" not in answers(document([], "aarch64"))
    assert answers(document([]))["open"] == ["allowed"]


def test_what_the_sensor_lets_through_unseen() -> None:
    known = calls.names("x86_64")
    assert {known[int(n)] for n in unseen("x86_64").split(",")} == {
        name for name in groups.frequent() if "x86_64" in calls.table()[name].numbers
    }
    assert len(unseen("x86_64").split(",")) < 180, "the sensor has room for 192, three of which are its own"
