"""The command line: what it says of itself, what documents say of it, and how runs end, over the fake engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from debloat import __version__
from debloat.cli.main import cli, complain, main
from debloat.core import config, recipe
from debloat.core.errors import DebloatError, Interrupted
from debloat.fleet import config as fleets
from tests.support import snippets
from tests.support.cli import CommandLine
from tests.support.engine import Behaviour, FakeEngine
from tests.support.httpengine import HttpEngine, serving

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
        *(
            "slim",
            "build",
            "record",
            "combine",
            "apply",
            "check",
            "why",
            "diff",
            "inspect",
            "explore",
            "sbom",
            "doctor",
        ),
        "gc",
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
def test_recipes_in_documents(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every TOML block is read as what it is, a debloat.toml where the files are that its requests send."""
    monkeypatch.chdir(tmp_path)
    for block in document.read_text().split("```toml\n")[1:]:
        raw = tomllib.loads(block.partition("```")[0])
        raw = raw.get("tool", {}).get("debloat", raw)
        if "entry" in raw:
            (tmp_path / "fleet.toml").write_text(block.partition("```")[0])
            assert fleets.read(tmp_path / "fleet.toml").settings.entry
        elif not raw.keys() & {"family", "rule"}:
            for request in raw.get("request", ()):
                for name in (*request.get("files", {}).values(), *filter(None, [request.get("body_file")])):
                    Path(name).parent.mkdir(parents=True, exist_ok=True)
                    Path(name).touch()
            recipe.recipe(config.settings(raw, document.name))


# ---- how a call ends


def test_an_engine_that_is_not_there_ends_with_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shop:1"]) == 3
    assert "debloat doctor" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Interrupted("stopped by SIGTERM")])
def test_an_interruption_ends_with_130(
    error: BaseException, debloat: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(container: str, timeout: float) -> int:
        raise error

    monkeypatch.setattr(debloat.engine, "wait", interrupted)
    done = debloat("shop:1")
    assert (done.code, done.out) == (130, "")
    assert "Traceback" not in done.err


def test_a_bug_ends_with_70_and_says_so(debloat: CommandLine) -> None:
    debloat.engine.fail_on["wait"] = ZeroDivisionError("oops")
    done = debloat("shop:1", "-q")
    assert (done.code, done.out) == (70, "")
    assert "debloat: internal error: ZeroDivisionError: oops" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("slim",), "Missing argument 'IMAGE'"),
        (("shop:1", "--nonsense"), "No such option"),
        (("shop:1", "--level", "most"), "'most' is not one of"),
        (("shop:1", "--mechanism", "magic"), "'magic' is not one of"),
        (("shop:1", "other:1"), "unexpected extra argument"),
    ],
)
def test_words_that_no_verb_knows_end_with_2(debloat: CommandLine, arguments: tuple[str, ...], says: str) -> None:
    done = debloat(*arguments)
    assert done.code == 2
    assert says in done.complaint
    assert debloat.connected == 0


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
    engine = HttpEngine(FakeEngine({}, lambda rootfs, argv: Behaviour()))
    with (
        serving(engine, tmp_path / "engine.sock") as endpoint,
        subprocess.Popen(
            argv,
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "DOCKER_HOST": endpoint},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
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
