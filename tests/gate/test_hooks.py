"""The pre-push hook without an engine: installing, the stamp, and what it depends on."""

from __future__ import annotations

import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.cli import hook as command
from debloat.cli.engines import Engines
from debloat.cli.main import main
from debloat.core.errors import GateFailed, UsageError
from debloat.gate import hooks
from tests.support import schemas, work

ROOT = Path(__file__).resolve().parents[2]
ID = "sha256:" + "a" * 64


def git(*words: str, cwd: Path) -> str:
    return subprocess.run(["git", *words], cwd=cwd, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "service"
    path.mkdir()
    for name in [n for n in os.environ if n.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git("init", "-q", cwd=path)
    (path / "Dockerfile").write_text("FROM scratch\n")
    (path / "app.py").write_text("print()\n")
    monkeypatch.chdir(path)
    return path


# ------------------------------------------------------------------------------------------ installing


def test_install_and_uninstall(repository: Path) -> None:
    hook = repository / ".git/hooks/pre-push"
    assert main(["hook", "install", "shop:1; rm -rf /"]) == 0
    assert os.access(hook, os.X_OK)
    assert "hook run 'shop:1; rm -rf /'" in hook.read_text()
    assert main(["hook", "install", "shop:2"]) == 0
    assert "shop:2" in hook.read_text()
    assert main(["hook", "install", "--uninstall"]) == 0
    assert not hook.exists()


def test_a_foreign_hook_is_not_overwritten(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hook = repository / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 0\n")
    assert main(["hook", "install"]) == 2
    assert "--chain" in capsys.readouterr().err
    assert hook.read_text() == "#!/bin/sh\nexit 0\n"
    assert main(["hook", "install", "--uninstall"]) == 0
    assert hook.read_text() == "#!/bin/sh\nexit 0\n"


def test_a_foreign_hook_can_be_chained(repository: Path) -> None:
    hook = repository / ".git/hooks/pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\necho "$1" > ran; cat >> ran; exit 7\n')
    hook.chmod(0o755)
    assert main(["hook", "install", "--chain", "shop:1"]) == 0
    done = subprocess.run([hook, "origin"], input="refs\n", text=True, cwd=repository, check=False)
    assert done.returncode == 7
    assert (repository / "ran").read_text() == "origin\nrefs\n"
    assert main(["hook", "install", "--chain", "shop:1"]) == 0
    assert main(["hook", "install", "--uninstall"]) == 0
    assert "exit 7" in hook.read_text()


def test_a_hooks_path_of_the_configuration_is_honoured(repository: Path) -> None:
    git("config", "core.hooksPath", "my-hooks", cwd=repository)
    assert main(["hook", "install"]) == 0
    assert (repository / "my-hooks/pre-push").exists()


def test_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GIT_DIR", raising=False)
    assert main(["hook", "install"]) == 2


def test_a_worktree_has_its_own_directory(repository: Path) -> None:
    git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x", cwd=repository)
    git("worktree", "add", "-q", "../other", cwd=repository)
    assert hooks.git_directory(repository.parent / "other") == repository / ".git/worktrees/other"


# ------------------------------------------------------------------------------------------ an engine on a socket


class _Engine(http.server.BaseHTTPRequestHandler):
    images: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        name = self.path.removeprefix("/images/").removesuffix("/json")
        found = self.images.get(name)
        body = json.dumps({"Id": found} if found else {"message": "no such image"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    socket = tmp_path / "engine.sock"
    monkeypatch.setattr(_Engine, "images", {"shop:1": ID})
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    with socketserver.ThreadingUnixStreamServer(str(socket), _Engine) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield _Engine.images
        server.shutdown()


def test_image_ids(engine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert hooks.image_id("shop:1") == ID
    assert hooks.image_id("shop:2") == ""
    for host in ("unix:///nowhere", "tcp://far:2375"):
        monkeypatch.setenv("DOCKER_HOST", host)
        assert hooks.image_id("shop:1") is None


@pytest.fixture
def unnamed(tmp_path: Path, engine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment names no engine; the one of `engine` is where Docker's is looked for. The runtime directory."""
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr("debloat.engine.sockets.DOCKER", str(tmp_path / "engine.sock"))
    (tmp_path / "run" / "podman").mkdir(parents=True)
    return tmp_path / "run"


def test_the_image_is_asked_of_the_engine_that_checks(unnamed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Docker's socket, else of Podman's; and of none where a context leads elsewhere."""
    assert hooks.image_id("shop:1") == ID
    engine = unnamed.parent / "engine.sock"
    engine.rename(unnamed / "podman" / "podman.sock")
    assert hooks.image_id("shop:1") == ID
    assert hooks.image_id("shop:2") == ""
    config = unnamed.parent / "config.json"
    for text, found in (('{"currentContext": "elsewhere"}', None), ('{"currentContext": "default"}', ID), ("[]", ID)):
        config.write_text(text)
        assert hooks.image_id("shop:1") == found
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    assert hooks.image_id("shop:1") is None


# ------------------------------------------------------------------------------------------ when it checks


class Checks:
    """Counts the checks that the hook makes; they fail while `reason` says why."""

    def __init__(self) -> None:
        self.count = 0
        self.reason = ""

    def __call__(self, reference: str, engines: Engines) -> None:
        self.count += 1
        if self.reason:
            raise GateFailed(self.reason)


@pytest.fixture
def checks(repository: Path, engine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Checks:
    found = Checks()
    monkeypatch.setattr(command, "_check", found)
    return found


def test_it_checks_once_until_something_changes(repository: Path, engine: dict[str, str], checks: Checks) -> None:
    def pushed() -> int:
        before = checks.count
        assert main(["hook", "run", "shop:1"]) == 0
        return checks.count - before

    assert pushed() == 1
    assert pushed() == 0
    for name in ("Dockerfile", "app.py", "debloat.toml", "debloat.lock", ".dockerignore", "new/file"):
        path = repository / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("# changed\n")
        assert pushed() == 1, name
        assert pushed() == 0, name
    engine["shop:1"] = "sha256:" + "b" * 64
    assert pushed() == 1
    assert pushed() == 0
    (repository / "new/file").unlink()
    assert pushed() == 1


def test_a_failed_check_is_made_again(repository: Path, checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    checks.reason = "a shell came in"
    for _ in range(2):
        assert main(["hook", "run", "shop:1"]) == 1
        assert "a shell came in" in capsys.readouterr().err
    assert checks.count == 2
    checks.reason = ""
    assert main(["hook", "run", "shop:1"]) == 0
    assert main(["hook", "run", "shop:1"]) == 0
    assert checks.count == 3


def test_what_is_ignored_does_not_count(repository: Path, checks: Checks) -> None:
    (repository / ".dockerignore").write_text("# caches\n*.log\nbuild\n**/cache\n!build/keep.log\n")
    for name in ("x.log", "build/out", "a/b/cache/x", ".git/objects/x"):
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    assert main(["hook", "run", "shop:1"]) == 0
    for name in ("x.log", "build/out", "a/b/cache/x", ".git/objects/x"):
        (repository / name).write_text("22")
    assert main(["hook", "run", "shop:1"]) == 0
    assert checks.count == 1
    (repository / "build/keep.log").write_text("1")
    assert main(["hook", "run", "shop:1"]) == 0
    assert checks.count == 2


def test_an_image_that_was_not_built_again_is_mentioned(
    repository: Path, checks: Checks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["hook", "run", "shop:1"]) == 0
    assert "is it built from it?" not in capsys.readouterr().err
    (repository / "app.py").write_text("print(1)\n")
    assert main(["hook", "run", "shop:1"]) == 0
    assert "is it built from it?" in capsys.readouterr().err


def test_an_image_that_is_not_there_refuses(checks: Checks, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hook", "run", "shop:2"]) == 2
    assert "shop:2 is not on this engine" in capsys.readouterr().err
    assert checks.count == 0


def test_the_image_is_the_locks(repository: Path, checks: Checks) -> None:
    assert main(["hook", "run"]) == 2
    (repository / "debloat.lock").write_text("debloat-lock\t1\tx\nsha256\tx\ntool\t0\nimage\tshop:1\n")
    assert main(["hook", "run"]) == 0
    assert checks.count == 1


def test_without_an_image_id_every_push_checks(checks: Checks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://far:2375")
    for _ in range(2):
        assert main(["hook", "run", "shop:1"]) == 0
    assert checks.count == 2


def test_nothing_changed_checks_nothing_and_loads_nothing_heavy(
    repository: Path, engine: dict[str, str], checks: Checks
) -> None:
    assert main(["hook", "run", "shop:1"]) == 0
    code = (
        "import sys; from debloat.cli.main import main; main(['hook', 'run', 'shop:1']);"
        "sys.exit(any(m in sys.modules for m in ('docker', 'rich', 'lief', 'requests', 'debloat.gate.check')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=repository, check=False).returncode == 0


@pytest.mark.parametrize("ignore", ["", "*.log\n**/cache\n!kept\n"])
def test_looking_for_changes_grows_with_the_files(tmp_path: Path, ignore: str) -> None:
    def looking(size: int) -> Callable[[], object]:
        directory = tmp_path / str(size)
        for number in range(size):
            path = directory / f"src/{number % 8}/{number}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        (directory / ".dockerignore").write_text(ignore)
        return partial(hooks.state, directory, "sha256:1")

    assert work.growth(looking, 120) < 2.2


@given(st.text(max_size=60))
def test_a_stamp_of_rubbish_is_no_stamp(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        stamp = Path(directory) / "stamp"
        stamp.write_bytes(text.encode("utf-8", "surrogatepass"))
        now = hooks.State("a", "b", "c")
        assert not hooks.unchanged(stamp, now)
        assert hooks.stale(stamp, now) in (True, False)


# ------------------------------------------------------------------------------------------ what pipelines read


def yaml(path: Path) -> list[Any]:
    parser = pytest.importorskip("yaml")
    return list(parser.safe_load_all(path.read_text()))


def test_the_manifest_for_pre_commit_is_valid() -> None:
    pytest.importorskip("pre_commit")
    done = subprocess.run(
        [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")], check=False
    )
    assert done.returncode == 0
    ((hook,),) = yaml(ROOT / ".pre-commit-hooks.yaml")
    assert hook["stages"] == ["pre-push"]
    assert hook["pass_filenames"] is False
    assert hook["language"] == "python"


def test_the_action_is_valid_and_pastes_no_input_into_its_scripts() -> None:
    import jsonschema

    (action,) = yaml(ROOT / "action.yml")
    jsonschema.validate(action, schemas.builtin("github-actions"))
    assert isinstance(action, dict)
    assert not [step for step in action["runs"]["steps"] if "${{" in step["run"]]
    used = {line for step in action["runs"]["steps"] for line in step.get("env", {}).values()}
    for name in set(action["inputs"]) - {"working-directory"}:
        assert "${{ inputs." + name + " }}" in used


def component(**given: str) -> dict[str, object]:
    """The GitLab component with its inputs filled in, as GitLab does it."""
    import re

    parser = pytest.importorskip("yaml")
    head, body = (ROOT / "templates/debloat.yml").read_text().split("\n---\n")
    inputs = parser.safe_load(head)["spec"]["inputs"]
    values = {name: given.get(name, settings["default"]) for name, settings in inputs.items()}
    found: dict[str, object] = parser.safe_load(re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda m: values[m[1]], body))
    return found


def test_the_component_is_a_valid_pipeline() -> None:
    import jsonschema

    schema = schemas.builtin("gitlab-ci")
    for pipeline in (component(), component(image="shop:1", arguments="--probe", stage="deploy")):
        jsonschema.validate(pipeline, schema)
    assert list(component(**{"job-name": "gate"})) == ["gate"]


def test_a_usage_error_names_what_to_do() -> None:
    with pytest.raises(UsageError) as caught:
        hooks.git_directory(Path("/"))
    assert "git init" in caught.value.hint
