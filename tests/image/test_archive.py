"""Archives: what an engine loads and what tools for OCI layouts read, each from its own rules and nothing of ours."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from debloat.core.model import Closure, Entry, Image, ImageConfig, Kind
from debloat.image import carve
from debloat.image.archive import Format, archive
from debloat.image.oci import LayerFile, Written
from debloat.image.rootfs import MemoryContents, Rootfs
from tests.support.engine import read_archive

IMAGE = Image(
    "app:1",
    "sha256:" + "1" * 64,
    "linux",
    "amd64",
    "",
    "2024-01-01T00:00:00Z",
    ImageConfig({"Healthcheck": {"Test": ["CMD", "x"]}}),
)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    rootfs = Rootfs([Entry("/", Kind.DIR), Entry("/f", Kind.FILE, size=2)], MemoryContents({"/f": b"ok"}))
    kept = carve.kept_entries(rootfs, Closure({"/": (), "/f": ()}), {"/f": b"new content"})
    with (tmp_path / "layer").open("wb") as out:
        layer = carve.write_layer(rootfs, kept, out)
    return Written(carve.image_config(IMAGE, [layer], "debloat 1"), (LayerFile(layer, tmp_path / "layer"),))


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = list(tar)
        assert all((m.uid, m.gid, m.mtime, m.isreg()) == (0, 0, 0, True) for m in found)
        names = [m.name for m in found]
        assert len(names) == len(set(names))
        return {m.name: file.read() for m in found if (file := tar.extractfile(m))}


def test_an_engine_reads_it_back(written: Written) -> None:
    image_id, read, document, names = read_archive(b"".join(archive(written, ["app:slim"])))
    assert image_id == carve.image_id(written.config)
    assert read.read("/f") == b"new content"
    assert names == ["app:slim"]
    assert document["config"]["Healthcheck"] == {"Test": ["CMD", "x"]}


def test_an_engine_takes_it_for_nothing_else(written: Written) -> None:
    """A layout beside `manifest.json` wins over it in Podman, which then drops the health check."""
    assert not {"index.json", "oci-layout"} & set(members(b"".join(archive(written, ["app:slim"]))))


def blob(found: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    algorithm, _, digest = descriptor["digest"].partition(":")
    data = found[f"blobs/{algorithm}/{digest}"]
    assert len(data) == descriptor["size"]
    assert hashlib.new(algorithm, data).hexdigest() == digest
    return data


def test_a_layout_keeps_to_its_specification(written: Written) -> None:
    found = members(b"".join(archive(written, ["app:slim"], Format.OCI)))
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(found["index.json"])["manifests"]
    assert entry["annotations"] == {
        "org.opencontainers.image.ref.name": "app:slim",
        "io.containerd.image.name": "docker.io/library/app:slim",
    }
    manifest = json.loads(blob(found, entry))
    assert manifest["annotations"][carve.BASE_NAME] == "app:1"
    config = json.loads(blob(found, manifest["config"]))
    assert blob(found, manifest["config"]) == written.config
    (layer,) = manifest["layers"]
    blob(found, layer)
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]
    assert len(found) == 5


def test_an_unnamed_layout_has_its_image_all_the_same(written: Written) -> None:
    found = members(b"".join(archive(written, [], Format.OCI)))
    assert len(json.loads(found["index.json"])["manifests"]) == 1


@pytest.mark.parametrize("form", Format)
def test_the_same_image_gives_the_same_bytes(written: Written, form: Format) -> None:
    assert b"".join(archive(written, ["b:1", "a:1"], form)) == b"".join(archive(written, ["a:1", "b:1"], form))
