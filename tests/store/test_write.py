"""What is written, where: whole or not at all, the same bytes each time, and readable again."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import pytest

from debloat.core.errors import UsageError
from debloat.image.carve import image_id
from debloat.image.oci import Referrer, Written, digest_of
from debloat.store.location import image_location, output_location
from debloat.store.opened import open_store
from debloat.store.write import LayoutSink, must_take, write

NOTE = Referrer("application/x.note", "text/plain", b"hello", MappingProxyType({"a": "b"}))


def tree(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
def test_what_is_written_is_read_again(tmp_path: Path, written: Written, form: str) -> None:
    said = f"{form}:{tmp_path / 'out'}"
    digest = write(written, "app:slim", output_location(said))
    with open_store(image_location(said)) as store:
        image = store.image()
    assert (image.config, image.image.id) == (written.config, image_id(written.config))
    assert image.image.reference == "app:slim"
    assert [layer.diff_id for layer in image.layers] == [stored.layer.diff_id for stored in written.layers]
    if form != "docker-archive":
        assert image.manifest.digest == digest


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci"])
def test_the_same_image_is_written_as_the_same_bytes(tmp_path: Path, written: Written, form: str) -> None:
    referrers = [] if form == "docker-archive" else [NOTE]
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(written, "app:slim", output_location(f"{form}:{tmp_path / name / 'out'}"), referrers)
        found.append(tree(tmp_path / name))
    assert found[0] == found[1]


def test_a_layout_keeps_its_other_images(tmp_path: Path, written: Written) -> None:
    other = Written(written.config.replace(b"debloat 1", b"debloat 2"), written.layers)
    for image, name in ((written, "b"), (other, "a"), (written, "a")):
        write(image, "ignored:1", output_location(f"oci:{tmp_path / 'out'}:{name}"))
    index = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    assert [row["annotations"]["org.opencontainers.image.ref.name"] for row in index] == ["a", "b"]
    assert index[0]["digest"] == index[1]["digest"]


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_what_refers_to_an_image_lies_beside_it(tmp_path: Path, written: Written, form: str) -> None:
    said = f"{form}:{tmp_path / 'out'}"
    digest = write(written, "app:slim", output_location(said), [NOTE])
    with open_store(image_location(said)) as store:
        assert [v.blob.digest for v in store.variants()] == [digest]
    if form == "oci":
        image, note = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
        assert (note["artifactType"], note["annotations"]) == ("application/x.note", {"a": "b"})
        manifest = json.loads((tmp_path / "out/blobs" / note["digest"].replace(":", "/")).read_text())
        assert manifest["subject"]["digest"] == digest == image["digest"]
        assert manifest["layers"][0]["digest"] == digest_of(b"hello")


def test_a_docker_archive_has_no_place_for_it(tmp_path: Path, written: Written) -> None:
    with pytest.raises(UsageError, match="cannot write attestations"):
        write(written, "a:1", output_location(f"docker-archive:{tmp_path / 'out'}"), [NOTE])
    assert not (tmp_path / "out").exists()


def test_a_layout_that_fails_leaves_nothing(tmp_path: Path, written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    write(written, "a:1", output_location(f"oci:{tmp_path / 'old'}:a"))
    before = tree(tmp_path / "old")
    monkeypatch.setattr("debloat.store.write.index", lambda rows: 1 / 0)
    other = Written(written.config.replace(b"debloat 1", b"debloat 2"), written.layers)
    for place in ("old", "new"):
        with pytest.raises(ZeroDivisionError):
            write(other, "a:1", output_location(f"oci:{tmp_path / place}:b"))
    assert tree(tmp_path / "old") == before
    assert not (tmp_path / "new").exists()


def test_what_is_no_layout_is_left_alone(tmp_path: Path, written: Written) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    with pytest.raises(UsageError, match="no OCI layout"):
        write(written, "a:1", output_location(f"oci:{tmp_path / 'mine'}"))
    assert tree(tmp_path / "mine") == {"file": b""}
    (tmp_path / "mine/index.json").write_text("{}")
    with pytest.raises(Exception, match="a manifest of version None"):
        LayoutSink(output_location(f"oci:{tmp_path / 'mine'}")).write(written, ["a:1"])


@pytest.mark.parametrize("said", ["docker-archive:/proc/x/y", "oci:/proc/x", "oci-archive:/proc/x"])
def test_it_is_known_early_that_nothing_can_be_written(said: str) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        must_take(output_location(said))
