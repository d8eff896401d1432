"""Selectors and their index: the index finds what a look at every selector finds, and no rule hides an answer."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.closure import Rule, World, close
from debloat.core.model import Access, Entry, Kind, Op, Trace, Want
from debloat.image.rootfs import MemoryContents, Rootfs
from debloat.rules import all_rules
from debloat.selector import ALL, FILES, Format, Index, Selector, format_of
from tests.support import trees
from tests.support.debs import deb_world
from tests.support.elves import library, program
from tests.support.selectors import BY_SELECTOR_ALONE, hidden

PARTS = ("a", "lib", ".so", ".py", ".tar", ".gz", "rc", ".", "conf")
NAMES = st.lists(st.sampled_from(PARTS), min_size=1, max_size=3).map("".join)
DIRECTORIES = st.lists(NAMES, max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))
CONTENTS = st.sampled_from([b"", b"#", b"#!", b"#!/bin/sh\n", b"\x7fEL", b"\x7fELF\x02\x01", b"text", bytes(8)])
some = functools.partial(st.lists, max_size=2)


@st.composite
def entries(draw: Any) -> tuple[Entry, bytes]:
    kind = draw(st.sampled_from(list(Kind)))
    path = f"{draw(DIRECTORIES)}/{draw(NAMES)}"
    content = draw(CONTENTS) if kind is Kind.FILE else b""
    return Entry(path, kind, draw(st.sampled_from([0o644, 0o755, 0o4711])), size=len(content)), content


@st.composite
def selectors(draw: Any) -> Selector:
    return Selector(
        kinds=draw(st.frozensets(st.sampled_from(list(Kind)), min_size=1) | st.just(ALL)),
        names=draw(some(NAMES)),
        beginnings=tuple(draw(some(NAMES))),
        endings=tuple(draw(some(NAMES))),
        within=tuple(draw(some(st.sampled_from(["/a/", "/lib", "conf/", "/"])))),
        formats=draw(st.frozensets(st.sampled_from([Format.SCRIPT, Format.ELF]))),
        executable=draw(st.booleans()),
        paths=draw(st.none() | some(st.builds("{}/{}".format, DIRECTORIES, NAMES))),
    )


@given(st.lists(selectors(), max_size=6), st.lists(entries(), max_size=12))
def test_the_index_finds_what_each_selector_holds(declared: list[Selector], given: list[tuple[Entry, bytes]]) -> None:
    found = {entry.path: (entry, content) for entry, content in given}
    contents = {path: content for path, (entry, content) in found.items() if entry.is_file}
    rootfs = Rootfs([entry for entry, _ in found.values()], MemoryContents(contents))
    index = Index([(selector, number) for number, selector in enumerate(declared)], rootfs)
    for _ in range(2):  # the second time out of its tables
        for entry, _ in found.values():
            expected = tuple(n for n, selector in enumerate(declared) if selector.holds(entry, rootfs))
            assert index.of(entry) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"#!/bin/sh\n", Format.SCRIPT),
        (b"#!", Format.SCRIPT),
        (b"\x7fELF\x02\x01\x01", Format.ELF),
        (b"\x7fEL", Format.OTHER),
        (b"# no interpreter", Format.OTHER),
        (b"", Format.OTHER),
    ],
)
def test_the_format_of_a_file_is_told_by_its_beginning(content: bytes, expected: Format) -> None:
    rootfs = trees.tree({"/file": content, "/link": "-> file", "/directory/": ""})
    formats = {e.path: format_of(e, rootfs) for e in rootfs.entries()}
    assert formats == {"/": Format.OTHER, "/directory": Format.OTHER, "/file": expected, "/link": Format.OTHER}


def test_a_selector_says_of_which_entries() -> None:
    rootfs = trees.tree({"/etc/x.conf": "a", "/bin/tool": ("0755", "b"), "/opt/other": "c", "/l": "-> bin/tool"})

    def held(**fields: Any) -> list[str]:
        return [e.path for e in rootfs.entries() if Selector(**fields).holds(e, rootfs)]

    assert held(kinds=FILES) == ["/bin/tool", "/etc/x.conf", "/opt/other"]
    assert held(within=("/etc/",)) == ["/etc/x.conf"]
    assert held(executable=True, endings=(".conf",)) == ["/bin/tool", "/etc/x.conf"]
    assert held(paths=("/opt/other", "/gone"), names=("l",)) == ["/l", "/opt/other"]
    assert held(paths=()) == []


class Narrow(Rule):
    """A rule with a selector that hides some of what it has to say."""

    name = "narrow"
    selector = Selector(endings=(".conf",))

    def wants(self, entry: Entry, world: World) -> list[Want]:
        return [self.want("/b", entry.path)] if entry.is_file else []


def test_a_selector_that_hides_an_answer_is_found() -> None:
    world = trees.world({"/a.conf": "x", "/b": "y"})
    assert hidden([Narrow()], world, world.rootfs.entries()) == ["narrow of /b: /b"]


def test_a_rule_is_shown_what_it_selects_and_once() -> None:
    shown = []

    class Paths(Rule):
        name = "paths"
        selector = Selector(endings=(".conf",), paths=("/a.conf", "/b"))

        def wants(self, entry: Entry, world: World) -> list[Want]:
            shown.append(entry.path)
            return []

    world = trees.world({"/a.conf": "x", "/b": "y", "/c": "z"})
    close(world, [Paths()], [Want(path, "seed", "probe:x") for path in ("/a.conf", "/b", "/c")])
    assert shown == ["/a.conf", "/b"]


SOURCE = """
import subprocess, tool, plugin.one
subprocess.run(["jq"]); require("child_process").exec("jq"); require("./tool"); system("jq"); x = "/usr/share/data/file"
use Tool; require 'tool'; include "tool.php"; dlopen("libtool.so.1"); ffi_lib "tool"; perl -MTool -e 1; python3 -m tool
command = /usr/bin/jq --all
auth required pam_tool.so /usr/share/data/file
* * * * * root /usr/bin/jq
extension = tool.so
"""
"""Something for each reader, whatever it takes the text for."""

TOOLS = {
    "/usr/bin/jq": ("0755", "#!/bin/sh\n"),
    "/bin/sh": ("0755", "#!/bin/sh\n"),
    "/usr/bin/perl": ("0755", "x"),
    "/usr/bin/python3.11": ("0755", "x"),
    "/usr/lib/python3.11/os.py": "",
    "/usr/lib/python3/dist-packages/tool.py": "",
    "/usr/lib/python3/dist-packages/plugin/one.py": "",
    "/usr/lib/python3/dist-packages/plugin/__init__.py": "",
    "/usr/lib/x86_64-linux-gnu/security/pam_tool.so": "x",
    "/usr/share/perl5/Tool.pm": "1;",
    "/usr/share/data/file": "x",
}
"""What the source can be taken to name."""

LOUD = frozenset(
    {
        *("config.jobs", "config.names", "elf.needed", "kernel.shebang", "library.named", "node.child_process"),
        *("pam.stack", "perl.runtime", "perl.use", "python.import", "python.inline", "python.subprocess"),
        *("ruby.require", "shell.script", "source.mention", "subprocess"),
    }
)
"""Rules that are to have something to say of these files, else the test would say nothing of them."""


def known_names() -> list[str]:
    """Names that the rules know, by their whole or a part, and some that none knows."""
    world = trees.world({})
    declared = [rule.select(world) for rule in all_rules()]
    names = {name for selector in declared for name in selector.names}
    names |= {f"{start}x" for selector in declared for start in selector.beginnings}
    names |= {f"x{end}" for selector in declared for end in selector.endings}
    return sorted({*names, "tool", "x.bin", "x.css", "x.so.1", "README", "crontab", "app.cron.txt"})


def test_no_rule_hides_an_answer_on_files_of_every_name_and_format() -> None:
    first = ("sh", "python3", "perl", "node", "ruby", "php", "execlineb", "Rscript")
    scripts = [f"#!/usr/bin/{word}\n{SOURCE}" for word in first]
    scripts.append("#!/usr/bin/python3\nimport subprocess, tool\nsubprocess.run(['jq', '.'])\n")
    elves = [program(needs=("libtool.so.1",)), library("libc.so.6")]
    table: dict[str, Any] = {**TOOLS, "/usr/lib/x86_64-linux-gnu/libtool.so.1": library("libtool.so.1")}
    for directory in ("/app", "/etc", "/etc/cron.d", "/etc/pam.d", "/app/node_modules/one", "/usr/share/ruby-x"):
        for name in known_names():
            table.setdefault(f"{directory}/{name}", SOURCE)
    for number, content in enumerate((*scripts, *elves, SOURCE)):
        for name in ("tool", "x.bin", "x.py", "x.so", ".x", "libcx", "x.sh"):
            table[f"/srv/{number}/{name}"] = content
            table[f"/srv/{number}/run/{name}"] = ("0755", content)
            table[f"/srv/{number}/link/{name}"] = f"-> ../{name}"
    table["/srv/run.bin"] = "jq --all\n"
    run = Access("/srv/run.bin", Op.EXEC, "", "p", "/bin/sh")
    world = trees.world(table, owned={"one": ["/app/node_modules/one/x.js"]}, trace=Trace(frozenset({run})))
    entries = list(world.rootfs.entries())
    assert hidden(all_rules(), world, entries) == []
    index = Index([(rule.select(world), rule) for rule in all_rules()], world.rootfs)
    loud = {rule.name for entry in entries for rule in index.of(entry) if any(rule.wants(entry, world))}
    assert loud >= LOUD


def test_the_rules_that_rely_on_their_selector_are_rules() -> None:
    assert {rule.name for rule in all_rules()} >= BY_SELECTOR_ALONE


@pytest.mark.network
def test_no_rule_hides_an_answer_on_debian_packages() -> None:
    world = deb_world("base-files", "mawk", "dash", "mosquitto", "jq")
    assert hidden(all_rules(), world, world.rootfs.entries()) == []
