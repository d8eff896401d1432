"""Programs that are started by command lines in source code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Level
from debloat.rules import subprocesses
from debloat.rules.cmdline import programs, programs_of_argv
from debloat.rules.subprocesses import READERS, lines
from tests.support import trees

PROGRAMS = ("cat", "convert", "date", "gs", "jq", "nginx", "sort", "timeout", "wc")
IMAGE: trees.Table = {f"/usr/bin/{name}": ("0755", "\x7fELF") for name in PROGRAMS} | {
    "/usr/bin/sh": ("0755", "\x7fELF")
}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("wc -w", ["wc"]),
        ("echo one two | wc -w", ["echo", "wc"]),
        ("cd /tmp && A=1 jq . < x; date", ["cd", "jq", "date"]),
        ("timeout 5 sort x", ["timeout", "sort"]),
        ("sh -c 'cat x | sort'", ["sh", "cat", "sort"]),
        ("x=$(date +%s); $x y", ["date"]),
        ("/usr/bin/jq .", ["/usr/bin/jq"]),
        ("", []),
        ("'", []),
    ],
)
def test_lines_of_a_shell(line: str, words: list[str]) -> None:
    assert sorted(programs(line)) == sorted(words)


def test_argument_vectors() -> None:
    assert programs_of_argv(("env", "-u", "A", "jq", "; date")) == ("env", "jq")
    assert programs_of_argv(("echo", "date")) == ("echo",)


CASES = [
    ("/app/a.pl", "my $n = qx(echo one | wc -w);", ["wc"]),
    ("/app/a.pl", "print `date -u`; system('sort', $x);", ["date", "sort"]),
    ("/app/a.pl", "open(my $f, '-|', 'jq', '.') or die; exec 'gs -q';", ["gs", "jq"]),
    ("/app/a.pl", 'open(my $f, "cat x |"); open(my $g, "<", "convert");', ["cat"]),
    ("/app/a.pl", "IPC::Open3::open3(my $in, my $out, undef, 'date', '-u'); open2($o, $i, 'jq .');", ["date", "jq"]),
    ("/app/a.rb", "out, s = Open3.capture2('wc -w', stdin_data: x)", ["wc"]),
    ("/app/a.rb", '"#{`date +%Y`.strip}"; system("sort", file); IO.popen(["jq", "."])', ["date", "jq", "sort"]),
    ("/app/a.rb", 'x.exec("convert"); @system = "gs"', []),
    ("/app/a.rb", "# system('gs')\n  # see `sort`\nx", []),
    ("/app/a.php", "<?php echo trim(shell_exec('echo one | wc -w')), exec('date -u', $o);", ["date", "wc"]),
    (
        "/app/a.php",
        "<?php $p = new Process(['convert', $in]); proc_open(['gs', '-q'], $d, $q);\n// exec('sort')",
        ["convert", "gs"],
    ),
    # What looks like a call of `exec` is the end of a literal, and swallows the call after it.
    (
        "/app/a.php",
        "<?php case '/exec': echo shell_exec('date | wc -c'); break; case '/system': passthru('gs');",
        ["date", "gs", "wc"],
    ),
    (
        "/app/a.shtml",
        '<!--#exec cmd="date -u | wc -c" --><!--#exec cgi="/cgi-bin/sort" --> system("gs")',
        ["date", "wc"],
    ),
    ("/app/a.php", "<?php $db->exec('convert'); curl_exec($c); // sort", []),
    ("/app/a.R", 'c(system("echo 1 | wc -w", intern = TRUE), system2("date", "-u"))', ["date", "wc"]),
    (
        "/app/a.lua",
        "local p = io.popen('date -u | wc -c'); os.execute(\"sort x\")  -- x:execute('gs')",
        ["date", "sort", "wc"],
    ),
    ("/app/nginx.conf", 'content_by_lua_block { local f = io.popen("jq .") }', ["jq"]),
    ("/app/haproxy.cfg", "lua.execute('gs')\nexecute: 'sort'", []),
    ("/app/a.exs", 'System.cmd("sort", ["x"]); :os.cmd(~c"date -u"); Repo.cmd("gs")', ["date", "sort"]),
    ("/app/a.erl", 'os:cmd("date | wc"), open_port({spawn, "jq ."}, []), x:cmd("gs").', ["date", "jq", "wc"]),
    (
        "/app/a.jsp",
        '<% new ProcessBuilder("sort", "-u").start(); rt.exec("date -u"); db.execute("gs"); %>',
        ["date", "sort"],
    ),
    ("/app/a.jsp", '<% r.exec(new String[] {"sh", "-c", "date | wc -c"}); %>', ["date", "sh", "wc"]),
    ("/app/a.groovy", 'def t = "jq .".execute().text; sql.execute("gs")', ["jq"]),
    (
        "/app/a.aspx",
        '<% Process.Start("convert", "a b"); new ProcessStartInfo("jq"); My.Start("gs") %>',
        ["convert", "jq"],
    ),
    (
        "/app/a.tcl",
        "set x [exec date -u | wc -c]\nset f [open {|jq .} r]\n  exec sort $f\nputs {no exec gs}",
        ["date", "jq", "sort", "wc"],
    ),
    (
        "/app/a.scm",
        '(system "date | wc") (open-input-pipe "jq .") (system* "sort" "x") (display "gs")',
        ["date", "jq", "sort", "wc"],
    ),
    (
        "/app/a.lisp",
        '(uiop:run-program "date -u") (sb-ext:run-program "/usr/bin/jq" nil) (run-program (list "sort"))',
        ["date", "jq", "sort"],
    ),
    ("/app/tool", "#!/usr/bin/ruby\nsystem 'nginx -t'", ["nginx"]),
    ("/app/a.txt", "system('nginx')", []),
    ("/app/a.rb.sample", "system('nginx')", []),
]


@pytest.mark.parametrize(("path", "text", "expected"), CASES)
def test_calls(path: str, text: str, expected: list[str]) -> None:
    world = trees.world({**IMAGE, path: ("0755", text)})
    kept = trees.paths(trees.closed(world, subprocesses.RULES, path))
    assert kept == [path, *(f"/usr/bin/{name}" for name in expected)]


def test_a_package_s_code_reaches_what_it_may_assume() -> None:
    table = {**IMAGE, "/usr/share/perl5/A.pm": "system('jq .'); system('sort x'); # as `date`\nsay 'use `wc`';"}
    world = trees.world(
        table, owned={"liba-perl": ["/usr/share/perl5/A.pm", "/usr/bin/sort", "/usr/bin/wc"], "jq": ["/usr/bin/jq"]}
    )
    kept = trees.paths(trees.closed(world, subprocesses.RULES, "/usr/share/perl5/A.pm"))
    assert kept == ["/usr/bin/sort", "/usr/share/perl5/A.pm"]


def test_nothing_at_exact() -> None:
    world = trees.world({**IMAGE, "/app/a.rb": "system('jq')"}, level=Level.EXACT)
    assert trees.paths(trees.closed(world, subprocesses.RULES, "/app/a.rb")) == ["/app/a.rb"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mysystem('date')", ()),
        ("system('date'); $system('wc')", ("date",)),
        ("xsystem(system('date'))", ("date",)),
        ("IPC::Open3::open3($in, $out, $err, 'jq')", ("jq",)),
    ],
)
def test_a_call_is_a_word_of_its_own(text: str, words: tuple[str, ...]) -> None:
    (perl,) = (reader for reader in READERS if ".pl" in reader.suffixes)
    assert lines(text.encode(), perl) == words


@given(st.text("`'\"(system)|qx{},[]\\\n ", max_size=200), st.sampled_from(READERS))
def test_garbage_is_read_without_error(text: str, reader: subprocesses.Reader) -> None:
    lines(text.encode(), reader)


@pytest.mark.parametrize(
    "piece", ["system(", "open(a, '", "`a", "system('a', ", "qx(", "exec [", "\\", "system {", "popen \n"]
)
def test_what_is_said_over_and_over_is_found_as_if_it_were_said_a_few_times(piece: str) -> None:
    for reader in READERS:
        assert lines((piece * 20_000).encode(), reader) == lines((piece * 2_000).encode(), reader)
