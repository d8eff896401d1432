"""Podman behind the same API: what its answers leave out is found, what it makes in containers is not the image's."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from debloat import sensor
from debloat.cli.main import main
from debloat.core.errors import UsageError
from debloat.core.model import Image
from debloat.engine.base import ContainerSpec
from debloat.engine.client import open_client
from debloat.engine.docker import DockerEngine
from debloat.engine.endpoint import Endpoint
from debloat.engine.inspection import image_of
from debloat.engine.libpod import hides
from debloat.engine.traits import traits_of
from tests.support.engine import Behaviour, FakeEngine
from tests.support.httpengine import HttpEngine, serving
from tests.support.podmanengine import RELEASES, PodmanEngine, recorded
from tests.support.trees import Table, tree

TREE: Table = {
    "/usr/bin/tool": ("0755", "\x00static"),
    "/usr/share/tool/data": "data",
    **{f"/{name}/": ("0755", "") for name in ("dev", "etc", "proc", "sys")},
}
HIDDEN: dict[str, object] = {
    "Healthcheck": {"Test": ["CMD", "/usr/bin/tool"], "Interval": 5_000_000_000, "StartInterval": 1_000_000_000},
    "Shell": ["/bin/bash", "-o", "pipefail", "-c"],
    "OnBuild": ["RUN echo later"],
}
CONFIG: dict[str, object] = {"Entrypoint": ["/usr/bin/tool"], "Volumes": {"/vol": {}}, "Env": ["A=1"]}
SAYS = ('HEALTHCHECK &{["CMD"', "SHELL [/bin/bash -o pipefail -c]", "ONBUILD RUN echo later", "COPY tool /")


def run(http: HttpEngine, place: Path, *more: str) -> Image:
    """The result of the main job on an engine behind a socket."""
    out, err = io.StringIO(), io.StringIO()
    with (
        serving(http, place / "engine.sock") as endpoint,
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setenv("DOCKER_HOST", endpoint)
        patch.setenv("XDG_STATE_HOME", str(place))
        patch.setattr(sensor, "binary", lambda architecture: b"sensor")
        code = main(["shop:1", "-q", "--level", "exact", *more])
    (place / "engine.sock").unlink()
    assert code == 0, err.getvalue()
    assert not http.engine.containers
    return http.engine.image(out.getvalue().strip())


def fake(config: dict[str, object]) -> FakeEngine:
    uses = (("open", "r", "/usr/share/tool/data"),)
    return FakeEngine({"shop:1": (tree(TREE), config)}, lambda rootfs, argv: Behaviour(uses))


@pytest.mark.parametrize("release", ["", *RELEASES])
def test_a_seccomp_profile_reaches_the_container(tmp_path: Path, release: str) -> None:
    """Docker takes its text, Podman a file that it reads while it creates the container."""
    engine = fake(CONFIG)
    profile, scratch = tmp_path / "profile.json", tmp_path / "scratch"
    scratch.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(scratch))
        run(PodmanEngine(engine, release) if release else HttpEngine(engine), tmp_path, "--seccomp", str(profile))
    assert [made.seccomp for made in engine.created if made.seccomp] == [profile.read_text()]
    assert not list(scratch.iterdir())


def test_a_podman_elsewhere_reads_no_profile_of_this_machine(tmp_path: Path) -> None:
    with serving(PodmanEngine(fake(CONFIG), RELEASES[0]), tmp_path / "engine.sock") as url:
        endpoint = Endpoint(url)
        engine = DockerEngine(open_client(endpoint, url), endpoint)
        engine._info = replace(engine.info(), local=False)
        with pytest.raises(UsageError, match="cannot run a container under a seccomp profile"):
            engine.create(ContainerSpec("shop:1", "run", seccomp="{}"))
        engine.close()


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("hidden", [{"Shell": HIDDEN["Shell"], "OnBuild": HIDDEN["OnBuild"]}, {}])
def test_the_same_result_as_docker_gives(tmp_path: Path, release: str, hidden: dict[str, object]) -> None:
    config = CONFIG | hidden
    docker = run(HttpEngine(fake(config)), tmp_path)
    podman = PodmanEngine(fake(config), release, SAYS[1:] if hidden else SAYS[3:])
    image = run(podman, tmp_path)
    assert image.reference == "localhost/shop:1-slim"
    assert image.config.raw == docker.config.raw
    assert (image.id, image.layers) == (docker.id, docker.layers)
    assert hidden.items() <= image.config.raw.items()
    assert podman.saved == (1 if hidden else 0), "an archive holds the layers too"
    assert "libpod_create" in podman.asked


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("archived", [True, False])
def test_a_health_check(tmp_path: Path, release: str, archived: bool) -> None:
    """From the archive with all of its fields; where that cannot be had, as far as it is shown."""
    podman = PodmanEngine(fake(CONFIG | HIDDEN), release, SAYS)
    if not archived:
        podman.lie = lambda route, answer: b"" if route == "archive" else answer
    with serving(podman, tmp_path / "engine.sock") as url:
        engine = DockerEngine(open_client(Endpoint(url), url), Endpoint(url))
        image = engine.image("shop:1")
        assert engine.whole_config(image) == image.config
        engine.close()
    assert podman.saved == 1
    assert image.config.raw["Healthcheck"] == HIDDEN["Healthcheck"]
    assert ("Shell" in image.config.raw) == archived


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_killed_run_left_is_found_under_the_names_it_has_there(tmp_path: Path, release: str) -> None:
    podman = PodmanEngine(fake(CONFIG), release)
    podman.engine.tag("shop:1", "localhost/debloat-pending:00000000-1-1-1-abcdef")
    with serving(podman, tmp_path / "engine.sock") as url:
        engine = DockerEngine(open_client(Endpoint(url), url), Endpoint(url))
        (left,) = engine.leftovers()
        assert (left.kind, left.run, left.name) == (
            "image",
            "00000000-1-1-1-abcdef",
            "localhost/debloat-pending:" + left.run,
        )
        engine.untag(left.name)
        assert engine.leftovers() == ()
        engine.close()


def real(release: str) -> Image:
    answers = recorded(release)
    return image_of("shop/app:1", answers["image"], answers["history"])


@pytest.mark.parametrize("release", RELEASES)
def test_it_is_known_by_its_answers(release: str) -> None:
    answers = recorded(release)
    traits = traits_of(answers["version"], answers["info"], "1.41")
    assert (traits.product, traits.store, traits.command) == ("podman", "containers", "podman")
    assert traits.hides_configuration
    assert traits.mounts_images
    assert not traits.rootless


@pytest.mark.parametrize("release", RELEASES)
def test_what_it_hides_is_told_by_the_history(release: str) -> None:
    image, shown = real(release), recorded(release)["libpod_image"]
    assert not HIDDEN.keys() & {key for key, value in image.config.raw.items() if value}
    assert shown["Healthcheck"] == {"Test": ["CMD-SHELL", "test -e /srv/x"], "Interval": 5_000_000_000}
    assert hides(image, {})


@pytest.mark.parametrize(
    ("history", "shown", "hidden"),
    [
        (("RUN make", 'CMD ["x"]'), {}, False),
        (("RUN make", "SHELL [/bin/bash -c]"), {}, True),
        (("/bin/sh -c #(nop)  ONBUILD RUN make",), {}, True),
        (('HEALTHCHECK &{["CMD" "x"]}',), {}, True),
        (("RUN make",), {"Healthcheck": {"Test": ["NONE"]}}, True),
        (("", ""), {}, True),
        ((), {}, True),
    ],
)
def test_where_the_archive_is_asked(history: tuple[str, ...], shown: dict[str, Any], hidden: bool) -> None:
    image = image_of("a:1", {"Id": "sha256:1"}, [{"CreatedBy": line} for line in history])
    assert hides(image, shown) == hidden
