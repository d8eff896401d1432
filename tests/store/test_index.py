"""Indexes of several platforms: read as they stand, and written with some images made anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from debloat.core.errors import UsageError
from debloat.image.oci import INDEX, MANIFEST, REF_NAME, Written
from debloat.store.base import StoreError
from debloat.store.index import composed
from debloat.store.location import Location, Transport, image_location, output_location
from debloat.store.opened import open_store
from debloat.store.write import must_take, write_index
from tests.support.registry import registry, skopeo
from tests.support.stores import OCI, LayoutMaker, layer, packed, sha256

AMD64, I386 = {"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "386"}
ARM64 = {"os": "linux", "architecture": "arm64", "variant": "v8"}
UNKNOWN = {"os": "unknown", "architecture": "unknown"}


class Maker(LayoutMaker):
    """A layout of indexes."""

    def image(self, platform: dict[str, str], word: str = "", **more: object) -> dict[str, Any]:
        """A row for an image that is like no other."""
        config = {"Entrypoint": ["/x"], "Labels": {"word": word}}
        found = self.manifest([layer({"x": str(platform)})], config, bytes, **platform)
        return {**found, "platform": platform, "annotations": {"is": platform["architecture"]}, **more}

    def statement(self, of: str, **more: object) -> dict[str, Any]:
        """A row for what BuildKit says of an image."""
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(b"{}" + of.encode(), f"{OCI}.config.v1+json"),
            "layers": [self.blob(of.encode(), "application/vnd.in-toto+json")],
        }
        said = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of}
        found = self.blob(json.dumps(document).encode(), MANIFEST)
        return {**found, "platform": UNKNOWN, "annotations": said, **more}

    def artifact(self, subject: dict[str, Any] | None) -> dict[str, Any]:
        """A row for what others say of an image, or of none."""
        document = {
            "schemaVersion": 2,
            "artifactType": "application/x.note",
            "config": self.blob(b"{}", "application/vnd.oci.empty.v1+json"),
            "layers": [self.blob(json.dumps(subject).encode(), "text/plain")],
            **({"subject": {key: subject[key] for key in ("mediaType", "digest", "size")}} if subject else {}),
        }
        return {**self.blob(json.dumps(document).encode(), MANIFEST), "artifactType": "application/x.note"}

    def named(self, index: dict[str, Any], name: str = "app:1") -> Path:
        return self.end({**index, "annotations": {REF_NAME: name}})


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A layout, and the rows of its index: three platforms, a statement about each, out of order."""
    maker = Maker(tmp_path / "source")
    arm, amd, i386 = (maker.image(platform) for platform in (ARM64, AMD64, I386))
    rows = [maker.statement(amd["digest"]), arm, amd, maker.statement(arm["digest"]), i386]
    rows += [maker.statement(i386["digest"]), maker.artifact(amd), maker.artifact(arm), maker.artifact(None)]
    return maker.named(maker.index(rows)), rows


def written_to(source: str, made: dict[str, Written], to: str) -> tuple[str, int]:
    """Compose an index and write it; its digest, and how many rows are gone."""
    with open_store(image_location(source)) as store:
        index = store.index()
        assert index is not None
        new, gone = composed(index, store, made, source)
        return write_index(new, "app:1-slim", output_location(to)), len(gone)


def of(directory: Path, row: dict[str, Any]) -> Any:
    """The document that a row leads to."""
    data = blob(directory, row["digest"])
    assert (sha256(data), len(data)) == (row["digest"], row["size"])
    return json.loads(data)


def blob(directory: Path, digest: str) -> bytes:
    return (directory / "blobs" / digest.replace(":", "/")).read_bytes()


def reached(directory: Path, row: dict[str, Any]) -> set[str]:
    """The digests that a row of an index leads to; each blob is there, and is what it should be."""
    document = of(directory, row)
    if "manifests" in document:
        return {row["digest"]}.union(*(reached(directory, inner) for inner in document["manifests"]))
    parts = [document["config"], *document["layers"]]
    for part in parts:
        assert sha256(blob(directory, part["digest"])) == part["digest"]
    return {row["digest"], *(part["digest"] for part in parts)}


def tree(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_order_platforms_and_annotations_stay(
    source: tuple[Path, list[dict[str, Any]]], written: Written, tmp_path: Path
) -> None:
    directory, rows = source
    out = tmp_path / "out"
    digest, gone = written_to(f"oci:{directory}:app:1", {rows[2]["digest"]: written}, f"oci:{out}")
    (entry,) = json.loads((out / "index.json").read_text())["manifests"]
    assert (entry["digest"], entry["mediaType"]) == (digest, INDEX)
    assert entry["annotations"][REF_NAME] == "app:1-slim"
    found = of(out, entry)["manifests"]
    # What spoke of the image that was made is gone, two rows of it; all else is as it was.
    assert gone == 2
    assert [found[0], *found[2:]] == [rows[1], rows[3], rows[4], rows[5], rows[7], rows[8]]
    changed = {"digest", "size"}
    assert {k: v for k, v in found[1].items() if k not in changed} == {
        k: v for k, v in rows[2].items() if k not in changed
    }
    assert of(out, found[1])["config"]["digest"] == sha256(written.config)
    kept = reached(directory, rows[1]) | reached(directory, rows[4])
    assert all(blob(out, digest) == blob(directory, digest) for digest in kept)
    # Nothing else is there.
    assert {f"sha256:{path.name}" for path in (out / "blobs/sha256").iterdir()} == reached(out, entry)


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_the_same_index_is_written_as_the_same_bytes(
    source: tuple[Path, list[dict[str, Any]]], written: Written, tmp_path: Path, form: str
) -> None:
    directory, rows = source
    places = [tmp_path / name / "out" for name in ("one", "two")]
    said = [f"oci:{directory}", f"oci-archive:{packed(directory, tmp_path / 'source.tar')}"]
    digests = {
        written_to(where, {rows[2]["digest"]: written}, f"{form}:{place}")
        for where, place in zip(said, places, strict=True)
    }
    assert len(digests) == 1
    assert tree(places[0].parent) == tree(places[1].parent)
    with open_store(image_location(f"{form}:{places[0]}")) as store:
        assert [str(variant) for variant in store.variants()] == ["linux/arm64/v8", "linux/amd64", "linux/386"]
        assert store.image().config == written.config


def test_rows_of_a_layout_are_an_index_too(written: Written, tmp_path: Path) -> None:
    """As some tools write them: each platform under the same name, and no index of its own."""
    maker = Maker(tmp_path / "source")
    rows = [maker.image(platform) for platform in (ARM64, AMD64)]
    maker.end(*({**row, "annotations": {**row["annotations"], REF_NAME: "1"}} for row in rows), maker.image(I386))
    written_to(f"oci:{maker.directory}:1", {rows[1]["digest"]: written}, f"oci:{tmp_path / 'out'}")
    (entry,) = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    found = of(tmp_path / "out", entry)["manifests"]
    assert [found[0], found[1]["annotations"]] == [rows[0], rows[1]["annotations"]]


def test_a_list_of_dockers_becomes_an_index(written: Written, tmp_path: Path) -> None:
    maker = Maker(tmp_path / "source")
    kinds = {"mediaType": "application/vnd.docker.distribution.manifest.v2+json"}
    rows = [{**maker.image(platform), **kinds} for platform in (ARM64, AMD64)]
    kind = "application/vnd.docker.distribution.manifest.list.v2+json"
    text = {"schemaVersion": 2, "mediaType": kind, "manifests": rows, "annotations": {"of": "all"}}
    maker.named(maker.blob(json.dumps(text).encode(), kind))
    written_to(f"oci:{maker.directory}", {rows[1]["digest"]: written}, f"oci:{tmp_path / 'out'}")
    (entry,) = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    document = of(tmp_path / "out", entry)
    assert (document["mediaType"], document["annotations"]) == (INDEX, {"of": "all"})
    assert document["manifests"][0] == rows[0]
    assert document["manifests"][1]["mediaType"] == MANIFEST


def test_one_image_is_no_index(written: Written, tmp_path: Path) -> None:
    maker = Maker(tmp_path / "source")
    maker.named(maker.image(AMD64))
    with open_store(image_location(f"oci:{maker.directory}")) as store:
        assert store.index() is None


def test_an_index_within_an_index_is_refused(tmp_path: Path) -> None:
    maker = Maker(tmp_path / "source")
    maker.named(maker.index([maker.index([maker.image(AMD64)]), maker.image(ARM64)]))
    with pytest.raises(UsageError, match="an index within its index"):
        written_to(f"oci:{maker.directory}", {}, f"oci:{tmp_path / 'out'}")


@pytest.mark.parametrize("form", ["oci", "oci-archive"])
def test_a_damaged_blob_leaves_nothing(
    source: tuple[Path, list[dict[str, Any]]], written: Written, tmp_path: Path, form: str
) -> None:
    directory, rows = source
    last = of(directory, rows[4])["layers"][0]["digest"].replace(":", "/")
    (directory / "blobs" / last).write_bytes(bytes(10240))
    with pytest.raises(StoreError, match="another digest"):
        written_to(f"oci:{directory}", {rows[2]["digest"]: written}, f"{form}:{tmp_path / 'place/out'}")
    assert not [path for path in (tmp_path / "place").rglob("*") if path.is_file()]


def test_an_image_of_an_index_is_named_by_its_digest(source: tuple[Path, list[dict[str, Any]]]) -> None:
    directory, rows = source
    location = image_location(f"oci:{directory}:app:1")
    for row, name in ((rows[1], "linux/arm64/v8"), (rows[4], "linux/386")):
        by_digest = location.of_manifest(row["digest"])
        assert str(by_digest) == f"oci:{directory}:app:1@{row['digest']}"
        for said in (str(by_digest), f"oci:{directory}:@{row['digest']}", str(by_digest.of_manifest(row["digest"]))):
            with open_store(image_location(said)) as store:
                assert store.image().image.platform_name.startswith(name.removesuffix("/v8"))
                assert store.image().image.reference == "app:1"
                assert store.index() is None
    with pytest.raises(UsageError, match=r"cannot find the manifest sha256:0+ in"):
        open_store(location.of_manifest(f"sha256:{'0' * 64}"))
    with pytest.raises(UsageError, match="a digest is no name"):
        must_take(location.of_manifest(rows[1]["digest"]))
    registered = Location(Transport.REGISTRY, name="localhost:5000/app:1")
    assert str(registered.of_manifest("sha256:" + "1" * 64)) == f"docker://localhost:5000/app:1@sha256:{'1' * 64}"


# ------------------------------------------------------------------------------------------ whatever the index is like


@dataclass(frozen=True)
class Row:
    """What a row is: an image, made anew or not, or what is said of the image before it."""

    kind: str
    made: bool = False


ROWS = st.lists(
    st.one_of(
        st.builds(Row, st.just("image"), st.booleans()), st.builds(Row, st.sampled_from(["statement", "artifact"]))
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=ROWS)
def test_whatever_stands_in_an_index(
    plan: list[Row], written: Written, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rows keep their order; each is the same, is the same row for the new image, or spoke of one that was made."""
    tmp_path = tmp_path_factory.mktemp("index")
    maker = Maker(tmp_path / "source")
    rows: list[dict[str, Any]] = [maker.image(ARM64, "first")]
    made: dict[str, Written] = {}
    expected = [rows[0]]
    subject = rows[0]
    for number, row in enumerate(plan):
        if row.kind == "image":
            subject = maker.image(AMD64, str(number), annotations={"number": str(number)})
            rows.append(subject)
            if row.made:
                made[subject["digest"]] = written
        else:
            rows.append(maker.statement(subject["digest"]) if row.kind == "statement" else maker.artifact(subject))
        if subject["digest"] not in made or row.kind == "image":
            expected.append(rows[-1])
    maker.named(maker.index(rows))
    _, gone = written_to(f"oci:{maker.directory}:app:1", made, f"oci:{tmp_path / 'out'}")
    (entry,) = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    found = of(tmp_path / "out", entry)["manifests"]
    assert len(rows) - len(found) == gone
    for was, now in zip(expected, found, strict=True):
        same = was["digest"] not in made
        assert now == was if same else now["annotations"] == was["annotations"]
        assert same or of(tmp_path / "out", now)["config"]["digest"] == sha256(written.config)
    there = {f"sha256:{path.name}" for path in (tmp_path / "out/blobs/sha256").iterdir()}
    assert there == reached(tmp_path / "out", entry)


# ------------------------------------------------------------------------------------------ registries


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from tests.support import network

    network.require("docker-registry")
    with registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.mark.network
def test_an_index_goes_to_a_registry_and_comes_back(
    served: str, source: tuple[Path, list[dict[str, Any]]], written: Written, tmp_path: Path
) -> None:
    directory, rows = source
    first, second = f"docker://{served}/team/app:1", f"docker://{served}/team/other:slim"
    # All as it was: the images are the same there, and statements are fetched as manifests.
    digest, gone = written_to(f"oci:{directory}", {}, first)
    assert (gone, written_to(f"oci:{directory}", {}, first)[0]) == (0, digest)
    raw = json.loads(skopeo("inspect", "--tls-verify=false", "--raw", first))
    assert raw["manifests"] == rows
    # From one repository to another, one image made anew.
    digest, gone = written_to(first, {rows[2]["digest"]: written}, second)
    assert gone == 2
    with open_store(image_location(second)) as store:
        index = store.index()
        assert index is not None
        assert [dict(row.fields) for row in index.entries][2:] == [rows[3], rows[4], rows[5], rows[7], rows[8]]
        assert store.image().config == written.config
    with open_store(image_location(f"{second.rpartition(':')[0]}@{digest}")) as store:
        assert re.fullmatch(r"linux/arm64/v8 linux/amd64 linux/386", " ".join(map(str, store.variants())))
    skopeo("copy", "--all", "--src-tls-verify=false", second, f"oci:{tmp_path / 'copied'}:app")
    assert of(tmp_path / "copied", json.loads((tmp_path / "copied/index.json").read_text())["manifests"][0])
