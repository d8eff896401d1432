"""Programs that configuration files name."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.model import Level
from debloat.rules import settings
from tests.support import trees

PROGRAMS = ("convert", "date", "find", "gcc", "gzip", "nologin", "sort", "tr", "uniq", "xargs")
IMAGE: trees.Table = {f"/usr/bin/{name}": ("0755", "\x7fELF") for name in PROGRAMS} | {"/usr/share/x/table": ""}


def _kept(
    path: str, text: str | bytes, mode: str = "0644", level: Level = Level.SAFE, owned: bool = False
) -> list[str]:
    table: trees.Table = {**IMAGE, path: (mode, text)}
    world = trees.world(table, owned={"pkg": [path]} if owned else {}, level=level)
    return [p.removeprefix("/usr/bin/") for p in trees.paths(trees.closed(world, settings.RULES, path)) if p != path]


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/etc/apache2/sites-available/site.conf", 'ExtFilterDefine up cmd="/usr/bin/tr a-z A-Z"', ["tr"]),
        ("/etc/apache2/sites-available/site", 'CustomLog "|/usr/bin/gzip -c" x', ["gzip"]),
        ("/etc/postgresql/15/main/postgresql.conf", "archive_command = 'test -f x || gzip < %p > x'  # date", ["gzip"]),
        ("/etc/app/tools.yml", "tools:\n  # /usr/bin/date\n  sum: /usr/bin/find\n", ["find"]),
        ("/app/tools.yml", "list:\n  command: sort -u | uniq -c\n", ["sort", "uniq"]),
        ("/app/tools.yml", "command:\n  - sort\n  - -u\nother:\n  - date\n", ["sort"]),
        ("/app/a.json", '{"on_upload_cmd": "convert - png:-", "exec": ["sort", "-u"]}', ["convert", "sort"]),
        ("/app/a.toml", "hook_post = ['date', '-u']\ncommander = 'x'", ["date"]),
        ("/etc/supervisor/conf.d/a.conf", "[program:x]\ncommand=sh -c 'date | sort'\n;command=uniq", ["date", "sort"]),
        ("/etc/cron.d/job", "*/5 * * * * root find / | xargs gzip\n# 1 1 1 1 1 root date", ["find", "gzip", "xargs"]),
        ("/var/spool/cron/crontabs/app", "@daily sort x\n0 1 * * 1-5 date", ["date", "sort"]),
        ("/app/Procfile", "web: convert x\nworker: env A=1 sort", ["convert", "sort"]),
        ("/etc/aliases", 'in: "|/usr/bin/uniq -c"', ["uniq"]),
        ("/app/a.xml", "<command>/usr/bin/date -u</command>", ["date"]),
        # What is no program, not there, a compiler, or not said.
        ("/app/a.conf", "command = gcc -O2\nprogram = none\ncmd=/usr/share/x/table\nprogrammed: sort\n", []),
        ("/app/a.conf", "path = /srv/usr/bin/date\nurl = http://x/usr/bin/sort\ndescription: how to sort", []),
        # Files that are no settings of the application.
        ("/etc/passwd", "x:x:1:1::/:/usr/bin/nologin", []),
        ("/etc/apt/apt.conf.d/x.conf", "command=/usr/bin/date", []),
        ("/app/README.md", "command: date /usr/bin/date", []),
        ("/app/.travis.yml", "script: date", []),
        ("/app/a.conf.sample", "command = date", []),
        ("/app/node_modules/x/a.json", '{"cmd": "date"}', []),
    ],
)  # fmt: skip
def test_programs(path: str, text: str, expected: list[str]) -> None:
    assert _kept(path, text) == expected


def test_a_package_s_own_settings_scripts_and_data_are_not_read() -> None:
    text = "command = date"
    assert _kept("/etc/app/a.conf", text, owned=True) == []
    assert _kept("/app/a.conf", text, mode="0755") == []
    assert _kept("/app/a.conf", b"command = date\0") == []
    assert _kept("/app/a.conf", "command = date\n" + "x" * settings.MAX_SETTINGS) == []
    assert _kept("/app/a.conf", text, level=Level.EXACT) == []


@given(st.text("cmd=:-\"'[]#/usrbin \n\\", max_size=200), st.sampled_from(["/app/a.yml", "/etc/cron.d/x", "/Procfile"]))
def test_garbage_is_read_without_error(text: str, path: str) -> None:
    list(settings.words(text, path))


@pytest.mark.parametrize("piece", ["cmd=", "/a", "- x:", "* ", "command: [", '"\\', "exec_"])
def test_long_input_is_read_in_time(piece: str) -> None:
    begun = time.process_time()
    list(settings.words(piece * (settings.MAX_SETTINGS // len(piece)), "/etc/cron.d/x"))
    assert time.process_time() - begun < 5
