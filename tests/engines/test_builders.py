"""The application is the same whoever built the image: Docker's classic builder, BuildKit, buildah."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from debloat import sensor
from debloat.cli.options import Probes
from debloat.cli.settings import recipe_of
from debloat.core.model import Trace
from debloat.core.recipe import Recipe
from debloat.cut import cut
from debloat.debian import dpkg
from debloat.engine.docker import connect
from debloat.engine.workspace import Workspace
from debloat.image.reader import open_rootfs
from debloat.pipeline import world_of
from debloat.record.record import record
from debloat.record.session import Recorder
from debloat.rules.application.build import asked_packages
from debloat.rules.application.shipped import shipped
from debloat.rules.application.survey import application
from tests.engines import builders
from tests.engines.conftest import Engines
from tests.engines.setups import CI, HERE, THOROUGH
from tests.support import fixtures

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(5400)]

FEW = ("flask", "redis", "scratch", "torture")
"""Stages, a user and a server; a volume and an entrypoint; no distribution; paths of every kind."""

SUITE = "trixie"
BUILDAHS = ("trixie", "bookworm") if THOROUGH else ("trixie",)


@dataclass(frozen=True, slots=True)
class Seen:
    """What debloat makes of an image: application, packages that are of it, packages asked for, and what is kept."""

    application: frozenset[str]
    shipped: frozenset[str]
    asked: frozenset[str]
    kept: frozenset[str]
    paths: frozenset[str]
    """All that the image has."""

    def among(self, paths: frozenset[str]) -> Seen:
        """The same as far as it is of these paths.

        Some names are of one build: a certificate that a package makes is linked by a hash of the machine's name, and
        Go's cache names files by times.
        """
        return replace(self, application=self.application & paths, kept=self.kept & paths, paths=self.paths & paths)

    def less(self, other: Seen) -> dict[str, list[str]]:
        """What is here and not there, by subject."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__}
        return {name: sorted(here - there) for name, (here, there) in pairs.items() if here - there}


@dataclass(slots=True)
class Built:
    """Images of a fixture by who built them, each gone with the test."""

    fixture: str
    images: dict[str, str] = field(default_factory=dict)

    def name(self, builder: str) -> str:
        return self.images.setdefault(builder, f"debloat-matrix/{self.fixture}:{builder}")

    def remove(self) -> None:
        subprocess.run(["docker", "rmi", *self.images.values()], capture_output=True, check=False)


@pytest.fixture(params=fixtures.names() if THOROUGH else FEW)
def built(request: pytest.FixtureRequest, engines: Engines, tmp_path: Path) -> Iterator[Built]:
    """All on the engine of this machine."""
    found = Built(request.param)
    directory = fixtures.prepared(found.fixture)
    bases = [f"debian:{suite}-slim" for suite in fixtures.suites(directory)]
    docker = engines.get(next(s for s in CI if s != HERE and SUITE in s.words))
    try:
        builders.classic(directory, found.name("classic"))
        builders.buildkit(directory, found.name("buildkit"), bases, docker.endpoint, SUITE, tmp_path)
        for suite in BUILDAHS:
            builders.buildah(directory, found.name(f"buildah-{suite}"), bases, suite)
        yield found
    finally:
        found.remove()


def test_the_application_is_the_same_whoever_built_it(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the trace of one of the images, so that nothing but the build can tell them apart."""
    fixture = fixtures.load(built.fixture)
    monkeypatch.chdir(fixture.directory)
    recipe = recipe_of(Probes(config=str(fixture.recipe)))
    engine = connect()
    try:
        with Workspace(engine) as workspace:
            recorder = Recorder(sensor.binary(engine.info().architecture))
            original = engine.image(built.images["classic"])
            trace = record(workspace, original, recipe, recorder, lambda said: None).trace
            found = {b: seen(workspace, image, recipe, trace, recorder.sensor) for b, image in built.images.items()}
    finally:
        engine.close()
    everywhere = frozenset.intersection(*(one.paths for one in found.values()))
    assert all(len(one.paths - everywhere) < 0.1 * len(one.paths) for one in found.values())
    found = {builder: one.among(everywhere) for builder, one in found.items()}
    classic = found.pop("classic")
    assert classic.kept
    assert not {b: (other.less(classic), classic.less(other)) for b, other in found.items() if other != classic}


def seen(workspace: Workspace, reference: str, recipe: Recipe, trace: Trace, binary: bytes) -> Seen:
    image = workspace.engine.image(reference)
    rootfs = open_rootfs(workspace, image, binary)
    world = world_of(image, rootfs, dpkg.read(rootfs), recipe, trace)
    minimal = cut(world, image, (), workspace.directory)
    return Seen(
        application=frozenset(application(world)),
        shipped=frozenset(shipped(world)),
        asked=frozenset(asked_packages(world)),
        kept=frozenset(kept.entry.path for kept in minimal.kept),
        paths=frozenset(rootfs),
    )
