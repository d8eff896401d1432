"""What a stranger meets first: forms, workflows, hooks and promises are valid, and agree with the project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from debloat import __version__
from debloat.fleet import ledger
from debloat.lock import format as locks
from debloat.record import trace
from debloat.report import fleetjson, gatejson, inspectjson, jsonreport, planjson
from tests.support import schemas
from tests.support.snippets import documents

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
NAME = "debloat/debloat"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
MADE = re.compile(r"\.(?!github$|ci$).*|build|dist|vendor|bin|__pycache__|.*\.egg-info")
"""Names of directories that git does not hold."""
OTHERS = re.compile(r"fixtures|tests/data|tests/schemas|bench/results")
"""Directories of what is written as anybody would write it, measured, or published by somebody else."""


def text_files() -> Iterator[Path]:
    """The project's own texts."""
    own = (".py", ".md", ".toml", ".yml", ".yaml", ".json", ".sh", ".c", ".h", ".css", ".js", "Makefile", "ci/run")
    for directory, below, names in os.walk(ROOT):
        below[:] = [name for name in below if not MADE.fullmatch(name)]
        if not OTHERS.match(Path(directory).relative_to(ROOT).as_posix()):
            yield from (path for name in names if str(path := Path(directory, name)).endswith(own))


def yaml(path: Path) -> Any:
    """As YAML 1.2 reads it, to which `on` is a word."""
    return pytest.importorskip("ruamel.yaml").YAML(typ="safe").load(path.read_text())


def valid(path: Path, schema: Any) -> bool:
    from jsonschema.validators import validator_for

    assert not [error.message[:200] for error in validator_for(schema)(schema).iter_errors(yaml(path))]
    return True


# ------------------------------------------------------------------------------------------ GitHub


@pytest.mark.parametrize("path", sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_issue_forms(path: Path) -> None:
    assert valid(path, schemas.builtin("github-issue-config" if path.stem == "config" else "github-issue-forms"))


@pytest.mark.parametrize("form", ["bug", "broken-image"])
def test_a_report_of_trouble_says_what_is_needed_to_see_it_again(form: str) -> None:
    fields = {field.get("id"): field for field in yaml(GITHUB / f"ISSUE_TEMPLATE/{form}.yml")["body"]}
    assert {"doctor", "dockerfile", "report"} <= set(fields)
    assert "debloat doctor" in fields["doctor"]["attributes"]["label"]
    assert "--json" in fields["report"]["attributes"]["description"]
    for name in ("doctor", "dockerfile"):
        assert fields[name]["validations"]["required"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows(path: Path) -> None:
    """As the schema has it, never for hours, with no right that they do not use, and no input pasted into a script."""
    assert valid(path, schemas.builtin("github-workflows"))
    workflow = yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 90
        assert set(job.get("permissions", {})) <= {"id-token"}
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            assert not step.get("uses", "").startswith("actions/checkout") or not step["with"]["persist-credentials"]


def test_there_is_a_workflow_for_each_promise() -> None:
    assert {path.stem for path in WORKFLOWS} >= {"lint", "unit", "engines", "aarch64", "wheels"}


def test_only_a_tag_is_published_and_only_what_was_tried() -> None:
    jobs = yaml(GITHUB / "workflows/wheels.yml")["jobs"]
    publishing = [name for name, job in jobs.items() if "pypi-publish" in str(job)]
    assert publishing == ["publish"]
    assert jobs["publish"]["if"] == "github.ref_type == 'tag'"
    assert jobs["publish"]["needs"] == "try"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert {"ubuntu-24.04", "ubuntu-24.04-arm"} == set(jobs["try"]["strategy"]["matrix"]["machine"])


def test_every_supported_python_is_tested() -> None:
    tested = yaml(GITHUB / "workflows/unit.yml")["jobs"]["unit"]["strategy"]["matrix"]["python"]
    said = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.search(r":: Python :: 3\.\d+$", line)]
    assert tested == said
    assert PROJECT["requires-python"] == f">={said[0]}"
    assert f"Python {said[0]} to {said[-1]}" in (ROOT / "CONTRIBUTING.md").read_text()


def test_updates() -> None:
    assert valid(GITHUB / "dependabot.yml", schemas.builtin("dependabot"))


# -------------------------------------------------------------------------------- editors, commits


def test_the_hooks_of_the_project_are_valid_and_run_what_lint_runs() -> None:
    pytest.importorskip("pre_commit")
    path = ROOT / ".pre-commit-config.yaml"
    done = subprocess.run([sys.executable, "-m", "pre_commit", "validate-config", str(path)], check=False)
    assert done.returncode == 0
    assert valid(path, schemas.store("https://json.schemastore.org/pre-commit-config.json"))
    (repository,) = yaml(path)["repos"]
    lint = (ROOT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    tools = {re.split(r"[ /]", hook["entry"].removeprefix(".venv/bin/"))[0] for hook in repository["hooks"]}
    assert tools == set(re.findall(r"\$\(BIN\)/([\w-]+)", lint))


def test_texts_are_as_editors_are_told() -> None:
    wrong = []
    for path in text_files():
        data = path.read_bytes()
        if b"\r" in data or (data and not data.endswith(b"\n")) or re.search(rb"[ \t]\n|\n\n\Z", data):
            wrong.append(str(path.relative_to(ROOT)))
        elif path.name != "Makefile" and re.search(rb"^\t", data, re.MULTILINE):
            wrong.append(f"{path.relative_to(ROOT)}: tabs")
    assert wrong == []


# ------------------------------------------------------------------------------ names and promises


def test_no_placeholder_is_left_and_the_project_has_one_name() -> None:
    named = set()
    for path in text_files():
        text = path.read_text()
        assert not re.search(r"\bOWNER/|YOUR[_-](?:NAME|ORG)|\bexample/debloat\b", text) or path == Path(__file__)
        named |= set(re.findall(r"(?:github(?:usercontent)?\.com|uses:|CI_SERVER_FQDN)[/ ]([\w.-]+/debloat)\b", text))
    assert named == {NAME}
    assert all(url.startswith(f"https://github.com/{NAME}") for url in PROJECT["urls"].values())


def test_what_documents_say_of_make_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [path.read_text() for path in (*documents(), *WORKFLOWS, ROOT / ".pre-commit-config.yaml")]
    said = {word for text in texts for word in re.findall(r"(?:^|`|run: |exec .*)make ([a-z]+)", text, re.MULTILINE)}
    assert said <= targets
    assert {"setup", "unit", "lint", "test", "coverage"} <= said


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_files_that_the_guide_names_exist() -> None:
    """Paths in CONTRIBUTING.md, less those that are to be made."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:debloat|tests|fixtures|bench|docs|scripts)/[\w./-]*)`", text)
    assert len(named) > 15
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


def test_every_format_is_listed_with_its_number() -> None:
    """docs/versioning.md names each `debloat-*` format that the code writes, and the number of those that have one."""
    text = (ROOT / "docs/versioning.md").read_text()
    rows = re.findall(r"^\| `(debloat-[\w-]+)` \| (\d+) \|", text, re.MULTILINE)
    listed = {name: int(number) for name, number in rows}
    source = "".join(path.read_text() for path in sorted((ROOT / "debloat").rglob("*.py")))
    written = set(re.findall(r"(?:FORMAT|MAGIC|STAMP|\"format\"|head\[0\])\W+b?\"(debloat-[a-z-]+)\"", source))
    schema_ids = {schemas.ours(path.name)["$id"] for path in (ROOT / "debloat/schemas").glob("*.json")}
    assert set(listed) == written | {schema.rpartition("-")[0] for schema in schema_ids}
    assert {f"{name}-{number}" for name, number in listed.items()} >= schema_ids
    constants = {locks.MAGIC: locks.VERSION}
    constants |= {
        module.FORMAT: module.VERSION
        for module in (trace, jsonreport, gatejson, planjson, inspectjson, fleetjson, ledger)
    }
    assert {name: listed[name] for name in constants} == constants


def test_the_version_is_the_changelogs() -> None:
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert heading[1] == __version__
