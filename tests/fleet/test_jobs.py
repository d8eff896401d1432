"""Plans of a fleet that others carry out, held against the schemas of those who read them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from jsonschema.validators import validator_for

from debloat.cli.main import cli, main
from debloat.fleet.model import Task, Verb
from debloat.report import fleetjobs, fleetmatrix
from tests.support import schemas
from tests.support.cli import CommandLine
from tests.support.fleets import items, shops, write

NAMES = ("registry.example/shop/api:1", "registry.example/shop/web:1", "registry.example/shop/web:2")
FLEET = """
[defaults]
recipe = { http = ["/"] }
[[entry]]
image = "registry.example/shop/*"
target = "docker://registry.example/slim/{short}:{tag}"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def debloat(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys, shops(*NAMES))


def valid(document: Any, schema: Any) -> bool:
    validator_for(schema)(schema).validate(document)
    return True


def known(command: str) -> bool:
    """Whether the command line takes it."""
    words = shlex.split(command)
    assert words[:2] == ["debloat", "fleet"]
    group = cli.commands["fleet"]
    assert isinstance(group, click.Group)
    with group.commands[words[2]].make_context(words[2], words[3:]) as context:
        return bool(context.params)


def test_nothing_is_started(debloat: CommandLine, here: Path) -> None:
    write(here, FLEET)
    done = debloat("fleet", "plan")
    assert done.code == 0
    assert done.out.splitlines()[0] == (
        "run registry.example/shop/api:1 -> docker://registry.example/slim/api:1  level safe"
    )
    assert debloat.engine.calls == ["image_names"]
    assert list(here.iterdir()) == [here / "fleet.toml"]


def test_a_matrix_for_github(debloat: CommandLine, here: Path) -> None:
    write(here, FLEET)
    matrix = json.loads(debloat("fleet", "plan", "--format", "github").out)
    assert [row["name"] for row in matrix["include"]] == list(NAMES)
    assert all(known(row["command"]) for row in matrix["include"])
    job = {"runs-on": "ubuntu-latest", "strategy": {"matrix": matrix}, "steps": [{"run": "${{ matrix.command }}"}]}
    assert valid({"on": "push", "jobs": {"fleet": job}}, schemas.builtin("github-workflows"))


@pytest.mark.parametrize(("images", "jobs"), [(1, 1), (256, 256), (257, 129), (1000, 250)])
def test_a_matrix_has_at_most_256_jobs(images: int, jobs: int) -> None:
    matrix = json.loads(fleetmatrix.github(items(images), "fleet.toml"))["include"]
    assert len(matrix) == jobs
    asked = [word for row in matrix for word in shlex.split(row["command"]) if word.startswith("shop/")]
    assert sorted(asked) == sorted(item.name for item in items(images))


def test_a_child_pipeline_for_gitlab(debloat: CommandLine, here: Path) -> None:
    write(here, FLEET)
    done = debloat("fleet", "plan", "--format", "gitlab", "--image", "registry.example/tools:1", "--output", "jobs.yml")
    assert (done.code, done.out) == (0, "")
    pipeline = json.loads((here / "jobs.yml").read_text())
    assert valid(pipeline, schemas.builtin("gitlab-ci"))
    jobs = [job for name, job in pipeline.items() if name.startswith("debloat ")]
    assert len(jobs) == len(NAMES)
    assert all(known(job["script"][0]) for job in jobs)


def test_jobs_for_kubernetes(debloat: CommandLine, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate: Callable[..., None] = pytest.importorskip("kubernetes_validate").validate
    write(here, FLEET)
    done = debloat("fleet", "plan", "--format", "kubernetes", "--image", "registry.example/tools:1")
    parts = done.json["items"]
    assert done.json["kind"] == "List"
    assert [part["kind"] for part in parts] == ["ConfigMap", "Job"] * len(NAMES)
    for part in parts:
        validate(part, "1.30", strict=True)
    assert len({part["metadata"]["name"] for part in parts}) == len(NAMES)
    # What a pod is given is a task that can be carried out, whatever becomes of it here.
    (here / "task.json").write_text(parts[0]["data"]["task.json"])
    job = parts[1]["spec"]["template"]["spec"]["containers"][0]
    assert job["command"] == ["debloat", "fleet", "work", "/task/task.json"]
    code = main(["fleet", "work", "task.json"], lambda: shops("other:1"))
    row = json.loads(capsys.readouterr().out)
    assert (code, row["name"], row["status"]) == (2, NAMES[0], "failed")
    assert row["error"] == f"cannot find the image {NAMES[0]}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            ("docker://registry.example/slim/{short}:{tag}", "{short}:{tag}-slim"),
            "the result of registry.example/shop/api:1 would",
        ),
        (("registry.example/shop/*", "oci:layout:web"), "the image of oci:layout:web would"),
    ],
)
def test_jobs_whose_result_would_go_with_them(
    debloat: CommandLine, here: Path, change: tuple[str, str], said: str
) -> None:
    write(here, FLEET.replace(*change))
    done = debloat("fleet", "plan", "--format", "kubernetes", "--image", "i")
    assert (done.code, said in done.complaint) == (2, True), done.complaint


def test_jobs_need_an_image_and_small_tasks(debloat: CommandLine, here: Path) -> None:
    write(here, FLEET)
    assert "cannot plan Jobs without an image" in debloat("fleet", "plan", "--format", "kubernetes").complaint
    task = Task("0" * 64, "a", Verb.APPLY, "", "docker://r.example/a:1", (), lock="x" * (1 << 20))
    with pytest.raises(Exception, match="larger than the megabyte"):
        fleetjobs.kubernetes([task], "i", "1")


def test_names_of_jobs() -> None:
    names = [fleetjobs.job_name(Task("k", item.name, Verb.RUN, "", "t", ())) for item in items(3)]
    long = fleetjobs.job_name(Task("k", f"r.example/{'UP_' * 60}x:1", Verb.RUN, "", "t", ()))
    for name in (*names, long):
        assert len(name) <= 52
        assert jsonschema.Draft202012Validator({"pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}).is_valid(name)
    assert len(set(names)) == 3
