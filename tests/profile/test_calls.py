"""The tables: system calls by number, and those that belong together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from debloat.profile import calls, groups

HEADERS = Path("/usr/include/x86_64-linux-gnu/asm")


@pytest.mark.parametrize(("machine", "header"), [("x86_64", "unistd_64.h"), ("i386", "unistd_32.h")])
def test_numbers_are_those_of_the_kernel(machine: str, header: str) -> None:
    path = HEADERS / header
    if not path.exists():
        pytest.skip("needs linux-libc-dev of amd64")
    found = {int(number): name for name, number in re.findall(r"#define __NR_(\w+) (\d+)", path.read_text())}
    ours = calls.names(machine)
    assert {number: ours.get(number) for number in found} == found


def test_what_the_sensor_calls_it_has_the_same_number() -> None:
    text = (Path(calls.__file__).parents[1] / "sensor/src/machine/aarch64.h").read_text()
    for name, number in re.findall(r"SYS_(\w+) = (\d+),", text):
        assert calls.table()[name].numbers["aarch64"] == int(number), name


@pytest.mark.parametrize("machine", ["x86_64", "i386", "aarch64", "arm"])
def test_a_number_is_one_call(machine: str) -> None:
    known = [call.numbers[machine] for call in calls.table().values() if machine in call.numbers]
    assert len(known) == len(set(known))
    assert calls.names(machine)[calls.numbers(machine, ["read"])[0]] == "read"


def test_what_the_default_profile_allows() -> None:
    table = calls.table()
    assert table["read"].allowed_to(frozenset())
    assert not table["mount"].allowed_to(frozenset())
    assert table["mount"].allowed_to(frozenset({"SYS_ADMIN"}))
    assert table["mount"].allowed_to(frozenset({"ALL"}))
    assert not table["kexec_load"].allowed_to(frozenset({"SYS_BOOT", "ALL"}))


def test_groups_name_calls_and_say_where_that_is_said() -> None:
    for group in groups.every():
        assert group.source
        assert group.calls <= calls.table().keys(), group.name


def test_what_belongs_together_is_allowed_together() -> None:
    assert "fchownat" not in groups.closed([])
    assert {"chown", "fchownat", "lchown"} <= groups.closed(["chown"])
    once = groups.closed(["inotify_init1"])
    assert groups.closed(once) >= once


def test_nothing_that_is_allowed_unseen_gives_rights() -> None:
    """Of what no program was seen to do, a profile allows nothing that Docker's default ties to a capability."""
    assert not [name for name in groups.closed([]) if not calls.table()[name].allowed and name != "clone3"]
