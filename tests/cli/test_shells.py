"""Where people say debloat from: the docker command, completion in shells, the manual page; by the real programs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from debloat.cli import dockerplugin, manual
from tests.support.cli import CommandLine

ROOT = Path(__file__).parents[2]


def program(name: str) -> str:
    """A program of the machine; a test of one that is missing fails in CI, where all are."""
    found = shutil.which(name)
    if found is None and not os.environ.get("CI"):
        pytest.skip(f"{name} is not installed")
    assert found is not None
    return found


def environment(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), "TERM": "dumb", **more}


# ------------------------------------------------------------------------------------------ docker debloat


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker"


@pytest.mark.engine
def test_docker_runs_the_plugin(debloat: CommandLine, docker: Path, tmp_path: Path) -> None:
    done = debloat("plugin", "install")
    place = docker / "cli-plugins" / "docker-debloat"
    assert (done.code, done.out, done.err) == (0, f"{place}\n", "")
    env = environment(tmp_path)

    def say(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program("docker"), *argv], env=env, capture_output=True, text=True, timeout=60)

    assert "debloat*" in say("--help").stdout
    assert say("debloat", "--version").stdout.startswith("debloat, version ")
    assert "--report FILE" in say("debloat", "vex", "--help").stdout
    elsewhere = say("--host", f"unix://{tmp_path}/none.sock", "debloat", "inspect", "x")
    assert elsewhere.returncode == 3
    assert f"{tmp_path}/none.sock" in elsewhere.stderr
    assert debloat("plugin", "install").code == 0, "again is no harm"
    assert debloat("plugin", "uninstall").code == 0
    assert not place.exists()
    assert "debloat*" not in say("--help").stdout
    assert debloat("plugin", "uninstall").code == 0


def test_what_somebody_else_made_is_left_alone(debloat: CommandLine, docker: Path) -> None:
    place = docker / "cli-plugins" / "docker-debloat"
    place.parent.mkdir(parents=True)
    place.write_text("#!/bin/sh\n")
    for verb in ("install", "uninstall"):
        assert "debloat did not make it" in debloat("plugin", verb).complaint
    assert place.read_text() == "#!/bin/sh\n"


@pytest.mark.parametrize(
    ("argv", "rest", "variable"),
    [
        (["debloat", "x", "--http", "/"], ["x", "--http", "/"], ("", "")),
        (["--context", "c", "debloat", "x"], ["x"], ("DOCKER_CONTEXT", "c")),
        (["-c=c", "-D", "--tls", "debloat"], [], ("DOCKER_CONTEXT", "c")),
        (["-H", "tcp://h:1", "-l", "debug", "debloat", "debloat"], ["debloat"], ("DOCKER_HOST", "tcp://h:1")),
        (["--host"], [], ("", "")),
        ([], [], ("", "")),
    ],
)
def test_docker_s_own_options(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], rest: list[str], variable: tuple[str, str]
) -> None:
    for name in ("DOCKER_CONTEXT", "DOCKER_HOST"):
        monkeypatch.setenv(name, "before")
    assert dockerplugin.own_arguments(argv) == rest
    if variable[0]:
        assert os.environ[variable[0]] == variable[1]


# ------------------------------------------------------------------------------------------ completion


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A directory with the command, as an installation has it."""
    place = tmp_path / "bin" / "debloat"
    place.parent.mkdir()
    place.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m debloat "$@"\n')
    place.chmod(0o755)
    return place.parent


COMPLETING = {
    "bash": (
        'source {script}; COMP_WORDS=(debloat sbom --f); COMP_CWORD=2; COMP_LINE="debloat sbom --f"; '
        '_debloat_completion debloat; printf "%s\\n" "${{COMPREPLY[@]}}"'
    ),
    "fish": "source {script}; complete --do-complete 'debloat sbom --f'",
    "zsh": (
        "autoload -Uz compinit; compinit -D; source {script}; "
        "compadd() {{ print -l -- $@ }}; _describe() {{ print -l -- ${{(P)4}} ${{(P)3}} }}; "
        "words=(debloat sbom --f); CURRENT=3; _debloat_completion"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", COMPLETING)
def test_a_shell_completes(debloat: CommandLine, tmp_path: Path, commands: Path, shell: str) -> None:
    done = debloat("completion", shell)
    assert done.code == 0
    script = tmp_path / f"complete.{shell}"
    script.write_text(done.out)
    env = environment(tmp_path, PATH=f"{commands}:{os.environ['PATH']}")
    flags = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    line = COMPLETING[shell].format(script=script)
    ran = subprocess.run(
        [program(shell), *flags, "-c", line], env=env, capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert "--format" in ran.stdout, ran.stderr
    assert "--output" not in ran.stdout


# ------------------------------------------------------------------------------------------ the manual


def test_the_manual_is_made_of_the_help() -> None:
    assert (ROOT / "docs" / "debloat.1").read_text() == manual.page(), "python -m debloat.cli.manual > docs/debloat.1"


@pytest.mark.slow
def test_man_shows_it() -> None:
    page = str(ROOT / "docs" / "debloat.1")
    env = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
    ran = subprocess.run([program("man"), "-l", page], env=env, capture_output=True, text=True, timeout=60)
    assert (ran.returncode, ran.stderr) == (0, "")
    text = re.sub(r".\x08", "", ran.stdout)
    assert "--no-files" in text
    assert "debloat IMAGE --http /" in text
    ran = subprocess.run([program("mandoc"), "-T", "lint", page], capture_output=True, text=True, timeout=60)
    assert ran.stdout == ""
