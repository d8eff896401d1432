"""debloat's own engine makes the images that Docker's makes: as root, as root of a user namespace, and as a user."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from debloat.core.errors import OriginalFails
from debloat.embedded import seccomp
from debloat.embedded.place import VARIABLE
from tests.engines import table
from tests.engines.setups import DEVICES, FIXTURES, SAID_OF_DEVICES, THOROUGH, WITHOUT_DEVICES
from tests.support import fixtures, ordinary
from tests.support.engines import collecting

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1200)]

WRAPPERS: Mapping[str, Callable[[Path], list[str]]] = {
    "embedded": lambda home: [],
    "embedded-namespace": lambda home: ["setpriv", "--bounding-set", "-sys_admin"],
    "embedded-user": ordinary.wrapper,
}
"""By column of the table: what a command line is put behind. Root, root as it is in a container without privileges, and
an ordinary user whose home it is."""
PROFILED = ("nginx", "scratch")
"""Fixtures that get a seccomp profile as well, whoever it is."""
RUN: Mapping[str, tuple[str, ...]] = {
    "embedded": FIXTURES,
    "embedded-namespace": PROFILED,
    "embedded-user": FIXTURES if THOROUGH else PROFILED,
}
LAYERS: dict[str, str] = {}
"""By fixture: the layer that Docker's engine makes."""


def debloat(
    image: str, engine: str, fixture: str, directory: Path, wrapper: list[str], *more: str
) -> subprocess.CompletedProcess[str]:
    fixtures.clear_of_full_minutes(fixtures.load(fixture))
    report = str(directory / f"{engine}.json")
    argv = [*wrapper, sys.executable, "-m", "debloat", image, "--engine", engine, "--json", report, *more]
    env = {**os.environ, VARIABLE: str(directory / "store"), "PYTHONPATH": str(fixtures.FIXTURES.parent)}
    return subprocess.run(argv, cwd=fixtures.FIXTURES / fixture, env=env, capture_output=True, text=True, timeout=600)


def layer(done: subprocess.CompletedProcess[str], report: Path) -> str:
    assert done.returncode == 0, done.stderr
    made: str = json.loads(report.read_bytes())["layer"]
    return made


def layer_of_docker(image: str, fixture: str, directory: Path) -> str:
    if fixture not in LAYERS:
        done = debloat(image, "docker", fixture, directory, [], "-t", "debloat-embedded:slim")
        LAYERS[fixture] = layer(done, directory / "docker.json")
        subprocess.run(["docker", "rmi", "debloat-embedded:slim"], check=True, capture_output=True)
    return LAYERS[fixture]


@pytest.mark.parametrize(("mode", "fixture"), [(mode, fixture) for mode, some in RUN.items() for fixture in some])
def test_the_same_image_as_of_docker(mode: str, fixture: str, tmp_path: Path) -> None:
    image, home = fixtures.build(fixture), tmp_path / "home"
    home.mkdir()
    archive, output, profile = home / "image.tar", home / "result", home / "seccomp.json"
    subprocess.run(["docker", "save", "-o", str(archive), image], check=True)
    archive.chmod(0o644)
    more = ("--seccomp", str(profile)) if fixture in PROFILED else ()
    saved = f"docker-archive:{archive}"
    done = debloat(saved, "embedded", fixture, home, WRAPPERS[mode](home), "--output", f"oci:{output}", *more)
    assert not list((home / "store" / "containers").iterdir())
    row = f"`{fixture}` twice: the layer and configuration that the others give"
    if mode == "embedded-user" and fixture in DEVICES:
        assert done.returncode == OriginalFails.exit_code
        assert all(words in done.stderr for words in SAID_OF_DEVICES)
        broken = re.findall(r"metadata: (/\S+):", done.stderr)
        assert set(broken) == {"/torture/special/null"}, "everything else is as the image has it"
        table.note(row, mode, WITHOUT_DEVICES)
        return
    made = layer(done, home / "embedded.json")
    assert not more or profile.exists(), "it has answered under its profile on this engine"
    assert made == layer_of_docker(image, fixture, tmp_path)
    assert (output / "oci-layout").exists()
    table.note(row, mode, "yes, once")


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
    "gc": "gc",
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
                with collecting() if verb == "gc" else contextlib.nullcontext():
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
        shared = any(path.exists() for path in seccomp.PROFILES)
        assert re.findall(r"^NO +(.+?)  ", own, re.MULTILINE) == ([] if shared or verb == "gc" else ["seccomp profile"])
        assert not own[:1].isdigit() or own[1:2] != ":"
    else:
        assert own == docker
    table.note(f"`{verb}`", "embedded")
