"""The programs of a service whose daemon ran."""

from __future__ import annotations

import pytest

from debloat.model import Access, Level, Op, Trace
from debloat.rules import services
from tests.support import trees
from tests.support.debs import deb_world

UNIT = "[Service]\nExecStart=/usr/sbin/daemon -F\n"
IMAGE: trees.Table = {
    "/usr/sbin/daemon": ("0755", "\x7fELF"),
    "/usr/bin/daemon-log": ("0755", "\x7fELF"),
    "/usr/bin/daemon-sh": ("0755", "#!/bin/sh\n"),
    "/usr/bin/daemon-pl": ("0755", "#!/usr/bin/perl\n"),
    "/usr/bin/daemon-big": ("0755", "\x7fELF" + "x" * services.MOST_BYTES),
    "/usr/bin/daemon.txt": "",
    "/usr/share/daemon/helper": ("0755", "\x7fELF"),
    "/usr/bin/perl": ("0755", "\x7fELF"),
    "/usr/bin/cat": ("0755", "\x7fELF"),
    "/usr/bin/tac": ("0755", "\x7fELF"),
}
OWNED = {
    "daemon": [p for p in IMAGE if "daemon" in p] + ["/lib/systemd/system/daemon.service"],
    "perl": ["/usr/bin/perl"],
    "coreutils": ["/usr/bin/cat", "/usr/bin/tac"],
}


def _kept(*ran: str, unit: str = UNIT, also: tuple[str, ...] = (), level: Level = Level.SAFE) -> list[str]:
    trace = Trace(frozenset(Access(path, Op.EXEC, "", "p", path) for path in ran))
    world = trees.world({**IMAGE, "/lib/systemd/system/daemon.service": unit}, owned=OWNED, trace=trace, level=level)
    closure = trees.closed(world, services.RULES, *ran, *also)
    return [p for p in trees.paths(closure) if "service.program" in trees.rules_for(closure, p)]


def test_a_daemon_that_ran_brings_the_programs_of_its_package() -> None:
    assert _kept("/usr/sbin/daemon") == ["/usr/bin/daemon-log", "/usr/bin/daemon-sh"]


def test_scripts_come_with_their_interpreter() -> None:
    kept = ["/usr/bin/daemon-log", "/usr/bin/daemon-pl", "/usr/bin/daemon-sh"]
    assert _kept("/usr/sbin/daemon", also=("/usr/bin/perl",)) == kept
    assert _kept("/usr/bin/perl") == []


@pytest.mark.parametrize(
    "unit",
    ["", "[Service]\nExecStart=/usr/sbin/daemonic\n", "# ExecStart=/usr/sbin/daemon\n", "[Unit]\nDescription=daemon\n"],
)
def test_a_program_that_no_unit_starts_is_no_daemon(unit: str) -> None:
    assert _kept("/usr/sbin/daemon", unit=unit) == []


def test_neither_a_program_of_a_package_without_a_unit_nor_a_daemon_that_did_not_run() -> None:
    assert _kept("/usr/bin/cat", also=("/usr/sbin/daemon",)) == []
    assert _kept("/usr/sbin/daemon", level=Level.EXACT) == []


@pytest.mark.parametrize(
    ("packages", "daemon", "kept", "gone"),
    [
        (("varnish",), "/usr/sbin/varnishd", "/usr/bin/varnishlog", "/usr/share/varnish/vmodtool.py"),
        (("haproxy",), "/usr/sbin/haproxy", "/usr/bin/halog", "/usr/share/doc/haproxy/copyright"),
        (("mariadb-server", "mariadb-server-core"), "/usr/sbin/mariadbd", None, "/usr/bin/mysqld_multi"),
        (("util-linux",), "/usr/bin/mount", None, "/usr/bin/lsblk"),
    ],
)
def test_real_packages(packages: tuple[str, ...], daemon: str, kept: str | None, gone: str) -> None:
    world = deb_world(*packages, trace=Trace(frozenset({Access(daemon, Op.EXEC, "", "p", daemon)})))
    closure = trees.closed(world, services.RULES, daemon)
    assert kept is None or kept in closure
    assert gone not in closure
