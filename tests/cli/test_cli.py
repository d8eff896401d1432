"""The command line: what it says of itself, what documents say of it, and how runs end, over the fake engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from debloat import __version__, sensor
from debloat.cli.main import cli, complain, main
from debloat.core import config, recipe
from debloat.core.errors import DebloatError, EngineUnavailable, Interrupted, MinimalFails
from debloat.engine import docker
from debloat.image.rootfs import Rootfs
from tests.support import snippets
from tests.support.engine import Behaviour, FakeEngine, Program
from tests.support.trees import Table, tree

# ---- what it says of itself


def verbs(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with the words that call it."""
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name))


VERBS = [pytest.param(path, command, id=" ".join(path)) for path, command in verbs()]


def test_the_verbs() -> None:
    assert {path[0] for path, _ in verbs()} >= {
        *("slim", "build", "record", "combine", "apply", "check", "why", "diff", "inspect", "sbom", "doctor", "gc"),
        *("lock", "hook"),
    }


@pytest.mark.parametrize(("path", "command"), VERBS)
def test_help(path: tuple[str, ...], command: click.Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: debloat {' '.join(path)} ")
    assert main([*path, "-h"]) == 0
    assert capsys.readouterr().out == text


@pytest.mark.parametrize(("path", "command"), VERBS)
def test_every_option_is_documented(path: tuple[str, ...], command: click.Command) -> None:
    assert command.help
    assert command.help.split("\n")[0][0].isupper()
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.help.endswith((".", ").")), option.help
            takes = not option.is_flag and not isinstance(option.type, click.Choice)
            assert option.metavar or not takes, option.name


def test_the_same_option_says_the_same_everywhere() -> None:
    """An option of a shared group is the same object; those that are declared twice must at least agree on dashes."""
    short: dict[str, set[str]] = {}
    for _, command in verbs():
        for option in command.params:
            for name in option.opts:
                if name.startswith("-") and not name.startswith("--"):
                    short.setdefault(name, set()).add(max(option.opts, key=len))
    clashes = {name: longs for name, longs in short.items() if len(longs) > 1}
    assert set(clashes) <= {"-o", "-f"}, clashes


def test_alone_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "debloat IMAGE[:TAG]" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


# ---- what documents say of it

SHOWN = [
    pytest.param(command, id=f"{document.name}: {command.text}")
    for document in snippets.documents()
    for command in snippets.commands(document.read_text())
]


@pytest.mark.parametrize("command", SHOWN)
def test_commands_in_documents(command: snippets.Snippet) -> None:
    assert snippets.wrong(command) == ""


def test_documents_show_commands() -> None:
    assert len(SHOWN) > 30


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("debloat shop:1 --http / | sh", ""),
        ("debloat why shop:1 /etc/passwd  # a comment", ""),
        ("debloat shop:1 --htpp /", "--htpp"),
        ("debloat why shop:1", "Missing argument 'PATH'"),
        ("debloat shop:1 --level most", "most"),
        ("debloat IMAGE [-t NEW] [--nonsense]", "--nonsense"),
        ("debloat hook uninstall", "No such command"),
        ("debloat shop:1 --exec 'unclosed", "No closing quotation"),
    ],
)
def test_the_check_of_documents_can_fail(command: str, says: str) -> None:
    found = snippets.wrong(snippets.Snippet(command))
    assert says in found
    assert bool(says) == bool(found)


def test_what_is_spoken_of_need_not_be_whole() -> None:
    assert snippets.wrong(snippets.Snippet("debloat why", whole=False)) == ""
    assert snippets.wrong(snippets.Snippet("debloat why --nonsense", whole=False)) == "--nonsense"


def test_commands_are_found_in_a_document() -> None:
    block = "$ debloat shop:1 \\\n    --http /\nX=1 debloat doctor\n- run: debloat check\nno debloat here\n"
    found = list(snippets.commands(f"Say `debloat gc` or\n```sh\n{block}```\ndebloat, we call it.\n"))
    assert [snippet.text for snippet in found] == [
        "debloat gc",
        "debloat shop:1  --http /",
        "debloat doctor",
        "debloat check",
    ]
    assert [snippet.whole for snippet in found] == [False, True, True, True]


@pytest.mark.parametrize("document", snippets.documents(), ids=lambda path: path.name)
def test_recipes_in_documents(document: Path) -> None:
    """Every TOML block that is a debloat.toml is read as one."""
    for block in document.read_text().split("```toml\n")[1:]:
        raw = tomllib.loads(block.partition("```")[0])
        raw = raw.get("tool", {}).get("debloat", raw)
        if not raw.keys() & {"family", "rule"}:
            recipe.recipe(config.settings(raw, document.name))


# ---- how runs end

TREE: Table = {
    "/usr/bin/tool": ("0755", "\x00static"),
    "/usr/share/tool/data": "data",
    "/usr/share/doc/big": "x" * 1000,
    "/tmp/": ("1777", ""),
}


def reads_data(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    return Behaviour((("open", "r", "/usr/share/tool/data"),), b"ok")


def tells(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    """A program whose answer shows what was removed."""
    return Behaviour((("open", "r", "/usr/share/tool/data"),), b"old" if "/usr/share/doc/big" in rootfs else b"new")


def fails(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    return Behaviour((("stat", "", "/tmp"),), b"", b"no database\n", 3)


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No engine, no configuration and no state but the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sensor, "binary", lambda architecture: b"sensor")


Engines = Callable[[Program], FakeEngine]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    """Puts a fake in the place of the engine."""

    def put(program: Program) -> FakeEngine:
        engine = FakeEngine({"tool:1": (tree(TREE), {"Entrypoint": ["/usr/bin/tool"]})}, program)
        monkeypatch.setattr(docker, "connect", lambda: engine)
        return engine

    return put


def left(engine: FakeEngine) -> list[str]:
    return [*engine.containers, *(n for n in engine.names if n.startswith("debloat-pending"))]


def test_stdout_carries_the_reference_and_nothing_else(engines: Engines, capsys: pytest.CaptureFixture[str]) -> None:
    engine = engines(reads_data)
    assert main(["tool:1", "--level", "exact"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "tool:1-slim\n"
    assert "next              docker run tool:1-slim" in captured.err
    assert "tool:1-slim" in engine.names
    assert left(engine) == []


def test_quiet_says_the_reference_only(engines: Engines, capsys: pytest.CaptureFixture[str]) -> None:
    engines(reads_data)
    assert main(["slim", "tool:1", "-q", "-t", "small:2"]) == 0
    assert capsys.readouterr() == ("small:2\n", "")


def test_reports_go_to_files(engines: Engines, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    engines(reads_data)
    arguments = ["--json", "r.json", "--html", "r.html", "--save-trace", "t.json", "--output", "i.tar", "--lock", "l"]
    assert main(["tool:1", "-q", *arguments]) == 0
    assert capsys.readouterr().out == "tool:1-slim\n"
    assert json.loads((tmp_path / "r.json").read_text())["result"] == "tool:1-slim"
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert {p.name for p in tmp_path.iterdir() if p.is_file()} == {"r.json", "r.html", "t.json", "i.tar", "l"}


def test_json_on_stdout_takes_the_place_of_the_reference(engines: Engines, capsys: pytest.CaptureFixture[str]) -> None:
    engines(reads_data)
    assert main(["tool:1", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True


def test_differences_end_with_5(engines: Engines, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    engine = engines(tells)
    assert main(["tool:1", "--level", "exact", "--json", "r.json", "--output", "i.tar"]) == MinimalFails.exit_code == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "the minimal image does not answer as the original does:\n  run CMD: the output differs" in captured.err
    assert "hint: try --level safe" in captured.err
    assert "tool:1-slim" not in engine.names
    assert left(engine) == []
    document = json.loads((tmp_path / "r.json").read_text())
    assert (document["passed"], document["result"]) == (False, "")
    assert not (tmp_path / "i.tar").exists()


def test_force_tags_and_still_ends_with_5(engines: Engines, capsys: pytest.CaptureFixture[str]) -> None:
    engine = engines(tells)
    assert main(["tool:1", "--level", "exact", "--force", "-q"]) == 5
    assert "tool:1-slim" in engine.names
    assert "--force" in capsys.readouterr().err


def test_an_original_that_fails_ends_with_4(engines: Engines, capsys: pytest.CaptureFixture[str]) -> None:
    engine = engines(fails)
    assert main(["tool:1", "-q"]) == 4
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("debloat: ")
    assert "no database" in captured.err
    assert left(engine) == []


def test_no_engine_ends_with_3(engines: Engines, capsys: pytest.CaptureFixture[str]) -> None:
    engine = engines(reads_data)
    engine.fail_on["create"] = EngineUnavailable("the engine went away", "start it")
    assert main(["tool:1", "-q"]) == 3
    assert capsys.readouterr() == ("", "debloat: the engine went away\n  hint: start it\n")


def test_an_engine_that_is_not_there_ends_with_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert main(["tool:1"]) == 3
    assert "debloat doctor" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("stopped by SIGTERM")])
def test_an_interruption_ends_with_130(
    error: BaseException, engines: Engines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = engines(reads_data)

    def interrupted(container: str, timeout: float) -> int:
        raise error

    monkeypatch.setattr(engine, "wait", interrupted)
    assert main(["tool:1"]) == 130
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert left(engine) == []


def test_a_bug_ends_with_70_and_says_so(
    engines: Engines, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = engines(reads_data)
    engine.fail_on["wait"] = ZeroDivisionError("oops")
    assert main(["tool:1", "-q"]) == 70
    assert "debloat: internal error: ZeroDivisionError: oops" in capsys.readouterr().err
    assert left(engine) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["slim"], "Missing argument 'IMAGE'"),
        (["tool:1", "--nonsense"], "No such option"),
        (["tool:1", "--level", "most"], "'most' is not one of"),
        (["tool:1", "--mechanism", "magic"], "'magic' is not one of"),
        (["tool:1", "other:1"], "unexpected extra argument"),
        (["tool:1", "-e", "X"], "is not K=V"),
        (["tool:1", "--http", "?"], "is no HTTP probe"),
        (["tool:1", "--args", "'"], "cannot split"),
        (["tool:1", "--keep", "etc/x"], "must be absolute"),
        (["tool:1", "-c", "missing.toml"], "cannot read missing.toml"),
        (["tool:1", "--trace", "missing.json"], "cannot read the trace missing.json"),
        (["tool:2"], "cannot find the image tool:2"),
        (["record", "tool:1"], "Missing option '--save-trace'"),
        (["combine", "-o", "x"], "Missing argument 'TRACE...'"),
        (["why", "tool:1"], "Missing argument 'PATH'"),
        (["hook", "nonsense"], "No such command"),
        (["sbom", "tool:1", "--format", "pdf"], "'pdf' is not one of"),
    ],
)
def test_usage_errors_end_with_2(
    arguments: list[str], says: str, engines: Engines, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = engines(reads_data)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert left(engine) == []


def test_a_message_cannot_act_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert complain(DebloatError("bad \x1b[2J name \udcff", "see \x9b")) == 70
    assert capsys.readouterr().err == "debloat: bad \\x1b[2J name \\xff\n  hint: see \\x9b\n"


def test_exit_codes_reach_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "debloat", "tool:1", "--level", "most"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(snippets.ROOT)},
    )
    assert done.returncode == 2
    assert done.stdout == ""


DOCKER = """#!/bin/sh
trap 'echo ended > "$0.end"; exit 130' TERM
echo $$ > "$0.pid"
while :; do sleep 0.01; done
"""
"""A docker command whose build takes for ever, and which says when it was ended in good order."""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_during_a_build_calls_the_build_off(tmp_path: Path, number: signal.Signals) -> None:
    docker = tmp_path / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    argv = [sys.executable, "-m", "debloat", "build", str(tmp_path)]
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not ((tmp_path / "docker.pid").exists() and (tmp_path / "docker.pid").read_text()):
            assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == f"debloat: interrupted by {number.name}\n"
    assert (tmp_path / "docker.end").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "docker.pid").read_text()), 0)


def test_a_full_disk_behind_standard_output_is_no_bug(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "debloat", "doctor", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"},
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("debloat: cannot write the output: No space left on device\n  hint: ")
