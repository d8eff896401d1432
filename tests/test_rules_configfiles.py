"""The image's own configuration names programs and files; tables of jobs are lines of shell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.model import Level
from debloat.rules import configfiles
from debloat.rules.configfiles import commands, jobs
from tests.support import trees
from tests.support.debs import deb_world

RUN = ("0755", "")
PROGRAMS: trees.Table = {f"/usr/bin/{name}": RUN for name in ("check", "feed", "jq", "gcc", "true", "other", "sh")}


def kept(path: str, text: str, *, level: Level = Level.SAFE, owned: dict[str, list[str]] | None = None) -> list[str]:
    tree: trees.Table = {**PROGRAMS, "/usr/lib/served/helper": RUN, "/etc/served/table": "", path: text}
    world = trees.world(tree, owned=owned or {"tools": [*PROGRAMS, "/usr/lib/served/helper"]}, level=level)
    return [p for p in trees.paths(trees.closed(world, configfiles.RULES, path)) if p != path]


@pytest.mark.parametrize(
    ("text", "follows"),
    [
        ("extend hello /usr/bin/check --fast\n", ["/usr/bin/check"]),
        (
            "auth_param basic program /usr/lib/served/helper /etc/served/table",
            ["/etc/served/table", "/usr/lib/served/helper"],
        ),
        ("map=pcre:/etc/served/table, x", ["/etc/served/table"]),
        ('  "hook": "/usr/bin/check",', ["/usr/bin/check"]),
        ("[program:x]\ncommand=feed --all | jq .", ["/usr/bin/feed", "/usr/bin/jq"]),
        ("ExecStart=/usr/bin/sh -c 'check && feed'", ["/usr/bin/check", "/usr/bin/feed", "/usr/bin/sh"]),
        ("archive_command = 'feed %p'", ["/usr/bin/feed"]),
        # Comments, directories, the tool chain, words that are no setting, addresses.
        ("# /usr/bin/check\n; command=feed\n// /usr/bin/jq", []),
        ("path /usr/lib/served /usr/bin /", []),
        ("cc = /usr/bin/gcc\ncommand = gcc", []),
        ("allow other true", []),
        ("url http://host/usr/bin/check", []),
    ],
)
def test_names_in_a_configuration(text: str, follows: list[str]) -> None:
    assert kept("/etc/served/site.conf", text) == follows


def test_elsewhere_by_its_suffix_and_not_at_exact() -> None:
    assert kept("/srv/app/site.ini", "x /usr/bin/check") == ["/usr/bin/check"]
    assert kept("/srv/app/notes", "x /usr/bin/check") == []
    assert kept("/etc/served/site.conf", "x /usr/bin/check", level=Level.EXACT) == []


def test_what_a_package_ships_names_examples() -> None:
    path = "/etc/served/site.conf"
    assert kept(path, "x /usr/bin/check", owned={"served": [path]}) == []


def test_a_table_of_jobs() -> None:
    text = (
        "SHELL=/bin/sh\n# * * * * * root other\n*/5 3 * * 1-5 joe cd /tmp && feed | jq .a % input\n@daily root\tcheck\n"
    )
    assert kept("/etc/cron.d/jobs", text) == ["/usr/bin/check", "/usr/bin/feed", "/usr/bin/jq"]
    assert kept("/var/spool/cron/crontabs/joe", "0 0 * * * feed 100\\%") == ["/usr/bin/feed"]


def test_a_package_s_job_stays_in_its_circle() -> None:
    path = "/etc/cron.d/served"
    owned = {"served": [path, "/usr/bin/feed"], "jq": ["/usr/bin/jq"]}
    assert kept(path, "* * * * * root feed | jq .", owned=owned) == ["/usr/bin/feed"]


def test_scripts_of_logrotate() -> None:
    text = "/var/log/x {\n  weekly\n  postrotate\n    check && feed\n  endscript\n}\nother\n"
    assert kept("/etc/logrotate.d/served", text) == ["/usr/bin/check", "/usr/bin/feed"]


def test_debian_s_own_logrotate_script() -> None:
    world = deb_world("rsyslog", "logrotate")
    found = trees.closed(world, configfiles.RULES, "/etc/logrotate.d/rsyslog")
    assert "/usr/lib/rsyslog/rsyslog-rotate" in found


@pytest.mark.parametrize(("value", "words"), [("'a b';", ("a",)), ("\"sh -c 'x | y'\",", ("sh", "x", "y")), ("", ())])
def test_commands(value: str, words: tuple[str, ...]) -> None:
    assert commands(value) == words


@given(st.text("*/0123 @dailyroot\t%\\\n#", max_size=80), st.booleans())
def test_any_table_is_read(text: str, system: bool) -> None:
    assert all("\n" not in line for line in jobs(text, with_user=system))
