"""The Compose command as a program: which is found, and how what it says of a failure is put into a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat.compose.command import Answer, Compose, find
from debloat.core.errors import EngineUnavailable, UsageError
from debloat.engine.base import EngineInfo
from debloat.engine.traits import DOCKER, EngineTraits

INFO = EngineInfo("Docker", "20", "1.41", "linux", "amd64", "6", "overlay2", "unix:///run/x.sock", True, DOCKER)
PLUGIN = 'if [ "$1" = compose ]; then shift; [ "$1" = version ] && echo v2.26.1; exit 0; fi; exit 1'
STANDALONE = '[ "$1" = version ] && echo 1.29.2; exit 0'
WITHOUT_PLUGIN = "echo \"docker: 'compose' is not a docker command.\" >&2; exit 1"


def programs(directory: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    for name, script in scripts.items():
        path = directory / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))


@pytest.mark.parametrize(
    ("scripts", "argv", "separator"),
    [
        ({"docker": PLUGIN, "docker_compose": STANDALONE}, "docker compose", "-"),
        ({"docker": WITHOUT_PLUGIN, "docker_compose": STANDALONE}, "docker-compose", "_"),
        ({"docker_compose": STANDALONE}, "docker-compose", "_"),
    ],
)
def test_which_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripts: dict[str, str], argv: str, separator: str
) -> None:
    programs(tmp_path, monkeypatch, **scripts)
    found = find(INFO)
    assert (" ".join(found.argv), found.separator) == (argv, separator)
    assert found.environment == {"DOCKER_HOST": "unix:///run/x.sock"}


@pytest.mark.parametrize("scripts", [{}, {"docker": WITHOUT_PLUGIN}])
def test_none_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripts: dict[str, str]) -> None:
    programs(tmp_path, monkeypatch, **scripts)
    with pytest.raises(EngineUnavailable, match="there is no Compose here"):
        find(INFO)


def test_the_engine_of_debloat_itself_has_none() -> None:
    with pytest.raises(EngineUnavailable, match="Compose does not speak to"):
        find(replace(INFO, traits=EngineTraits("embedded")))


@pytest.mark.parametrize(
    ("err", "cause"),
    [
        (
            "The Compose file './compose.yaml' is invalid because:\nUnsupported config option for services.a: 'foo'\n",
            "The Compose file './compose.yaml' is invalid because: Unsupported config option for services.a: 'foo'",
        ),
        (
            'time="2026-01-01T00:00:00Z" level=warning msg="version is obsolete"\nvalidating /x.yml: services.a foo\n',
            "validating /x.yml: services.a foo",
        ),
        (
            " Network debloat-1_default  Created\n Container debloat-1-db-1  Starting\n Container x  Error\n"
            "dependency failed to start: container debloat-1-db-1 is unhealthy\n",
            "dependency failed to start: container debloat-1-db-1 is unhealthy",
        ),
        (
            'Creating x-db ... done\nERROR: for web  Container "3aa" is unhealthy.\n'
            "Encountered errors while bringing up the project.\n",
            'for web Container "3aa" is unhealthy.',
        ),
        ("", "exit code 1"),
    ],
)
def test_the_cause_is_one_line(err: str, cause: str) -> None:
    assert Answer(1, "", err).cause == cause


def test_what_it_refuses_is_said_in_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, docker_compose="echo 'services.a: foo' >&2; exit 15")
    file = tmp_path / "compose.yaml"
    file.write_text("")
    with pytest.raises(UsageError, match=r"cannot use the compose file: services\.a: foo"):
        Compose(("docker-compose",), "2").document([str(file)], [])
    with pytest.raises(UsageError, match="there is no such file"):
        Compose(("docker-compose",), "2").document([str(tmp_path / "other.yaml")], [])


def test_a_call_is_ended_when_it_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, docker_compose="exec /bin/sleep 600")
    assert Compose(("docker-compose",), "2").call(["up"], 0.05) == Answer(None, "", "")


def test_files_and_profiles_are_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(tmp_path, monkeypatch, docker_compose='echo "services: {a: {command: \\"$*\\"}}"')
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    found = Compose(("docker-compose",), "2").document(["a.yaml", "b.yaml"], ["p"])
    assert found.services["a"]["command"] == "-f a.yaml -f b.yaml --profile p config"
