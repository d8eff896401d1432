"""Hooks and pipelines at work: real pushes, pre-commit, the scripts of the GitHub action and the GitLab component."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from debloat.cli.main import main
from tests.gate.test_hooks import component, git, yaml
from tests.support.engines import BASE, Images

pytestmark = pytest.mark.engine

ROOT = Path(__file__).resolve().parents[2]
GOOD = f'FROM {BASE}\nCOPY data /srv/data\nCMD ["cat", "/srv/data"]\n'
BAD = GOOD.replace("CMD", "RUN cp /bin/su /srv/su && chmod 4755 /srv/su\nCMD")
REASON = "/srv/su is setuid or setgid"


class Service:
    """A repository with a remote, and the image that is built from it."""

    def __init__(self, directory: Path, images: Images) -> None:
        self.path, self.remote, self._images = directory / "work", directory / "remote.git", images
        self.image = images.name("shop")
        self.path.mkdir()
        (self.path / "data").write_text("hello\n")
        git("init", "-q", "-b", "main", cwd=self.path)
        git("init", "-q", "--bare", str(self.remote), cwd=directory)
        git("remote", "add", "origin", str(self.remote), cwd=self.path)
        for key, value in (("user.name", "x"), ("user.email", "x@example.org"), ("commit.gpgsign", "false")):
            git("config", key, value, cwd=self.path)
        self.change(GOOD)

    def change(self, dockerfile: str) -> None:
        """Change the Dockerfile, and build and commit it."""
        (self.path / "Dockerfile").write_text(dockerfile)
        self._images.build("shop", dockerfile, {"data": "hello\n"})
        self.commit()

    def commit(self) -> None:
        git("add", "-A", cwd=self.path)
        git("commit", "-q", "--allow-empty", "-m", "change", cwd=self.path)

    def push(self, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.run(
            ["git", "push", "origin", "main"],
            cwd=self.path,
            env={**os.environ, "PATH": path, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def pushed(self) -> bool:
        there = subprocess.run(
            ["git", "rev-parse", "main"], cwd=self.remote, capture_output=True, text=True, check=False
        )
        return there.stdout.strip() == git("rev-parse", "HEAD", cwd=self.path)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Images, bytes]]:
    """The images of this module, and the lock of the good one."""
    directory = tmp_path_factory.mktemp("shop")
    images = Images(directory)
    try:
        image = images.build("shop", GOOD, {"data": "hello\n"})
        lock = directory / "debloat.lock"
        assert main(["lock", image, "-t", images.name("shop-slim"), "--lock", str(lock), "-q"]) == 0
        yield images, lock.read_bytes()
    finally:
        images.remove()


@pytest.fixture
def service(tmp_path: Path, locked: tuple[Images, bytes], monkeypatch: pytest.MonkeyPatch) -> Service:
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        monkeypatch.delenv(name)
    found = Service(tmp_path, locked[0])
    (found.path / "debloat.lock").write_bytes(locked[1])
    (found.path / "debloat.toml").write_text('[budget]\nmax_size = "40MB"\n\n[policy]\nno_package_manager = true\n')
    found.commit()
    monkeypatch.chdir(found.path)
    return found


def refused_then_fixed(service: Service, **environment: str) -> None:
    """A push that is refused with the reason and goes through once fixed."""
    done = service.push(**environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert service.pushed()
    service.change(BAD)
    done = service.push(**environment)
    assert done.returncode != 0
    assert REASON in done.stderr + done.stdout
    assert not service.pushed()
    service.change(GOOD + "# fixed\n")
    done = service.push(**environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert service.pushed()


def test_plain_git(service: Service) -> None:
    assert main(["hook", "install"]) == 0
    refused_then_fixed(service)
    assert (service.path / ".git/debloat-stamp").exists()


def test_pre_commit(service: Service, tmp_path: Path) -> None:
    pytest.importorskip("pre_commit")
    tool = tmp_path / "tool"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "fixtures", "*.egg-info"
    )
    shutil.copytree(ROOT, tool, ignore=ignored)
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"]):
        git(*words, cwd=tool)
    revision = git("rev-parse", "HEAD", cwd=tool)
    (service.path / ".pre-commit-config.yaml").write_text(
        f"repos:\n- repo: file://{tool}\n  rev: {revision}\n"
        f"  hooks:\n  - id: debloat-check\n    args: [{service.image}]\n"
    )
    service.commit()
    home = {"PRE_COMMIT_HOME": str(tmp_path / "cache")}
    subprocess.run(
        [sys.executable, "-m", "pre_commit", "install", "--hook-type", "pre-push"],
        cwd=service.path,
        env={**os.environ, **home},
        check=True,
        capture_output=True,
    )
    refused_then_fixed(service, **home)


def test_the_github_action(service: Service, tmp_path: Path) -> None:
    (action,) = yaml(ROOT / "action.yml")
    assert isinstance(action, dict)
    (step,) = [s for s in action["runs"]["steps"] if s.get("id") == "check"]
    (tmp_path / "runner").mkdir()
    (tmp_path / "runner/debloat").symlink_to(Path(sys.prefix))

    def run(**given: str) -> subprocess.CompletedProcess[str]:
        values = {name: given.get(name.replace("-", "_"), i["default"]) for name, i in action["inputs"].items()}
        environment = {k: values[v.removeprefix("${{ inputs.").removesuffix(" }}")] for k, v in step["env"].items()}
        files = {name: str(tmp_path / name) for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=service.path,
            env={**os.environ, **environment, **files, "RUNNER_TEMP": str(tmp_path / "runner")},
            capture_output=True,
            text=True,
            check=False,
        )

    assert run(image=service.image).returncode == 0
    service.change(BAD)
    done = run(image=service.image)
    assert done.returncode == 1
    assert all(line.startswith("::") for line in done.stdout.splitlines())
    assert "::error file=Dockerfile,line=3,title=debloat drift-setuid" in done.stdout
    assert REASON in (tmp_path / "GITHUB_STEP_SUMMARY").read_text()
    assert "sarif=debloat.sarif" in (tmp_path / "GITHUB_OUTPUT").read_text()
    assert json.loads((service.path / "debloat.sarif").read_text())["runs"][0]["results"]
    assert run(image=service.image, fail_on="never").returncode == 0


def test_the_gitlab_component(service: Service, tmp_path: Path) -> None:
    (job,) = component(image=service.image).values()
    assert isinstance(job, dict)
    (tmp_path / "venv").symlink_to(Path(sys.prefix))
    lines = [line.replace("/tmp/debloat/", f"{tmp_path}/venv/") for line in job["script"] if "venv /tmp" not in line]
    script = "\n".join(line for line in lines if "pip install" not in line)
    variables = {k: v for k, v in job["variables"].items() if k.startswith("DEBLOAT_")}

    def run() -> int:
        environment = {**os.environ, **variables, "CI_PROJECT_DIR": str(service.path)}
        return subprocess.run(["sh", "-ec", script], cwd=service.path, env=environment, check=False).returncode

    assert run() == 0
    service.change(BAD)
    assert run() == 1
    found = json.loads((service.path / job["artifacts"]["reports"]["codequality"]).read_text())
    assert "debloat-drift-setuid" in {row["check_name"] for row in found if row["severity"] == "major"}
    assert "drift-setuid" in (service.path / job["artifacts"]["reports"]["junit"]).read_text()
