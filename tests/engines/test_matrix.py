"""Every verb on every engine, and the same image from all of them."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker.errors
import pytest

from debloat.cli.main import cli, main
from debloat.core.errors import GateFailed, OriginalFails
from debloat.engine.base import PENDING_REPOSITORY, RUN_LABEL
from debloat.engine.docker import connect
from tests.engines import table
from tests.engines.conftest import Engine
from tests.engines.setups import CI, DEVICES, FIXTURES, HERE, OWN, SAID_OF_DEVICES, SETUPS, WITHOUT_DEVICES
from tests.support import fixtures
from tests.support.engines import collecting

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1200)]

RUNS = 2

IMAGES: dict[str, dict[str, set[tuple[str, str, str]]]] = {}
"""Fixture, engine: layer digest, configuration digest and identity of the original of each run."""


def remove(engine: Engine, image: str) -> None:
    client = engine.client()
    try:
        client.remove_image(image)
    except docker.errors.NotFound:  # Podman's answer is not of the form that makes it ImageNotFound
        pass
    finally:
        client.close()


def nothing_left(engine: Engine) -> None:
    client = engine.client()
    try:
        mine = {"label": f"{RUN_LABEL}"}
        labels = [c["Labels"][RUN_LABEL] for c in client.containers(all=True, filters=mine)]
        assert not [label for label in labels if engine.setup != HERE or label.split("-")[1:2] == [str(os.getpid())]]
        names = [n for image in client.images() for n in image.get("RepoTags") or ()]
        assert engine.setup == HERE or not [n for n in names if PENDING_REPOSITORY in n or n.startswith("<none>")]
    finally:
        client.close()


@pytest.mark.parametrize(
    ("engine", "fixture"),
    [pytest.param(setup, fixture, id=f"{setup.name}-{fixture}") for setup in SETUPS for fixture in FIXTURES],
    indirect=["engine"],
)
def test_the_same_image_on_every_engine(engine: Engine, fixture: str) -> None:
    """The same layer and configuration, twice on each; and the result does what it was trained with.

    Locks hold the trace too, and in which probe a worker first reads a file is up to the clock.
    """
    image, target = fixtures.tag(fixture), f"debloat-matrix/{fixture}:slim"
    if engine.setup.rootless and fixture in DEVICES:
        fails_for_want_of_devices(engine, image, fixture)
        return
    found, whole = IMAGES.setdefault(fixture, {}).setdefault(engine.setup.name, set()), fixtures.load(fixture)
    lock, report = engine.here / f"{fixture}.lock", engine.here / f"{fixture}.json"
    try:
        for _ in range(RUNS):
            fixtures.clear_of_full_minutes(whole)
            argv = (image, "-q", "-t", target, "--lock", str(lock), "--json", str(report))
            out = engine.debloat(*argv, directory=fixtures.FIXTURES / fixture)
            assert out == f"{engine.setup.named(target)}\n"
            made = json.loads(report.read_bytes())
            (identity,) = (line for line in lock.read_text().splitlines() if line.startswith("id\t"))
            found.add((made["layer"], made["result_id"], identity))
        with engine.chosen(fixtures.FIXTURES / fixture), pytest.MonkeyPatch.context() as patch:
            if engine.setup.rootless:
                patch.setattr(fixtures, "SETTLED", 1.0)  # two proxies, one behind the other
            trained = replace(whole, checks=tuple(c for c in whole.checks if c.trained))
            checked = engine.within(functools.partial(fixtures.run_checks, target, trained))
            broken = [f"{r.name}: {r.detail}" for r in checked if not r.passed]
        assert not broken
    finally:
        remove(engine, target)
    nothing_left(engine)
    assert len(found) == 1, "two runs on one engine differ"
    everywhere = {name: seen for name, seen in IMAGES[fixture].items() if seen and seen != found}
    assert not everywhere, f"other than on {', '.join(sorted(everywhere))}"
    table.note(f"`{fixture}` twice: the layer and configuration that the others give", engine.setup.name)


def fails_for_want_of_devices(engine: Engine, image: str, fixture: str) -> None:
    """An ordinary user makes no device nodes (mknod(2)), so the image as the engine has it is another: it is said."""
    said = engine.refused(image, directory=fixtures.FIXTURES / fixture, code=OriginalFails.exit_code)
    assert all(words in said for words in SAID_OF_DEVICES)
    nothing_left(engine)
    subject = f"`{fixture}` twice: the layer and configuration that the others give"
    table.note(subject, engine.setup.name, WITHOUT_DEVICES)


# ------------------------------------------------------------------------------------------------------------ the verbs

FIXTURE = "nginx"
TARGET = "debloat-matrix/verbs:slim"


def lock_(engine: Engine, image: str) -> str:
    engine.debloat("lock", image, "-q", "-t", TARGET, "--lock", "debloat.lock", "-c", recipe())
    return (engine.here / "debloat.lock").read_text()


def recipe() -> str:
    return str(fixtures.FIXTURES / FIXTURE / "debloat.toml")


def apply(engine: Engine, image: str) -> str:
    """The lock of whichever engine made it first cuts the same image here, and nothing is closed anew."""
    target = "debloat-matrix/applied:slim"
    engine.debloat("apply", image, "-q", "--lock", "debloat.lock", "-t", target, "--json", "applied.json")
    remove(engine, target)
    applied = json.loads((engine.here / "applied.json").read_bytes())
    assert applied["identical"]
    return str(applied["layer"])


def check(engine: Engine, image: str) -> str:
    return engine.debloat("check", image, "--lock", "debloat.lock", "-q")


def check_probes(engine: Engine, image: str) -> str:
    return engine.debloat("check", image, "--lock", "debloat.lock", "--probe", "-c", recipe(), "-q")


def why(engine: Engine, image: str) -> str:
    assert engine.debloat("why", image, "/usr/sbin/nginx") == engine.debloat("why", TARGET, "/usr/sbin/nginx")
    return engine.debloat("why", TARGET, "/usr/bin/perl") + engine.debloat("why", TARGET, "/usr/sbin/nginx")


def diff(engine: Engine, image: str) -> str:
    return engine.debloat("diff", image, TARGET, "--files", "3")


def inspect(engine: Engine, image: str) -> str:
    found = json.loads(engine.debloat("inspect", TARGET, "--json"))
    found.pop("id")
    return json.dumps(found, sort_keys=True)


def sbom(engine: Engine, image: str) -> str:
    texts = [engine.debloat("sbom", TARGET, "--format", form) for form in ("cyclonedx", "spdx")]
    return str([len(json.loads(text).get("packages", [])) for text in texts])


def record(engine: Engine, image: str) -> str:
    engine.debloat("record", image, "-q", "-c", recipe(), "--save-trace", "one.trace")
    return ""


def combine(engine: Engine, image: str) -> str:
    engine.debloat("combine", "one.trace", "one.trace", "-o", "both.trace")
    assert json.loads((engine.here / "both.trace").read_bytes())["images"]
    return ""


def archives(engine: Engine, image: str) -> str:
    """What `--output` writes is loaded by this engine, and runs."""
    target = "debloat-matrix/archived:slim"
    argv = (image, "-q", "-c", recipe(), "-t", target, "--level", "exact")
    engine.debloat(*argv, "--output", "image.tar")
    remove(engine, target)
    docker_ = ["docker", "--host", engine.endpoint]
    loaded = subprocess.run(
        [*docker_, "load", "-i", engine.here / "image.tar"], capture_output=True, text=True, check=True
    )
    assert target in loaded.stdout
    words = [*docker_, "run", "--rm", "--label", "debloat.test=matrix", "--network", "none", target, "nginx", "-v"]
    ran = subprocess.run(words, capture_output=True, text=True)
    assert "nginx version" in ran.stderr, ran.stderr
    remove(engine, target)
    return ""


def build(engine: Engine, image: str) -> str:
    context = engine.here / "debloat-matrix-app"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(f"FROM {image}\nLABEL built=here\n")
    target = "debloat-matrix/built:slim"
    argv = ("build", str(context), "-q", "-c", recipe(), "-t", target)
    out = engine.debloat(*argv, "--build-option", "--network none")
    remove(engine, target)
    remove(engine, "debloat-matrix-app:latest")
    assert out == f"{engine.setup.named(target)}\n"
    return ""


def platform(engine: Engine, image: str) -> str:
    """The engine's own by name is what it takes anyway; another is refused before anything is started."""
    with engine.chosen():
        info = connect().info()
    own = engine.debloat("inspect", image, "--platform", f"{info.os}/{info.architecture}")
    assert own == engine.debloat("inspect", image)
    with engine.chosen():
        assert main(["inspect", image, "--platform", "linux/riscv64"]) == 2
    return ""


def hook(engine: Engine, image: str) -> str:
    """A push is checked, one after which nothing has changed is not, and one that breaks a rule is refused."""
    work = engine.here / "work"
    work.mkdir()
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    shutil.copy(engine.here / "debloat.lock", work)
    engine.debloat("hook", "install", image, directory=work)
    assert (work / ".git" / "hooks" / "pre-push").exists()
    engine.debloat("hook", "run", image, directory=work)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("debloat.cli.check.report_of", None)
        engine.debloat("hook", "run", image, directory=work)
    (work / "debloat.toml").write_text('[budget]\nmax_size = "1MB"\n')
    said = engine.refused("hook", "run", image, directory=work, code=GateFailed.exit_code)
    return next(line for line in said.splitlines() if line.startswith("  budget-max-size: "))


def doctor(engine: Engine, image: str) -> str:
    out = engine.debloat("doctor")
    assert "NO " not in out
    return ""


def gc(engine: Engine, image: str) -> str:
    """What a killed run left is removed, and is gone then. Without `--all`, which takes of other tests' runs too."""
    run = "00000000-1-1-1-abcdef"
    client = engine.client()
    try:
        pending = engine.setup.named(PENDING_REPOSITORY)
        with collecting():
            client.tag(image, pending, run)
            container = client.create_container(image, labels={RUN_LABEL: run})["Id"]
            out = engine.debloat("gc")
        assert f"of run {run}" in out
        with pytest.raises(docker.errors.NotFound):
            client.inspect_container(container)
        with pytest.raises(docker.errors.ImageNotFound):
            client.inspect_image(f"{pending}:{run}")
    finally:
        client.close()
    return ""


VERBS: dict[str, Callable[[Engine, str], str]] = {
    "lock": lock_,
    "apply": apply,
    "check": check,
    "check --probe": check_probes,
    "why": why,
    "diff": diff,
    "inspect": inspect,
    "sbom": sbom,
    "record": record,
    "combine": combine,
    "build": build,
    "--platform": platform,
    "--output, docker load": archives,
    "hook": hook,
    "doctor": doctor,
    "gc": gc,
}
"""What is done with the result, and what must be the same on every engine."""

SAID: dict[str, dict[str, str]] = {}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_on_every_engine(engine: Engine, verb: str) -> None:
    image = fixtures.tag(FIXTURE)
    found, said = VERBS[verb](engine, image), SAID.setdefault(verb, {})
    if engine.setup.rootless and verb == "diff":
        assert "/dev/full" not in found
        table.note(f"`{verb}`", engine.setup.name, "yes, less the device nodes that the engine leaves out")
        return
    said[engine.setup.name] = found
    if verb == list(VERBS)[-1]:
        remove(engine, TARGET)
    nothing_left(engine)
    assert len(set(said.values())) == 1, said
    table.note(f"`{verb}`", engine.setup.name)


ELSEWHERE = {
    "completion": "asks no engine",
    "compose": "needs Compose, and asks of an engine what each row does and what Compose does",
    "heal": "is `apply`, by a lock that asks for more",
    "init": "asks what `inspect` asks, the configuration alone",
    "plugin": "asks no engine",
    "import": "reads an image as `inspect` does",
    "run": "is the main job, which each row begins with",
    "pod": "asks what `inspect` asks, and less of it",
    "fleet": "asks what the main job, `apply` and `check` ask",
    "explore": "asks what `inspect` asks, on a terminal of its own",
    "vex": "asks what `sbom` asks",
    "debug": "Docker alone so far (tests/engine/test_debug.py)",
}
"""Verbs that the matrix leaves out, and why; docs/engines.md says so below the table."""


def test_no_verb_is_left_out() -> None:
    assert set(cli.commands) == {"slim", *(verb for verb in VERBS if verb in cli.commands), *ELSEWHERE}
    documents = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()
    assert all(f"`{verb}`" in documents for verb in ELSEWHERE)


def test_the_documented_table_is_what_was_seen() -> None:
    if os.environ.get("DEBLOAT_WRITE_DOCS"):
        table.write(table.over(table.documented(), table.render()))
    missing = {s.name for s in (*SETUPS, *OWN)} ^ {engine for _, engine in table.SEEN}
    assert not missing, f"nothing seen of {missing}"
    documented, seen = table.columns(table.documented()), table.columns(table.render())
    assert {s.title for s in CI if s != HERE} <= documented.keys()
    for title in documented.keys() & seen.keys() - {""}:
        told, found = (dict(zip(cells[""], cells[title], strict=True)) for cells in (documented, seen))
        ran = {row: cell for row, cell in found.items() if cell != table.NOT_RUN}
        assert {row: told[row] for row in ran} == ran
