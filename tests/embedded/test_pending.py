"""Minimal images on the own engine until they are named: shown over their original, written down when they stay."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from debloat.core.model import Closure, Evidence, Image
from debloat.cut import Minimal, carve_closure
from debloat.debian.packages import NoPackages
from debloat.embedded.engine import EmbeddedEngine
from debloat.embedded.place import Place
from debloat.embedded.runtime import Runtime
from debloat.engine.base import ContainerSpec
from debloat.engine.run_id import new_run
from debloat.image.archive import archive
from debloat.image.rootfs import Rootfs
from tests.embedded.test_layers import BASE, layer, saved

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices are root's to make")

RUN = new_run()
KEPT = ("/", "/usr", "/usr/lib", "/usr/lib/a", "/lib")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EmbeddedEngine]:
    """One that starts nothing."""
    made = EmbeddedEngine(Place(tmp_path / "store"), Runtime("/bin/false", "crun"), user=False)
    yield made
    made.close()
    assert [path for name in ("drafts", "containers") for path in (tmp_path / "store" / name).iterdir()] == []


@pytest.fixture
def original(engine: EmbeddedEngine, tmp_path: Path) -> Image:
    return engine.image(str(saved(tmp_path / "image.tar", [layer(BASE)])))


def minimal(engine: EmbeddedEngine, original: Image, directory: Path, *more: str) -> Minimal:
    files = engine.files(original)
    closure = Closure({path: (Evidence("x", "probe:x"),) for path in (*KEPT, *more)})
    return carve_closure(Rootfs(files.entries(), files), NoPackages(), original, closure, directory)


def names(engine: EmbeddedEngine, container: str) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(engine.export(container)))) as tar:
        return {f"/{name.removeprefix('./')}" for name in tar.getnames()} - {"/."}


def unpacked(engine: EmbeddedEngine, tmp_path: Path) -> int:
    return len(list((tmp_path / "store" / "layers").iterdir()))


def test_what_is_pending_is_not_unpacked(engine: EmbeddedEngine, original: Image, tmp_path: Path) -> None:
    name = f"debloat-pending:{RUN}"
    for more in ((), ("/usr/lib/b",)):
        made = minimal(engine, original, tmp_path, *more)
        engine.load(archive(made.written, [name]), name)
        assert engine.image(name, pull=False).id == made.id
        container = engine.create(ContainerSpec(name, RUN, entrypoint=("/x",)))
        assert names(engine, container) >= {*KEPT, *more} - {"/"}
        assert not names(engine, container) & {"/opaque", "/a-setuid", "/linked"}
        assert engine.changes(engine.create(ContainerSpec(made.id, RUN, entrypoint=("/x",)))) >= {"/.dockerenv"}
        engine.remove(container)
        assert unpacked(engine, tmp_path) == 1
    engine.untag(name)
    assert unpacked(engine, tmp_path) == 1
    with pytest.raises(Exception, match="cannot find the image"):
        engine.image(name, pull=False)


@pytest.mark.parametrize("by_id", [False, True])
def test_what_is_named_stays(engine: EmbeddedEngine, original: Image, tmp_path: Path, by_id: bool) -> None:
    name = f"debloat-pending:{RUN}"
    made = minimal(engine, original, tmp_path)
    engine.load(archive(made.written, [name]), name)
    engine.tag(made.id if by_id else name, "app:slim")
    engine.untag(name)
    assert engine.image_names() == ("app:slim",)
    assert engine.image("app:slim", pull=False).id == made.id
    assert engine.empty() == 1, "the original can be had again"
    files = engine.files(engine.image("app:slim", pull=False))
    assert {entry.path for entry in files.entries()} == set(KEPT)
    assert files.read("/usr/lib/a") == b"a below"
    engine.untag("app:slim")
    assert unpacked(engine, tmp_path) == 0


def test_what_is_pending_can_be_looked_at(engine: EmbeddedEngine, original: Image, tmp_path: Path) -> None:
    made = minimal(engine, original, tmp_path)
    engine.load(archive(made.written, ["app:pending"]), "app:pending")
    assert {entry.path for entry in engine.files(engine.image("app:pending")).entries()} == set(KEPT)
    engine.untag("app:pending")


def test_what_the_original_has_and_the_image_lacks_is_new_in_a_container(
    engine: EmbeddedEngine, original: Image, tmp_path: Path
) -> None:
    """Docker says the same, to which the image's layer is all there is."""
    engine.load(archive(minimal(engine, original, tmp_path).written, ["app:pending"]), "app:pending")
    container = engine.create(ContainerSpec("app:pending", RUN, entrypoint=("/x",)))
    info = tarfile.TarInfo("b")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.addfile(info, io.BytesIO())
    engine.put(container, "/usr/lib", out.getvalue())
    engine.put(container, "/opaque", out.getvalue())
    assert engine.changes(container) >= {"/usr/lib/b", "/opaque", "/opaque/b"}
    assert "/usr/lib/a" not in engine.changes(container)
