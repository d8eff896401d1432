"""The programs of a package that runs, and nothing of what merely runs beside it."""

from __future__ import annotations

import pytest

from debloat.closure import close
from debloat.core.model import Access, Level, Op, Trace
from debloat.rules.knowledge.plugins import MAX_PRIVATE_BYTES
from debloat.rules.knowledge.tools import MAX_TOOL_BYTES, RULES, StateDirectories
from tests.support import trees
from tests.support.debs import deb_world

SERVER = "/usr/sbin/served"
RUN = ("0755", "\x7fELF")
TREE: trees.Table = {
    SERVER: RUN,
    "/usr/bin/served-passwd": RUN,
    "/usr/bin/served-check": ("0755", "#!/bin/sh\n"),
    "/usr/bin/served-report": ("0755", "#!/usr/bin/perl -w\n"),
    "/usr/bin/served-ctl": ("0755", "#!/usr/bin/env lua\n"),
    "/usr/bin/served-sysreport": ("0755", "#!/bin/sh\n# perl\nps | perl -ne print\n"),
    "/usr/share/served/notes": "",
    "/usr/bin/served-notes": "",
    "/usr/bin/ask": RUN,
    "/usr/bin/other": RUN,
    "/usr/bin/lua": RUN,
    "/usr/bin/luadoc": ("0755", "#!/usr/bin/lua\n"),
    "/usr/bin/perl": RUN,
    "/bin/sh": RUN,
}
OWNED = {
    "served": [p for p in TREE if p.startswith(("/usr/sbin/served", "/usr/bin/served", "/usr/share/served"))],
    "served-clients=served": ["/usr/bin/ask"],
    "other": ["/usr/bin/other"],
    "lua": ["/usr/bin/lua", "/usr/bin/luadoc"],
}


def kept(*ran: str, level: Level = Level.SAFE, tree: trees.Table = TREE) -> list[str]:
    trace = Trace(frozenset(Access(path, Op.EXEC, "-", "p", path) for path in ran))
    world = trees.world(tree, owned=OWNED, trace=trace, level=level)
    return trees.paths(close(world, RULES))


def test_the_programs_of_a_package_that_runs_and_of_its_source() -> None:
    assert kept(SERVER) == ["/usr/bin/ask", "/usr/bin/served-check", "/usr/bin/served-passwd", SERVER]


def test_scripts_for_an_interpreter_that_runs() -> None:
    """The interpreter's own scripts are for developers."""
    found = kept(SERVER, "/usr/bin/lua")
    assert "/usr/bin/served-ctl" in found
    assert "/usr/bin/luadoc" not in found
    assert "/usr/bin/served-report" not in found


def test_a_shell_script_that_calls_an_interpreter_is_one_for_it() -> None:
    assert "/usr/bin/served-sysreport" not in kept(SERVER)
    assert "/usr/bin/served-sysreport" in kept(SERVER, "/usr/bin/perl")


@pytest.mark.parametrize("ran", [(), ("/usr/bin/other",)])
def test_nothing_of_what_does_not_run(ran: tuple[str, ...]) -> None:
    assert kept(*ran) == list(ran)


def test_not_at_exact() -> None:
    assert kept(SERVER, level=Level.EXACT) == []


def test_a_package_of_many_megabytes_is_left_to_the_trace() -> None:
    large: trees.Table = {**TREE, "/usr/bin/ask": ("0755", "x" * (MAX_PRIVATE_BYTES + 1))}
    assert "/usr/bin/ask" not in kept(SERVER, tree=large)
    assert "/usr/bin/served-passwd" in kept(SERVER, tree=large)


def test_the_tools_of_a_large_service_less_its_large_programs() -> None:
    large = ("0755", "x" * (MAX_TOOL_BYTES + 1))
    tree: trees.Table = {**TREE, SERVER: ("0755", "x" * (MAX_PRIVATE_BYTES + 1)), "/usr/bin/served-passwd": large}
    assert kept(SERVER, tree=tree) == ["/usr/bin/ask", "/usr/bin/served-check"]


def test_a_kept_program_has_the_directories_for_its_state() -> None:
    tree: trees.Table = {
        **TREE,
        "/var/lib/served/status": "",
        "/var/spool/served/in/x": "",
        "/var/lib/other/x": "",
        "/usr/share/served/x": "",
    }
    directories = ["/var/lib", "/var/lib/served", "/var/spool/served", "/var/spool/served/in", "/usr/share/served"]
    owned = {"served": [SERVER, *directories], "other": ["/usr/bin/other", "/var/lib/other"]}
    found = trees.paths(trees.closed(trees.world(tree, owned=owned), [StateDirectories()], SERVER))
    assert found == [SERVER, "/var/lib/served", "/var/spool/served", "/var/spool/served/in"]


def test_a_document_brings_no_directories() -> None:
    owned = {"served": ["/usr/share/served/notes", "/var/lib/served"]}
    world = trees.world({**TREE, "/var/lib/served/x": ""}, owned=owned)
    assert trees.paths(trees.closed(world, RULES, "/usr/share/served/notes")) == ["/usr/share/served/notes"]


# Real packages


@pytest.mark.network
def test_a_broker_and_its_clients() -> None:
    run = Access("/usr/sbin/mosquitto", Op.EXEC, "-", "p", "/usr/sbin/mosquitto")
    closure = close(deb_world("mosquitto", "mosquitto-clients", trace=Trace(frozenset({run}))), RULES)
    assert {"/usr/bin/mosquitto_passwd", "/usr/bin/mosquitto_rr"} <= closure.evidence.keys()


@pytest.mark.network
def test_essential_programs_bring_no_others() -> None:
    run = Access("/usr/bin/ls", Op.EXEC, "-", "p", "/usr/bin/ls")
    closure = close(deb_world("coreutils", trace=Trace(frozenset({run}))), RULES)
    assert "/usr/bin/cat" not in closure
