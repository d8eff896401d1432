"""The image's own configuration names programs and files; tables of jobs are lines of shell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Level
from debloat.rules.system import configfiles
from debloat.rules.system.configfiles import commands, jobs, plain
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


FORMATS = ("convert", "date", "find", "gcc", "gzip", "nologin", "sort", "tr", "uniq", "xargs", "sh")


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
        (
            "/etc/supervisor/conf.d/a.conf",
            "[program:x]\ncommand=sh -c 'date | sort'\n;command=uniq",
            ["date", "sh", "sort"],
        ),
        ("/etc/cron.d/job", "*/5 * * * * root find / | xargs gzip\n# 1 1 1 1 1 root date", ["find", "gzip", "xargs"]),
        ("/app/crontab", "@daily sort x\n0 1 * * 1-5 date", ["date", "sort"]),
        ("/app/jobs.cron", "@daily root sort x", ["sort"]),
        ("/app/Procfile", "web: convert x\nworker: env A=1 sort", ["convert", "sort"]),
        ("/etc/aliases", 'in: "|/usr/bin/uniq -c"', ["uniq"]),
        ("/app/a.xml", "<command>/usr/bin/date -u</command>", ["date"]),
        # What is no program, not there, a compiler, or not said.
        ("/app/a.conf", "command = gcc -O2\nprogram = none\nprogrammed: sort\n", []),
        ("/app/a.conf", "path = /srv/usr/bin/date\nurl = http://x/usr/bin/sort\ndescription: how to sort", []),
        # Files that are no settings of the application.
        ("/etc/passwd", "x:x:1:1::/:/usr/bin/nologin", []),
        ("/etc/apt/apt.conf.d/x.conf", "command=/usr/bin/date", []),
        ("/app/README.md", "command: date /usr/bin/date", []),
        ("/app/.travis.yml", "script: date", []),
        ("/app/a.conf.sample", "command = date", []),
        ("/app/node_modules/x/a.json", '{"cmd": "date"}', []),
    ],
)
def test_programs_in_many_formats(path: str, text: str, expected: list[str]) -> None:
    programs: trees.Table = {f"/usr/bin/{name}": ("0755", "\x7fELF") for name in FORMATS}
    world = trees.world({**programs, path: text}, owned={"tools": [*programs]})
    found = trees.paths(trees.closed(world, configfiles.RULES, path))
    assert [p.removeprefix("/usr/bin/") for p in found if p != path] == expected


def test_programs_and_large_files_are_no_configuration() -> None:
    text = "command = check"
    assert kept("/srv/app/site.ini", text) == ["/usr/bin/check"]
    assert kept("/srv/app/site.ini", text + "\0") == []
    assert kept("/srv/app/site.ini", f"{text}\n{'x' * configfiles.MAX_SIZE}") == []
    tree: trees.Table = {**PROGRAMS, "/srv/app/site.ini": ("0755", text)}
    world = trees.world(tree, owned={"tools": [*PROGRAMS]})
    assert trees.paths(trees.closed(world, configfiles.RULES, "/srv/app/site.ini")) == ["/srv/app/site.ini"]


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


def test_a_package_s_job_stays_in_what_it_may_assume() -> None:
    path = "/etc/cron.d/served"
    owned = {"served": [path, "/usr/bin/feed"], "jq": ["/usr/bin/jq"]}
    assert kept(path, "* * * * * root feed | jq .", owned=owned) == ["/usr/bin/feed"]


def test_scripts_of_logrotate() -> None:
    text = "/var/log/x {\n  weekly\n  postrotate\n    check && feed\n  endscript\n}\nother\n"
    assert kept("/etc/logrotate.d/served", text) == ["/usr/bin/check", "/usr/bin/feed"]


@pytest.mark.network
def test_debian_s_own_logrotate_script() -> None:
    world = deb_world("rsyslog", "logrotate")
    found = trees.closed(world, configfiles.RULES, "/etc/logrotate.d/rsyslog")
    assert "/usr/lib/rsyslog/rsyslog-rotate" in found


@pytest.mark.parametrize(
    ("value", "expected"),
    [("'a b';", "a b"), ("\"sh -c 'x | y'\",", "sh -c 'x | y'"), ("a b, # c", "a b"), ('["a", "b"]', "a b"), ("", "")],
)
def test_a_value_without_its_format(value: str, expected: str) -> None:
    assert plain(value) == expected


@given(st.text("*/0123 @dailyroot\t%\\\n#", max_size=80), st.booleans())
def test_any_table_is_read(text: str, system: bool) -> None:
    assert all("\n" not in line for line in jobs(text, with_user=system))


@given(st.text("cmd=:-\"'[]#/usrbin \n\\", max_size=200))
def test_any_setting_is_read(text: str) -> None:
    assert all(number > 0 for number, _ in commands(enumerate(text.split("\n"), 1)))


@pytest.mark.parametrize("piece", ["cmd=", "/a", "- x:", "* ", "command: [", '"\\', "exec_", "exec "])
def test_long_input_is_read(piece: str) -> None:
    """No pattern takes more than linear time: with one that does, this test does not end."""
    text = piece * (configfiles.MAX_SIZE // len(piece))
    assert {number for number, _ in commands([(1, text)])} <= {1}
    assert len(list(jobs(text, with_user=True))) <= 1


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/app/hooks.json", '[{"hook": "sh", "args": ["-c", "check \\"x\\" | jq ."]}]', ["check", "jq", "sh"]),
        ("/app/hooks.json", '{"args": [\n  "-ec",\n  "check | jq ."\n]}', ["check", "jq"]),
        ("/app/hooks.json", '{"args": [{"name": "-c"}, {"from": "text", "name": "check | jq"}]}', ["check", "jq"]),
        ("/app/hooks.yaml", "- what: x\n  args:\n    - -c\n    - check | jq .\n", ["check", "jq"]),
        ("/app/hooks.yaml", "- args: ['-c', 'check | jq .']\n", ["check", "jq"]),
        ("/app/hooks.yaml", "job:\n  script: |\n    check x\n\n    jq .\n  other: feed\n", ["check", "jq"]),
        ("/app/hooks.yaml", "about: |\n  check x\n  jq .\n", []),
        ("/app/hooks.json", '{"args": ["-c", "-d", "x"], "text": "check"}', []),
        ("/etc/haproxy/haproxy.cfg", "program feeder\n    command /usr/bin/feed -x\n    option y\n", ["feed"]),
        ("/etc/gitconfig", '[filter "x"]\n\tclean = check -- %f\n\tsmudge = feed\n', ["check", "feed"]),
        ("/etc/gitconfig", "[core]\n\tsshCommand = check -i /k\n[alias]\n\tx = feed\n", ["check"]),
        ("/etc/gitconfig", "[credential]\n\thelper = !check | jq\n[diff]\n\texternal=feed", ["check", "feed", "jq"]),
    ],
)
def test_command_lines_in_structures(path: str, text: str, expected: list[str]) -> None:
    assert [p.rpartition("/")[2] for p in kept(path, text)] == expected


@given(st.text("-c\"' ,[]{}:|\n\\abc", max_size=80))
def test_structures_of_garbage(text: str) -> None:
    assert all(1 <= number <= text.count("\n") + 1 for number, _ in configfiles.shell_lines(text))
