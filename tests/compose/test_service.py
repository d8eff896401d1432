"""A service over its image: what the compose file says counts, and what it leaves open the image says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from debloat.compose.service import Service, config_of, options_of, recipe_of
from debloat.core import config
from debloat.core.errors import UsageError
from debloat.core.http import HttpProbe
from debloat.core.model import ImageConfig, Level
from debloat.core.recipe import Readiness, RunOptions, Settings

IMAGE = ImageConfig(
    {
        "Entrypoint": ["/entry"],
        "Cmd": ["serve"],
        "Env": ["TZ=UTC", "A=image"],
        "User": "app",
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "check"]},
    }
)


@pytest.mark.parametrize(
    ("service", "program"),
    [
        ({}, "/entry serve"),
        ({"command": None, "entrypoint": None}, "/entry serve"),
        ({"command": "work --all"}, "/entry work --all"),
        ({"entrypoint": "/other"}, "/other"),
        ({"entrypoint": ["/other"], "command": ["x"]}, "/other x"),
        ({"entrypoint": [], "command": ["x"]}, "x"),
    ],
)
def test_the_program(service: dict[str, Any], program: str) -> None:
    found = config_of(service, IMAGE)
    assert " ".join((*found.entrypoint, *found.cmd)) == program


@pytest.mark.parametrize(
    ("check", "test"),
    [
        (None, ("CMD", "check")),
        ({"interval": "1s"}, ("CMD", "check")),
        ({"test": "pg_isready -U $$USER"}, ("CMD-SHELL", "pg_isready -U $USER")),
        ({"test": ["CMD", "a", "b"]}, ("CMD", "a", "b")),
        ({"test": ["NONE"]}, ()),
        ({"disable": True}, ()),
    ],
)
def test_the_health_check(check: dict[str, Any] | None, test: tuple[str, ...]) -> None:
    assert config_of({"healthcheck": check}, IMAGE).healthcheck == test


def test_the_rest_of_the_configuration() -> None:
    found = config_of(
        {
            "environment": {"A": "$$5", "B": None},
            "ports": ["8080:8000"],
            "user": "7",
            "working_dir": "/w",
            "stop_signal": "SIGINT",
        },
        IMAGE,
    )
    assert found.env == {"TZ": "UTC", "A": "$5"}
    assert found.ports == ("80/tcp", "8000/tcp")
    assert (found.user, found.workdir, found.stop_signal) == ("7", "/w", "SIGINT")


@pytest.mark.parametrize(
    ("service", "options"),
    [
        ({}, RunOptions()),
        ({"network_mode": "host"}, RunOptions(network="host")),
        ({"network_mode": "service:db"}, RunOptions(network="container:db")),
        ({"network_mode": "bridge"}, RunOptions()),
        ({"privileged": True, "cap_add": ["SYS_NICE"]}, RunOptions(cap_add=("SYS_NICE", "ALL"))),
        ({"cap_drop": ["ALL"], "group_add": [7]}, RunOptions(cap_drop=("ALL",), group_add=("7",))),
        ({"security_opt": ["no-new-privileges=true"]}, RunOptions(no_new_privs=True)),
        ({"security_opt": ["no-new-privileges:false"]}, RunOptions()),
        ({"read_only": True, "init": True, "user": "$$1"}, RunOptions(read_only=True, init=True, user="$1")),
    ],
)
def test_how_it_is_run(service: dict[str, Any], options: RunOptions) -> None:
    assert options_of(service) == options


def test_settings_beside_the_dockerfile_those_of_the_file_and_those_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "debloat.toml").write_text('http = ["/"]\nlevel = "exact"\nargs = ["--help"]\ntimeout = 5\n')
    raw = {"build": {"context": str(tmp_path)}, "x-debloat": {"http": ["/a$$b"], "ready": {"port": 80}, "timeout": 7}}
    recipe, notes = recipe_of("web", raw, config.settings({"level": "package"}))
    (scenario,) = recipe.scenarios
    assert scenario.args is None
    assert HttpProbe(path="/a$b") in scenario.http
    assert scenario.until == Readiness(port=80)
    assert (recipe.policy.level, recipe.timeout) == (Level.PACKAGE, 7)
    (note,) = notes
    assert note == f"web: args in {tmp_path}/debloat.toml not used: the compose file says how it is started"


def test_how_it_is_started_is_not_said_under_the_extension() -> None:
    with pytest.raises(UsageError, match="x-debloat of web: args, run_options cannot be said here"):
        recipe_of("web", {"x-debloat": {"run_options": {}, "args": []}}, Settings())


@pytest.mark.parametrize(
    ("said", "why"), [({"htpp": ["/"]}, "htpp"), (["/"], "x-debloat of web"), ({"ready": -1}, "ready")]
)
def test_mistakes_under_the_extension(said: object, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        recipe_of("web", {"x-debloat": said}, Settings())


def test_a_service_whose_health_is_checked_is_ready_when_it_is_healthy() -> None:
    recipe, _ = recipe_of("db", {}, Settings())

    def until(raw: dict[str, Any]) -> Readiness | None:
        return Service("db", raw, "db", config_of(raw, IMAGE), options_of(raw), recipe).scenario.until

    assert until({}) == Readiness(healthcheck=True)
    assert until({"healthcheck": {"disable": True}}) is None
