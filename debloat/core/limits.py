"""What an image may be: `[budget]` and `[policy]` of the configuration, which the gate holds images to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from debloat.core.table import COUNT, FLAG, GLOB, NUMBER, either, key, list_of, map_of, matching, one_of, table_of

DRIFT = (
    *("missing", "setuid", "shell", "package-manager", "world-writable", "port", "user", "package", "recipe", "file"),
    *("content", "version", "size"),
)
"""Ways in which an image differs from its lock; the gate has a rule for each."""

DEFAULT_FLOOR = 10**6
"""Bytes that an image may grow whatever the percentage: below, percentages of small images are noise."""

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def _bytes(match: re.Match[str]) -> int:
    return int(float(match[1]) * _UNITS[(match[2] or "").lower()])


SIZE = either(
    COUNT,
    matching("a size", '"40MB"', r" *([0-9]{1,15}(?:\.[0-9]{1,6})?) *((?:[kKmMgG][iI]?)?[bB])? *", _bytes),
    "a size in bytes, or such as 40MB or 38 MiB",
    '"40MB"',
)
"""Bytes: a number, or a text with a decimal (kB, MB, GB) or binary (KiB, MiB, GiB) unit."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How much an image may grow since its lock: more than both is too much."""

    percent: float = key(NUMBER, "Percent of the lock's size.", required=True)
    floor: int | None = key(SIZE, "Bytes that count for nothing, whatever the percentage.", example='"1MB"')


def _growth(match: re.Match[str]) -> Growth:
    return Growth(float(match[1]))


GROWTH = either(
    matching("a percentage", '"10%"', r" *([0-9]{1,6}(?:\.[0-9]{1,3})?) *% *", _growth),
    table_of(Growth, "{}"),
    "a table of percent and floor",
    '{ percent = 10, floor = "1MB" }',
)


@dataclass(frozen=True, slots=True)
class Budget:
    """How large an image may be."""

    max_size: int | None = key(SIZE, "Bytes of files, a hard-linked file once.")
    max_files: int | None = key(COUNT, "Everything but directories.", example="2000")
    max_packages: int | None = key(COUNT, "Debian packages with files in the image.", example="30")
    max_growth: Growth | None = key(GROWTH, "Growth since the lock; a percentage alone has a floor of 1 MB.")


_GLOBS = list_of(GLOB, "a list of absolute patterns")


@dataclass(frozen=True, slots=True)
class Restrictions:
    """What an image must have and must not have."""

    no_shell: bool | None = key(FLAG, "No shell.")
    no_setuid: bool | None = key(FLAG, "No file with a setuid or setgid bit.")
    no_package_manager: bool | None = key(FLAG, "No package manager.")
    no_world_writable: bool | None = key(FLAG, "Nothing that any user may write to, but sticky directories.")
    non_root: bool | None = key(FLAG, "A USER other than root.")
    forbid: tuple[str, ...] = key(_GLOBS, "Paths that must not be there.", example='["/usr/bin/curl"]')
    require: tuple[str, ...] = key(_GLOBS, "Patterns that something must match.", example='["/etc/ssl/certs/**"]')
    allow: tuple[str, ...] = key(_GLOBS, "Paths that no rule reports.", example='["/usr/bin/dash"]')
    drift: Mapping[str, str] = key(
        map_of(one_of(("off", "note", "warning", "error"), '"warning"'), expected="a table of severities", names=DRIFT),
        "How much a difference from the lock weighs.",
        example='{ version = "off" }',
    )
