"""debloat's own engine makes the images that Docker's makes: as root, and as root of a user namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from debloat.embedded.place import VARIABLE
from tests.engines import table
from tests.engines.setups import FIXTURES
from tests.support import fixtures

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1200)]

WITHOUT = ["setpriv", "--bounding-set", "-sys_admin"]
"""Root as it is in a container without privileges."""
PROFILED = ("nginx", "scratch")
"""Fixtures that get a seccomp profile as well, as root and in a namespace."""
LAYERS: dict[str, str] = {}
"""By fixture: the layer that Docker's engine makes."""


def layer(image: str, engine: str, fixture: str, directory: Path, wrapper: list[str], *more: str) -> str:
    report = directory / f"{engine}.json"
    argv = [*wrapper, sys.executable, "-m", "debloat", image, "-q", "--engine", engine, "--json", str(report), *more]
    env = {**os.environ, VARIABLE: str(directory / "store"), "PYTHONPATH": str(fixtures.FIXTURES.parent)}
    done = subprocess.run(argv, cwd=fixtures.FIXTURES / fixture, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    made: str = json.loads(report.read_bytes())["layer"]
    return made


@pytest.mark.parametrize(
    ("fixture", "wrapper"),
    [
        *(pytest.param(fixture, [], id=f"root-{fixture}") for fixture in FIXTURES),
        *(pytest.param(fixture, WITHOUT, id=f"namespace-{fixture}") for fixture in ("nginx", "scratch")),
    ],
)
def test_the_same_image_as_of_docker(fixture: str, wrapper: list[str], tmp_path: Path) -> None:
    image = fixtures.build(fixture)
    if fixture not in LAYERS:
        LAYERS[fixture] = layer(image, "docker", fixture, tmp_path, [], "-t", "debloat-embedded:slim")
        subprocess.run(["docker", "rmi", "debloat-embedded:slim"], check=True, capture_output=True)
    archive = tmp_path / "image.tar"
    subprocess.run(["docker", "save", "-o", str(archive), image], check=True)
    output = tmp_path / "result"
    more = ("--seccomp", str(tmp_path / "seccomp.json")) if fixture in PROFILED else ()
    made = layer(
        f"docker-archive:{archive}", "embedded", fixture, tmp_path, wrapper, "--output", f"oci:{output}", *more
    )
    assert not more or (tmp_path / "seccomp.json").exists(), "it has answered under its profile on this engine"
    assert made == LAYERS[fixture]
    assert (output / "oci-layout").exists()
    assert not list((tmp_path / "store" / "containers").iterdir())
    mode = "embedded-namespace" if wrapper else "embedded"
    table.note(f"`{fixture}` twice: the layer and configuration that the others give", mode, "yes, once")


VERBS = {
    "lock": "lock {image} -q -t {result} --lock debloat.lock -c {recipe}",
    "apply": "apply {image} -q --lock debloat.lock -t debloat-embedded:applied",
    "check": "check {image} --lock debloat.lock -q",
    "check --probe": "check {image} --lock debloat.lock --probe -c {recipe} -q",
    "why": "why {result} /usr/sbin/nginx",
    "diff": "diff {image} {result} --files 3",
    "inspect": "inspect {result} --only packages --json",
    "sbom": "sbom {result} --format cyclonedx",
    "record": "record {image} -q -c {recipe} --save-trace one.trace",
    "combine": "combine one.trace one.trace -o both.trace",
    "doctor": "doctor",
    "gc": "gc --all",
}
"""Verbs of the matrix that need no other command; what they print on standard output is the same on both engines."""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """What each verb prints on either engine, by verb and engine."""
    found: dict[str, dict[str, str]] = {verb: {} for verb in VERBS}
    image, result = fixtures.build("nginx"), "debloat-embedded:verbs"
    recipe = str(fixtures.FIXTURES / "nginx" / "debloat.toml")
    try:
        for engine, original in (("docker", image), ("embedded", f"docker-daemon:{image}")):
            here = tmp_path_factory.mktemp(engine)
            env = {
                **os.environ,
                VARIABLE: str(here / "store"),
                "XDG_STATE_HOME": str(here / "state"),
                "PYTHONPATH": str(fixtures.FIXTURES.parent),
                "DEBLOAT_ENGINE": engine,
            }
            for verb, words in VERBS.items():
                argv = [word.format(image=original, result=result, recipe=recipe) for word in words.split()]
                done = subprocess.run(
                    [sys.executable, "-m", "debloat", *argv],
                    cwd=here,
                    env=env,
                    capture_output=True,
                    text=True,
                    timeout=300,
                )
                found[verb][engine] = done.stdout if done.returncode == 0 else f"{done.returncode}: {done.stderr}"
            lock = (here / "debloat.lock").read_text().splitlines()
            found["lock"][engine] += "".join(line for line in lock if line.startswith(("id\t", "layer\t")))
        yield found
    finally:
        subprocess.run(["docker", "rmi", result, "debloat-embedded:applied"], capture_output=True)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_says_what_it_says_on_docker(printed: dict[str, dict[str, str]], verb: str) -> None:
    docker, own = (printed[verb][engine] for engine in ("docker", "embedded"))
    if verb in ("doctor", "gc"):
        assert "NO " not in own
        assert not own[:1].isdigit() or own[1:2] != ":"
    else:
        assert own == docker
    table.note(f"`{verb}`", "embedded")
