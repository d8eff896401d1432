"""Reading an image's layers gives what reading it on an engine gives, entry by entry, whatever the image is like."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat import sensor
from debloat.cli.main import main
from debloat.core.model import Entry
from debloat.engine.docker import DockerEngine, connect
from debloat.engine.workspace import Workspace
from debloat.image.reader import open_rootfs
from debloat.image.rootfs import Rootfs
from debloat.store.layers import open_layers
from debloat.store.location import image_location
from debloat.store.opened import open_store
from tests.support import engines
from tests.support.engines import Images

pytestmark = pytest.mark.engine

# Whiteouts, an opaque directory, links that lose names, kinds that change, odd owners and times, a pipe, a volume whose
# directory the image lacks, and what engines put into containers.
ODD = f"""FROM {engines.BASE}
RUN mkdir -p /odd/gone /odd/opaque && echo 1 > /odd/a && ln /odd/a /odd/b && ln /odd/a /odd/c && echo 2 > /odd/gone/x \\
    && echo 3 > /odd/opaque/old && ln -s a /odd/link && echo 4 > /odd/file && mkdir /odd/dir && echo 5 > /odd/dir/y
RUN rm -r /odd/gone /odd/a && rm -r /odd/opaque && mkdir /odd/opaque && echo 6 > /odd/opaque/new \\
    && rm /odd/file && mkdir /odd/file && rm -r /odd/dir && echo 7 > /odd/dir && chown 1234:5678 /odd/c \\
    && chmod 4751 /odd/c && touch -d '1969-12-31 23:59:59.5 UTC' /odd/link /odd/dir && mkfifo /odd/pipe
RUN ln /odd/c /odd/d && mkdir -m 1777 /odd/t && touch "/odd/ä b" /etc/mtab && chown -h 7:7 /odd/link
VOLUME /srv/data/deep /odd/t
WORKDIR /made/by/workdir
CMD ["cat", "/odd/c"]
"""


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    yield from engines.images(tmp_path)


def without_groups(rootfs: Rootfs) -> list[Entry]:
    """The entries; hard links as the first name of each group, which what engines number does not change."""
    first: dict[int, int] = {}
    found = list(rootfs.entries())
    names = [entry.hardlink for entry in found]
    return [
        replace(e, hardlink=first.setdefault(e.hardlink, len(first) + 1) if names.count(e.hardlink) > 1 else 0)
        if e.hardlink
        else e
        for e in found
    ]


def test_layers_are_read_as_on_an_engine(images: Images, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = images.build("odd", ODD)
    saved = tmp_path / "odd.tar"
    subprocess.run(["docker", "save", "-o", saved, name], check=True)
    with Workspace(connect()) as workspace, open_store(image_location(f"docker-archive:{saved}")) as store:
        image = workspace.engine.image(name)
        there = open_rootfs(workspace, image, sensor.binary(workspace.engine.info().architecture))
        stored = store.image()
        here = open_layers(store, stored, workspace.directory, "the archive").rootfs
        assert without_groups(here) == without_groups(there)
        files = [entry.path for entry in here.entries() if entry.is_file and entry.path.startswith(("/odd", "/etc"))]
        assert [here.read(path) for path in files] == [there.read(path) for path in files]
        # It was read out of the engine's directories; a container shows the same.
        assert workspace.engine.directories(image)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DockerEngine, "directories", lambda *_: ())
            contained = open_rootfs(workspace, image, sensor.binary(workspace.engine.info().architecture))
        assert without_groups(contained) == without_groups(there)
        assert [contained.read(path) for path in files] == [there.read(path) for path in files]
        assert stored.image.identity == image.identity
        assert (stored.image.history, stored.image.created) == (image.history, image.created)
    with open_store(image_location(f"docker-daemon:{name}")) as store:
        assert store.image().image.identity == image.identity
        assert store.image().image.names == (name,)
    # The same lock gives the same image, with an engine and without.
    lock = str(tmp_path / "odd.lock")
    assert main([name, "-q", "--lock", lock, "-t", images.name("small")]) == 0
    subprocess.run(["docker", "save", "-o", saved, name], check=True)
    out = f"oci:{tmp_path / 'out'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", "unix:///nonexistent")
        assert main(["apply", f"docker-archive:{saved}", "--lock", lock, "--output", out, "-q"]) == 0
    with open_store(image_location(out)) as store:
        assert store.image().image.id == engines.image_id(images.name("small"))
    # The archive is run on the engine, and everything of it is gone then.
    before = subprocess.run(
        ["docker", "images", "-aq", "--filter", f"reference={images.repository}"], capture_output=True
    )
    result = f"oci-archive:{tmp_path / 'run.tar'}"
    assert main([f"docker-archive:{saved}", "-q", "--output", result]) == 0
    after = subprocess.run(
        ["docker", "images", "-aq", "--filter", f"reference={images.repository}"], capture_output=True
    )
    assert sorted(before.stdout.split()) == sorted(after.stdout.split())
    with open_store(image_location(result)) as store:
        assert store.image().image.id == engines.image_id(images.name("small"))
    capsys.readouterr()
    assert main(["why", result, "/etc/passwd"]) == 0
    assert capsys.readouterr().out.startswith("kept: /etc/passwd")
