"""Shell: which commands, sourced files and paths follow from a kept script, and which do not."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.closure import close
from debloat.core.model import Access, Op, Trace
from debloat.debian.packages import Package
from debloat.rules.languages.shell import rules as shell
from debloat.rules.languages.shell import source as shellparse
from debloat.rules.languages.shell import tokens
from debloat.rules.languages.shell.tokens import MAX_BRACES, braces
from tests.support import trees
from tests.support.trees import Table

PROGRAMS = "cat chown find gosu id jq nginx redis-server tee timeout xargs env sh bash gcc apt-get sed perl java mysqld"


def _table(script: str, more: Table | None = None) -> Table:
    programs = {f"/usr/bin/{name}": ("0755", "\x7fELF") for name in PROGRAMS.split()}
    return {**programs, "/bin": "-> usr/bin", "/app/run.sh": ("0755", script), **(more or {})}


def _commands(script: str, trace: Trace = Trace()) -> list[str]:
    """Names of the programs below /usr/bin that a script of the application keeps."""
    closure = trees.closed(trees.world(_table(script), trace=trace), shell.RULES, "/app/run.sh")
    return [p.rpartition("/")[2] for p in trees.paths(closure, "/usr/bin/")]


CASES = [
    ("a simple command", "nginx -g x", ["nginx"]),
    ("all branches", "if false; then jq .; else sed p; fi; case $1 in a) tee x;; esac", ["jq", "sed", "tee"]),
    ("pipes, lists, background", "cat x | tee y && sed p & find . || jq", ["cat", "find", "jq", "sed", "tee"]),
    ("command substitution", 'x="a $(id -u) `sed p`"', ["id", "sed"]),
    ("substitutions in substitutions", 'x=$(sed "$(cat "$(id)")")', ["cat", "id", "sed"]),
    ("process substitution", "tee >(sed p) < <(cat y)", ["cat", "sed", "tee"]),
    ("functions are no commands", "nginx() { sed p; }\nnginx", ["sed"]),
    ("builtins are none", "printf x; test -f y; kill 1; true", []),
    ("a function's name as a real command", "sed() { command sed p; }", ["sed"]),
    ("exec", 'exec nginx "$@"', ["nginx"]),
    ("exec of arguments given by set", 'set -- redis-server "$@"; exec "$@"', ["redis-server"]),
    ("set without running arguments", "set -- redis-server; echo $1", []),
    ("wrappers in each other", "exec timeout -s KILL 5 gosu redis env A=b -u C redis-server", None),
    ("env with options", "env -i PATH=/x nginx", ["env", "nginx"]),
    ("xargs", "cat x | xargs -0 -n 1 sed -i p", ["cat", "sed", "xargs"]),
    ("find -exec", r"find . \! -user redis -exec chown redis {} +", ["chown", "find"]),
    ("sh -c", "sh -c 'nginx; jq \"$(cat x)\"'", ["cat", "jq", "nginx", "sh"]),
    ("sh -ec in sh -c", "sh -c \"bash -ec 'jq .'\"", ["bash", "jq", "sh"]),
    ("eval", 'eval "jq . $x"', ["jq"]),
    ("eval of itself ends", 'x=\'eval "$x"; jq\'; eval "$x"', ["jq"]),
    ("trap", "trap 'jq .' EXIT", ["jq"]),
    ("command -v", "if command -v jq >/dev/null; then :; fi", ["jq"]),
    ("a variable as command", 'CMD=nginx; "$CMD" -t', ["nginx"]),
    ("a variable with arguments", "CMD='nginx -t'; $CMD", ["nginx"]),
    ("a default", "${JAVA:-java} -jar x", ["java"]),
    ("an assigning default", ": ${JAVA:=java}; exec $JAVA", ["java"]),
    ("an array", 'c=(mysqld --x); "${c[@]}"', ["mysqld"]),
    ("a command behind a here-document", "cat <<A; jq .\nbody\nA\nnginx", ["cat", "jq", "nginx"]),
    ("a pipe behind one", "cat <<A | jq .\nsed\nA\nid", ["cat", "id", "jq"]),
    ("a function that is a loop", "f() for i in a; do jq $i; done\nid x", ["id", "jq"]),
    (
        "what is broken hides nothing",
        "if x; then jq; fi fi\nid (a; sed p)\ncase a in tee) cat;; esac",
        ["cat", "id", "jq", "sed"],
    ),
    ("backquotes in a default", "x=${A:-`jq .`}; nginx ${B:=`id -u`}", ["id", "jq", "nginx"]),
    ("quoted braces", "echo '{jq,nginx}' \"{a,b}\"", []),
    ("a table of commands", 'declare -A p=([a]=jq ["b c"]=sed); ${p[$1]} -c', ["jq", "sed"]),
    ("a table that grows", 'p[a]=jq; p+=([b]=sed); "${p[$1]}" -c', ["jq", "sed"]),
    ("a loop over an array", 'a=(jq sed); for c in "${a[@]}"; do $c x; done', ["jq", "sed"]),
    ("a name told in part", '"redis-$1" x; ${1}rgs y', ["redis-server", "xargs"]),
    (
        "a default in part of a name",
        'run() { local a=${1:-redis}; "${a}-server" x; "x${1:-args}"; }',
        ["redis-server", "xargs"],
    ),
    ("a name told too little", '"s$1" x; $1$2; ${1}d z', []),
    ("a loop over names", 'for c in jq sed; do "$c" x; done', ["jq", "sed"]),
    ("a here-document for a shell", "bash <<'EOT'\njq .\nEOT", ["bash", "jq"]),
    ("a here-document for another", "cat <<'EOT'\njq .\nEOT", ["cat"]),
    ("a here-document with a substitution", "cat <<EOT\n$(jq .)\nEOT", ["cat", "jq"]),
    ("an absolute path", "/usr/bin/jq .; /bin/sed p", ["jq", "sed"]),
    ("words of an echo are none", "echo jq sed; # nginx", []),
    ("package management", "apt-get update; gcc -c x", []),
    ("a broken script", "if nginx; then jq; find )", ["jq", "nginx"]),
]


@pytest.mark.parametrize(("script", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_commands(script: str, expected: list[str] | None) -> None:
    want = ["env", "gosu", "redis-server", "timeout"] if expected is None else expected
    assert _commands("#!/bin/sh\n" + script) == want


def test_evidence_names_word_and_line() -> None:
    closure = trees.closed(trees.world(_table("#!/bin/sh\n\nexec nginx -t\n")), shell.RULES, "/app/run.sh")
    (evidence,) = closure.evidence["/usr/bin/nginx"]
    assert (evidence.rule, evidence.source, evidence.detail) == ("shell.script", "/app/run.sh", "nginx, line 3")


def test_build_tools_follow_from_a_script_that_ran() -> None:
    ran = Trace(frozenset({Access("/app/run.sh", Op.EXEC, "", "probe", "/usr/bin/sh")}))
    assert _commands("#!/bin/sh\ngcc x", trace=ran) == ["gcc"]


FILES: Table = {
    "/usr/share/foo/common.sh": "jq .",
    "/usr/share/foo/lib": "helper() { sed p; }\nTOOL=jq",
    "/usr/share/foo/schema.sql": "",
    "/usr/share/foo/sql/a.sql": "",
    "/usr/share/foo/sql/b.sql": "",
    "/usr/share/foo/sql/c.txt": "",
    "/usr/lib/db/15/bin/initdb": ("0755", "\x7fELF"),
    "/etc/foo.conf": "",
    "/app/lib/more.sh": "tee x",
    "/etc/profile.d/x.sh": "sed p",
}

PATHS = [
    ("sourced, and followed", ". /usr/share/foo/common.sh", ["/usr/bin/jq", "/usr/share/foo/common.sh"]),
    (
        "a sourced file without a suffix gives its variables and functions",
        ". /usr/share/foo/lib\n$TOOL\nhelper",
        ["/usr/bin/jq", "/usr/bin/sed", "/usr/share/foo/lib"],
    ),
    ("beside the script", '. "$(dirname "$0")/lib/more.sh"', ["/app/lib/more.sh", "/usr/bin/tee"]),
    (
        "by its own directory",
        'd=$(cd "$(dirname "$0")" && pwd); . $d/lib/more.sh',
        ["/app/lib/more.sh", "/usr/bin/tee"],
    ),
    ("an argument", "psql -f /usr/share/foo/schema.sql", ["/usr/share/foo/schema.sql"]),
    ("an option's value", "x --conf=/etc/foo.conf", ["/etc/foo.conf"]),
    ("a redirection", "x < /usr/share/foo/schema.sql", ["/usr/share/foo/schema.sql"]),
    ("a pattern", "for f in /usr/share/foo/sql/*.sql; do :; done", [f"/usr/share/foo/sql/{n}.sql" for n in "ab"]),
    ("a part that cannot be told", "/usr/lib/db/$V/bin/initdb", ["/usr/lib/db/15/bin/initdb"]),
    (
        "through PATH set here",
        'PATH="/usr/lib/db/15/bin:$PATH"; initdb',
        ["/usr/lib/db/15/bin", "/usr/lib/db/15/bin/initdb"],
    ),
    (
        "a directory that is copied",
        "cp -r /usr/share/foo/sql /tmp",
        ["/usr/share/foo/sql", *(f"/usr/share/foo/sql/{n}" for n in ("a.sql", "b.sql", "c.txt"))],
    ),
    ("what is removed or said", "rm -f /etc/foo.conf; echo /etc/foo.conf", []),
    ("everything of the root", "ls /*; x /usr/$y", []),
    ("any file of all packages", '"/usr/bin/$1"; . "/etc/$2"; "/usr/$3/sed"', []),
]


@pytest.mark.parametrize(("script", "expected"), [c[1:] for c in PATHS], ids=[c[0] for c in PATHS])
def test_paths(script: str, expected: list[str]) -> None:
    world = trees.world(_table("#!/bin/bash\n" + script, FILES))
    kept = trees.paths(trees.closed(world, shell.RULES, "/app/run.sh"))
    assert [p for p in kept if p != "/app/run.sh"] == expected


class _Related(trees.FakePackages):
    """A package `tool` that depends on `dep`; `base` is essential; the rest are strangers."""

    def get(self, name: str) -> Package | None:
        depends = (("dep", "other"),) if name == "tool" else ()
        return Package(name, name, "1", "all", name, essential=name == "base", depends=depends)


def test_a_distribution_script_stays_in_what_it_may_assume() -> None:
    table = _table(
        "", {"/usr/bin/tool": ("0755", "#!/bin/sh\njq; sed; perl; nginx; tee /app/data/x"), "/app/data/x": ""}
    )
    owned = {"tool": ["/usr/bin/tool", "/usr/bin/jq"], "dep": ["/usr/bin/sed"], "base": ["/usr/bin/perl"]}
    owned["stranger"] = ["/usr/bin/nginx"]
    plain = trees.world(table)
    world = type(plain)(plain.rootfs, _Related(owned), plain.config)
    kept = trees.paths(close(world, shell.RULES, [shell.RULES[0].want("/usr/bin/tool", "probe:x")]))
    assert kept == ["/app/data/x", "/usr/bin/jq", "/usr/bin/perl", "/usr/bin/sed", "/usr/bin/tee", "/usr/bin/tool"]


NOT_FOLLOWED = [
    ("a build system's script", "/app/src/configure", "#!/bin/sh\nsed p"),
    ("a dependency's own tools", "/app/node_modules/x/release.sh", "#!/bin/sh\nsed p"),
    ("an interactive file", "/root/.bashrc", "sed p"),
    ("one with a suffix", "/etc/profile.d/x.sh", "sed p"),
    ("another language", "/app/x.pl", "#!/usr/bin/perl\nsed p;"),
    ("a binary", "/app/x.sh", "\0sed p"),
]


@pytest.mark.parametrize(("path", "text"), [c[1:] for c in NOT_FOLLOWED], ids=[c[0] for c in NOT_FOLLOWED])
def test_not_followed(path: str, text: str) -> None:
    world = trees.world(_table("", {path: ("0644", text)}))
    assert trees.paths(trees.closed(world, shell.RULES, path)) == [path]


def test_a_dependency_s_program_is_followed() -> None:
    path = "/app/node_modules/.bin/x"
    world = trees.world(_table("", {path: ("0755", "#!/bin/sh\nsed p")}))
    assert "/usr/bin/sed" in trees.closed(world, shell.RULES, path)


CONFIGS: list[tuple[str, dict[str, object], list[str]]] = [
    ("shell form", {"Cmd": ["/bin/sh", "-c", "nginx && jq ."]}, ["jq", "nginx", "sh"]),
    ("exec form with a wrapper", {"Entrypoint": ["timeout", "5"], "Cmd": ["nginx", "-t"]}, ["nginx", "timeout"]),
    ("the CMD of an entrypoint script", {"Entrypoint": ["/app/run.sh"], "Cmd": ["redis-server"]}, ["redis-server"]),
    ("HEALTHCHECK line", {"Healthcheck": {"Test": ["CMD-SHELL", "jq . || exit 1"]}}, ["jq", "sh"]),
    ("HEALTHCHECK words", {"Healthcheck": {"Test": ["CMD", "jq", "it's"]}}, ["jq"]),
    ("no HEALTHCHECK", {"Healthcheck": {"Test": ["NONE", "jq"]}}, []),
]


@pytest.mark.parametrize(("config", "expected"), [c[1:] for c in CONFIGS], ids=[c[0] for c in CONFIGS])
def test_config(config: dict[str, object], expected: list[str]) -> None:
    world = trees.world(_table("#!/bin/sh\n"), config=config)
    closure = close(world, shell.RULES)
    assert [p.rpartition("/")[2] for p in trees.paths(closure, "/usr/bin/")] == expected


@pytest.mark.parametrize(
    "piece", ["$(", "`", "${a:-", '"$(', "((", "if ", "a && ", "{ ", "<(", "[ x -a ", "case x in ("]
)
def test_deep_nesting_ends(piece: str) -> None:
    assert isinstance(shellparse.parse(piece.encode() * 3000), shellparse.Script)


_FRAGMENTS = st.sampled_from(
    [
        *(
            "$(",
            ")",
            "`",
            '"',
            "'",
            "\\",
            "${a",
            ":-",
            "}",
            "$x",
            "<<E",
            "\nE\n",
            "/usr/*",
            "x=",
            ";",
            "|",
            "&",
            "(",
            "[",
        ),
        *(
            "]",
            "--",
            "\0",
            " ",
            "\n",
            "for x in ",
            " do ",
            " done",
            "case ",
            " esac",
            "eval ",
            "sh -c ",
            "exec ",
            "set -- ",
        ),
    ]
)


@pytest.mark.parametrize("text", ["}\u00f1{\U0010d136\n", ":{\U00108712\x08h", "{\U000f33a5Ns"])
def test_characters_that_crashed_the_grammar(text: str) -> None:
    for number in range(50):
        assert isinstance(shellparse.parse(f"#!/bin/sh\n#{number}\n{text}".encode()), shellparse.Script)


def test_words_beyond_ascii_come_whole() -> None:
    script = shellparse.parse("cat '/srv/caf\u00e9 \U0010d136'".encode())
    closure = trees.closed(
        trees.world(_table("cat /srv/caf\u00e9", {"/srv/caf\u00e9": ""})), shell.RULES, "/app/run.sh"
    )
    assert len(script.commands) == 1
    assert "/srv/caf\u00e9" in closure


@given(st.lists(_FRAGMENTS, max_size=60).map("".join) | st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_garbage_is_read_without_error(text: str) -> None:
    _commands("#!/bin/sh\n" + text)


READ_BY_A_SHELL: list[tuple[str, str, Table]] = [
    ("a wrapper in the line", "/app/x", {"/app/x": ("0755", "#!/usr/bin/tini /bin/sh\njq .\n")}),
    ("env with options", "/app/x", {"/app/x": ("0755", "#!/usr/bin/env -S A=1 -u B sh\njq .\n")}),
    ("an applet", "/app/x", {"/app/x": ("0755", "#!/bin/busybox sh\njq .\n")}),
    ("no line at all", "/app/x", {"/app/x": ("0755", "# what it does\n\njq .\n")}),
    ("no line, a function first", "/app/x", {"/app/x": ("0755", "f() {\n jq .\n}\nf\n")}),
    ("not executable", "sh /app/x", {"/app/x": "#!/bin/sh\njq .\n"}),
    ("neither line nor bit", "bash -eu -o pipefail x", {"/app/x": "jq .\n"}),
    ("sourced", ". /app/x", {"/app/x": "jq .\n"}),
    ("standard input", "sh -s a <x", {"/app/x": "jq .\n"}),
    ("standard input behind a wrapper", "exec gosu u bash < /app/x", {"/app/x": "jq .\n"}),
    ("a pipe from cat", "cat /app/y x | env A=1 bash", {"/app/x": "jq .\n"}),
    ("a pipe from cat's input", "cat <x | tee z | sh; cat <x | sh", {"/app/x": "jq .\n"}),
    ("a pipe from echo", "echo 'id; jq .' | sh", {}),
]


@pytest.mark.parametrize(("script", "more"), [c[1:] for c in READ_BY_A_SHELL], ids=[c[0] for c in READ_BY_A_SHELL])
def test_what_a_shell_reads_is_a_script(script: str, more: Table) -> None:
    table = _table(f"#!/bin/sh\n{script}\n", {**more, "/bin/busybox": ("0755", "\x7fELF")})
    root = trees.world(table, config={"WorkingDir": "/app"})
    seeds = ("/app/run.sh", *(path for path in more if isinstance(more[path], tuple)))
    assert "/usr/bin/jq" in trees.closed(root, shell.RULES, *seeds).evidence


@pytest.mark.parametrize(
    ("script", "content"),
    [
        ("sh /app/x", "#!/usr/bin/python3\njq .\n"),
        ("cat /app/x | tee y", "jq .\n"),
        ("read a < /app/x", "jq .\n"),
        ("echo 'jq .' | sed p", "x\n"),
    ],
)
def test_what_no_shell_reads_is_none(script: str, content: str) -> None:
    root = trees.world(_table(f"#!/bin/sh\n{script}\n", {"/app/x": content}))
    assert "/usr/bin/jq" not in trees.closed(root, shell.RULES, "/app/run.sh").evidence


@pytest.mark.parametrize("text", ["MIT License\njq may be used\n", "\0jq", "", "\n\n", "<html>jq</html>"])
def test_executable_texts_are_no_scripts(text: str) -> None:
    root = trees.world(_table("id\n", {"/app/x": ("0755", text)}))
    assert "/usr/bin/jq" not in trees.closed(root, shell.RULES, "/app/x").evidence


def test_a_table_that_a_shell_read_is_no_script() -> None:
    """Shells read /etc/passwd for HOME, through libc, and other tables by `while read`."""
    opened = frozenset({Access("/etc/passwd", Op.OPEN, "", "probe", "/usr/bin/sh")})
    table = _table(
        "id\n", {"/etc/passwd": "root:x:0:0:root:/root:/usr/bin/jq\nlist:x:38:38:A;jq:/var/list:/usr/bin/jq\n"}
    )
    assert (
        "/usr/bin/jq" not in trees.closed(trees.world(table, trace=Trace(opened)), shell.RULES, "/etc/passwd").evidence
    )


def test_a_file_that_a_shell_read_while_recorded() -> None:
    opened = frozenset({Access("/app/jobs.txt", Op.OPEN, "", "probe", "/usr/bin/sh")})
    table = _table("id\n", {"/app/jobs.txt": "jq .\n"})
    for trace, kept in ((Trace(opened), True), (Trace(), False)):
        found = trees.closed(trees.world(table, trace=trace), shell.RULES, "/app/jobs.txt").evidence
        assert ("/usr/bin/jq" in found) is kept


@pytest.mark.parametrize("word", ["{/usr,}/lib{/*,}/x.so", "/usr/lib/{x,y}.so", "/usr/{lib,{lib64,lib32}/a}/x.so"])
def test_braces_in_paths(word: str) -> None:
    table = {"/usr/lib/x.so": "x", "/usr/lib/m/x.so": "x", "/usr/lib/y.so": "x", "/usr/lib/z.so": "x"}
    root = trees.world(_table(f'export LD_PRELOAD="$(echo {word})"\n', table))
    found = trees.paths(trees.closed(root, shell.RULES, "/app/run.sh"), "/usr/lib/")
    assert "/usr/lib/x.so" in found
    assert ("/usr/lib/m/x.so" in found) is ("*" in word)
    assert "/usr/lib/z.so" not in found


@given(st.lists(st.sampled_from(["{", "}", ",", "a", "/", "$", "\\", "*"]), max_size=24))
def test_braces_as_bash_expands_them(parts: list[str]) -> None:
    text = "".join(parts)
    if "\\" not in text and "$" not in text and "*" not in text and text.count("{") == text.count("}") <= 2:
        ran = subprocess.run(
            ["/bin/bash", "-fc", f"printf '%s\\n' x{text}"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert braces(f"x{text}") == ran
    assert 1 <= len(braces(text)) <= MAX_BRACES + 1 + text.count(",")


@given(st.text("ab;|&()<>'\"`$#{}\\\n \t", max_size=80))
def test_tokens_of_garbage(text: str) -> None:
    lines = [line for line, _ in tokens.pieces(text)]
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("cat <<A <<-'B' >x; jq\nsed\nA\n\ttee\n\tB\nid", [(1, "cat     >x"), (1, "jq"), (6, "id")]),
        ("a 2>&1 && b &>x & c", [(1, "a 2>&1"), (1, "b &>x"), (1, "c")]),
        (
            'f() { a; }\ncase x in y|z) b;; esac # no\n(c "$(d; e)")',
            [(1, "a"), (2, "b"), (3, 'c "$(d; e)"')],
        ),
        ("if a; then b 'x;\ny'; fi\nfor i in 1; do ! c; done", [(1, "a"), (1, "b 'x;\ny'"), (3, "c")]),
    ],
)
def test_tokens(text: str, want: list[tuple[int, str]]) -> None:
    assert list(tokens.pieces(text)) == want


@pytest.mark.parametrize("piece", ["$(a)", "$(", "${a", "`a`", "\\", "(", "'a"])
def test_quotes_that_nothing_closes_end(piece: str) -> None:
    """With two readings of each piece there would be more than the age of the universe has nanoseconds."""
    assert list(tokens.pieces(f'tool "{piece * 200}'))


def test_a_script_that_the_grammar_goes_on_about_is_read_by_its_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"f() { jq .; }; f\nif sed p; then tee; fi\n" * 100
    whole = shellparse.parse(text)
    monkeypatch.setattr(shellparse, "PATIENCE", -60.0)
    read = shellparse.parse(text + b"\n")
    assert whole.functions
    assert not read.functions
    assert {"jq", "sed", "tee"} <= {str(c.words[0].literal) for c in read.commands}


@given(
    st.lists(st.sampled_from(["jq .", "id -u", "sed p", "x=1 tee y"]), max_size=8),
    st.sampled_from([";", "\n", "&&", "|"]),
)
def test_tokens_of_lists(commands: list[str], between: str) -> None:
    assert [piece for _, piece in tokens.pieces(f" {between} ".join(commands))] == commands
