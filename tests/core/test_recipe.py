"""Configuration: what it means, and that nothing unknown passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from debloat.core import recipe
from debloat.core.errors import UsageError
from debloat.core.model import Level
from debloat.core.recipe import HttpProbe


@pytest.mark.parametrize(
    ("text", "probe"),
    [
        ("/", HttpProbe()),
        ("POST /login", HttpProbe("POST", "/login")),
        ("post  /login", HttpProbe("POST", "/login")),
        (":8080/x?y=1", HttpProbe("GET", "/x?y=1", 8080)),
        ("80:/", HttpProbe("GET", "/", 80)),
        ("https://:8443/a", HttpProbe("GET", "/a", 8443, "https")),
        ("https://:8443", HttpProbe("GET", "/", 8443, "https")),
        ("https:///a", HttpProbe("GET", "/a", 0, "https")),
    ],
)
def test_http_probe(text: str, probe: HttpProbe) -> None:
    assert HttpProbe.parse(text) == probe


@pytest.mark.parametrize("text", ["", "login", "FETCH /", "http://example.org/", "/ /", "GET"])
def test_no_http_probe(text: str) -> None:
    with pytest.raises(UsageError):
        HttpProbe.parse(text)


def made(text: str, tmp_path: Path) -> recipe.Recipe:
    path = tmp_path / "debloat.toml"
    path.write_text(text)
    return recipe.recipe(recipe.read(path))


def test_nothing_said_is_one_scenario_by_default(tmp_path: Path) -> None:
    got = made("", tmp_path)
    assert [s.name for s in got.scenarios] == ["default"]
    assert got.policy.level is Level.SAFE


def test_args_alone_are_the_scenarios(tmp_path: Path) -> None:
    got = made('args = ["a b", "\'c d\'"]', tmp_path)
    assert [s.args for s in got.scenarios] == [("a", "b"), ("c d",)]


def test_probes_and_args_are_all_scenarios(tmp_path: Path) -> None:
    got = made('http = ["/"]\nargs = ["x"]\n[[scenario]]\nname = "worker"\nexec = ["true"]\n', tmp_path)
    assert [s.name for s in got.scenarios] == ["default", "args x", "worker"]


def test_scenario_options_lie_over_the_common_ones(tmp_path: Path) -> None:
    text = (
        '[run_options]\nenv = {A = "1"}\ninit = true\n[[scenario]]\nargs = ["x"]\n[scenario.run_options]\nuser = "7"\n'
    )
    options = made(text, tmp_path).scenarios[-1].options
    assert (options.init, options.user, dict(options.env)) == (True, "7", {"A": "1"})


def test_levels_by_path(tmp_path: Path) -> None:
    got = made('level = "exact"\n[levels]\n"/opt/**" = "package"', tmp_path)
    assert got.policy.level_of("/opt/x") is Level.PACKAGE
    assert got.policy.level_of("/usr/x") is Level.EXACT


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("htpp = []", "did you mean 'http'"),
        ('http = "/"', "list of strings"),
        ('level = "most"', "no level"),
        ('keep = ["etc/x"]', "absolute"),
        ("ready = 0", "above 0"),
        ("ready = true", "above 0"),
        ("[run_options]\nprivileged = true", "unknown key 'privileged'"),
        ("[run_options]\nread_only = 1", "true or false"),
        ("[[scenario]]\nhttpp = []", "scenario 1"),
        ("args = ['\"']", "cannot split"),
        ("[", "not TOML"),
        ("scenario = 3", "array of tables"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        made(text, tmp_path)
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_flags_lie_over_the_file() -> None:
    got = recipe.merged(
        {"http": ["/a"], "level": "exact", "run_options": {"env": {"A": "1"}}},
        {
            "http": ["/b"],
            "level": "safe",
            "keep": [],
            "run_options": {"env": {"B": "2"}, "init": False},
        },
    )
    assert got == {"http": ["/a", "/b"], "level": "safe", "run_options": {"env": {"A": "1", "B": "2"}}}


def test_finds_a_pyproject_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.debloat]\nhttp = ["/x"]\n')
    path = recipe.find(tmp_path)
    assert path is not None
    assert recipe.read(path) == {"http": ["/x"]}
