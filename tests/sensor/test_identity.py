"""The environment of the program, as the runtime would have made it for the image's USER."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from tests.sensor.harness import Sensor

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the sensor is started as root")

ROOT, USER = pwd.getpwuid(0), next(u for u in pwd.getpwall() if u.pw_uid and u.pw_dir != pwd.getpwuid(0).pw_dir)
OTHERS = [("PATH", "/usr/bin:/bin"), ("A", "1"), ("HOMELY", "x"), ("HOSTNAME", "y")]
NOBODY = "12345:54321"
"""A user whom /etc/passwd does not have."""


def environment(
    sensor: Sensor, given: list[tuple[str, str]], *options: str, user: str = USER.pw_name
) -> list[tuple[str, str]]:
    """What a program of `user` finds where the runtime has started the sensor with `given`, in this order."""
    options = ("--user", user, *options)
    run = sensor.run("notify", "/usr/bin/env", options=options, as_init=True, env=dict(given), cwd=Path("/usr"))
    assert run.code == 0, run
    return [(name, value) for name, _, value in (line.partition("=") for line in run.out.splitlines())]


@pytest.mark.parametrize("place", range(len(OTHERS) + 1))
def test_home_that_the_runtime_chose(sensor: Sensor, place: int) -> None:
    """runc appends HOME, Podman has variables of its own behind it: wherever it is, root's becomes the user's."""
    before, after = OTHERS[:place], OTHERS[place:]
    expected = [*before, ("HOME", USER.pw_dir), *after]
    assert environment(sensor, [*before, ("HOME", ROOT.pw_dir), *after]) == expected


@pytest.mark.parametrize("place", range(len(OTHERS) + 1))
@pytest.mark.parametrize("home", [ROOT.pw_dir, "/elsewhere"])
def test_home_of_the_image(sensor: Sensor, place: int, home: str) -> None:
    given = [*OTHERS[:place], ("HOME", home), *OTHERS[place:]]
    assert environment(sensor, given, "--keep-home") == given


def test_home_that_is_not_roots(sensor: Sensor) -> None:
    given = [("HOME", "/elsewhere"), *OTHERS]
    assert environment(sensor, given) == given


@pytest.mark.parametrize("options", [(), ("--keep-home",)])
def test_empty_home_counts_as_none(sensor: Sensor, options: tuple[str, ...]) -> None:
    assert environment(sensor, [("HOME", ""), *OTHERS], *options) == [("HOME", USER.pw_dir), *OTHERS]


def test_no_home(sensor: Sensor) -> None:
    assert environment(sensor, OTHERS) == [*OTHERS, ("HOME", USER.pw_dir)]


@pytest.mark.parametrize("place", range(len(OTHERS) + 1))
def test_home_of_a_number_without_a_line(sensor: Sensor, place: int) -> None:
    """runc says `/`; Podman makes a line for it, with the working directory."""
    before, after = OTHERS[:place], OTHERS[place:]
    given = [*before, ("HOME", ROOT.pw_dir), *after]
    assert environment(sensor, given, user=NOBODY) == [*before, ("HOME", "/"), *after]
    podman = ("container", "podman")
    assert environment(sensor, [podman, *given], user=NOBODY) == [podman, *before, ("HOME", "/usr"), *after]
    assert environment(sensor, [podman, *given]) == [podman, *before, ("HOME", USER.pw_dir), *after]
