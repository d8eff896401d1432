"""Other people's tools on what debloat writes, and on what it reads: skopeo, and images that BuildKit attests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from debloat.cli.main import main
from debloat.engine.docker import connect
from tests.engines.builders import buildx, docker_of, elsewhere
from tests.engines.conftest import Engine, Engines
from tests.engines.setups import CI, HERE, SETUPS, Setup, copy_image, root_of
from tests.integration.programs import STATIC, static
from tests.support import fixtures
from tests.support.engines import BASE

pytestmark = [pytest.mark.engine, pytest.mark.engines, pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(1200)]

SUITE = "trixie"


@pytest.fixture(scope="module")
def containerd(engines: Engines) -> Engine:
    """An engine whose image store knows indexes and attestations."""
    return engines.get(next(s for s in CI if s.words == (SUITE, "containerd")))


def remove(engine: Engine, *images: str) -> None:
    subprocess.run(["docker", "--host", engine.endpoint, "rmi", *images], capture_output=True, check=True)


@pytest.mark.parametrize("transport", ["docker-archive", "oci-archive"])
def test_skopeo_reads_the_archives(engines: Engines, containerd: Engine, transport: str) -> None:
    """By transport and name, down to the bytes of the configuration."""
    engine, target = engines.get(HERE), "debloat-matrix/skopeo:slim"
    image, recipe = fixtures.tag("nginx"), str(fixtures.FIXTURES / "nginx" / "debloat.toml")
    argv = (image, "-q", "-c", recipe, "--level", "exact", "-t", target, "--json", "skopeo.json")
    engine.debloat(*argv, "--output", f"{transport}:skopeo.tar")
    remove(engine, target)
    made = json.loads((engine.here / "skopeo.json").read_bytes())
    inside = root_of(SUITE) / "tmp" / "skopeo.tar"
    shutil.copy(engine.here / "skopeo.tar", inside)
    try:
        skopeo = ["chroot", str(root_of(SUITE)), "skopeo", "inspect", "--config", "--raw"]
        read = subprocess.run([*skopeo, f"{transport}:/tmp/skopeo.tar:{target}"], capture_output=True)
    finally:
        inside.unlink()
    assert read.returncode == 0, read.stderr
    assert f"sha256:{hashlib.sha256(read.stdout).hexdigest()}" == made["result_id"]
    assert json.loads(read.stdout)["rootfs"]["diff_ids"] == [made["layer"]]


@pytest.mark.parametrize("setup", [s for s in SETUPS if "containerd" in s.words], ids=lambda setup: setup.name)
def test_one_of_the_images_of_an_index(engines: Engines, setup: Setup, tmp_path: Path) -> None:
    """The engine's own, or the one that is named, where the engine can describe that."""
    engine, image, target = engines.get(setup), "index:1", "index:slim"
    (tmp_path / "show").write_bytes(static(STATIC, tmp_path))
    (tmp_path / "show").chmod(0o755)
    for architecture in ("amd64", "386"):
        (tmp_path / f"greeting-{architecture}").write_text(f"for {architecture}\n")
    (tmp_path / "Dockerfile").write_text(
        'FROM scratch\nARG TARGETARCH\nCOPY show /show\nCOPY greeting-$TARGETARCH /greeting\nCMD ["/show"]\n'
    )
    argv = [
        *buildx(engine.endpoint, engine.setup.words[0], tmp_path),
        "--platform",
        "linux/amd64,linux/386",
        "-t",
        image,
        str(tmp_path),
    ]
    subprocess.run(argv, check=True, capture_output=True)
    with engine.chosen():
        described = connect().info().traits.shows_platforms
    shown = []
    try:
        for asked in ((), ("--platform", "linux/386"))[: 1 + described]:
            engine.debloat(image, "-q", "-t", target, "--level", "exact", *asked)
            words = ["docker", "--host", engine.endpoint, "run", "--rm", "--network", "none", target]
            shown.append(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
            remove(engine, target)
        if not described:
            with engine.chosen():
                assert main([image, "-q", "--platform", "linux/386"]) == 2
    finally:
        remove(engine, image)
    assert shown == ["for amd64\n", "for 386\n"][: 1 + described]


def test_a_builder_that_keeps_what_it_builds(
    containerd: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As setup-buildx-action makes one: what is built reaches the engine because `debloat build` asks for that."""
    copy_image(BASE, containerd.endpoint)
    context = tmp_path / "kept-elsewhere"
    context.mkdir()
    (context / "Dockerfile").write_text(f'FROM {BASE}\nCOPY page /srv/page\nCMD ["cat", "/srv/page"]\n')
    (context / "page").write_text("hello\n")
    monkeypatch.setenv("PATH", f"{docker_of(SUITE, tmp_path)}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with (
        containerd.chosen(),
        elsewhere([*buildx(containerd.endpoint, SUITE, tmp_path)[:-1], "--builder", "default"]) as url,
    ):
        create = ["docker", "buildx", "create", "--name", "away", "--driver", "remote", url]
        subprocess.run(create, check=True, capture_output=True)
        monkeypatch.setenv("BUILDX_BUILDER", "away")
        built = subprocess.run(["docker", "build", "-t", "kept:1", str(context)], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        assert subprocess.run(["docker", "inspect", "kept:1"], capture_output=True).returncode
        assert containerd.debloat("build", str(context), "-q", "-t", "kept-elsewhere:slim") == "kept-elsewhere:slim\n"
        words = ["docker", "run", "--rm", "--network", "none", "kept-elsewhere:slim"]
        assert subprocess.run(words, capture_output=True, text=True).stdout == "hello\n"
    remove(containerd, "kept-elsewhere:latest", "kept-elsewhere:slim")


def test_an_index_that_changes_with_each_build_is_one_image(containerd: Engine, tmp_path: Path) -> None:
    """BuildKit attests when it built, so the id is another one each time; what is remembered and locked is not."""
    context = containerd.here / "attested"
    context.mkdir()
    (context / "Dockerfile").write_text(f'FROM {BASE}\nCMD ["cat", "/etc/debian_version"]\n')
    subprocess.run(f"docker save {BASE} | docker --host {containerd.endpoint} load", shell=True, check=True)
    ids, locks = [], []
    argv = buildx(containerd.endpoint, SUITE, tmp_path)
    try:
        for number in range(2):
            subprocess.run([*argv, "--provenance", "true", "-t", "attested:1", str(context)], check=True)
            inspected = ["docker", "--host", containerd.endpoint, "inspect", "--format", "{{.Id}}", "attested:1"]
            ids.append(subprocess.run(inspected, capture_output=True, text=True, check=True).stdout)
            lock = containerd.here / f"attested{number}.lock"
            containerd.debloat("attested:1", "-q", "--level", "exact", "--lock", str(lock))
            locks.append(lock.read_text())
        assert containerd.debloat("why", "attested:1", "/etc/debian_version").startswith("kept: ")
    finally:
        remove(containerd, "attested:1", "attested:1-slim")
    assert ids[0] != ids[1]
    assert locks[0] == locks[1]
