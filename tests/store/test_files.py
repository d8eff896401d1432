"""Archives and layouts: every form that tools write, and what lies about itself."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.errors import DebloatError, UsageError
from debloat.core.platform import Wanted, wanted
from debloat.image.rootfs import Rootfs
from debloat.store import layers as reading
from debloat.store import streams
from debloat.store.base import StoredImage, StoreError
from debloat.store.layers import open_layers
from debloat.store.location import image_location
from debloat.store.opened import open_store
from tests.support.stores import (
    OCI,
    LayoutMaker,
    Pack,
    configuration,
    layer,
    packed,
    put_archive,
    put_layout,
    put_tar,
    sha256,
    two_members,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CONFIG = {"Entrypoint": ["/bin/app"], "Labels": {"a": "b"}}
LAYERS = [layer({"a": b"1", "b": b"2"}), layer({".wh.a": b"", "c": b"3" * 3000})]
PACKS: dict[str, Pack] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "two members": two_members,
    "zstd": zstd.compress,
    "two frames": lambda data: (
        zstd.compress(data[:100]) + b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstd.compress(data[100:])
    ),
}


def opened(said: str, directory: Path, platform: Wanted | None = None) -> tuple[StoredImage, Rootfs]:
    scratch = directory / "scratch"
    scratch.mkdir(exist_ok=True)
    with open_store(image_location(said)) as store:
        image = store.image(platform)
        return image, open_layers(store, image, scratch, said).rootfs


def paths(rootfs: Rootfs) -> list[str]:
    return [p for p in rootfs if p not in ("/", "/dev", "/etc", "/proc", "/sys")]


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
@pytest.mark.parametrize("form", ["oci", "oci-archive", "docker-archive", "docker-archive.gz", "oci-archive.zst"])
def test_every_form_says_the_same(tmp_path: Path, pack: Pack, form: str) -> None:
    directory = put_layout(tmp_path / "layout", LAYERS, CONFIG, pack)
    file = tmp_path / "image.tar"
    transport, _, suffix = form.partition(".")
    if transport == "docker-archive":
        put_archive(file, LAYERS, CONFIG, pack)
    elif transport == "oci-archive":
        packed(directory, file)
    if suffix:
        file.write_bytes(PACKS["gzip" if suffix == "gz" else "zstd"](file.read_bytes()))
    image, rootfs = opened(f"{transport}:{directory if transport == 'oci' else file}", tmp_path)
    assert paths(rootfs) == ["/b", "/c"]
    assert rootfs.read("/c") == b"3" * 3000
    assert b"".join(rootfs.chunks("/b")) == b"2"
    assert rootfs.read("/c", 2) == b"33"
    assert (image.image.reference, image.image.config.entrypoint) == ("app:1", ("/bin/app",))
    assert image.image.id == sha256(configuration(LAYERS, CONFIG))
    assert image.image.history == ("made by hand",)


def test_what_lies_uncompressed_here_is_not_copied(tmp_path: Path) -> None:
    put_layout(tmp_path / "layout", LAYERS, CONFIG)
    opened(f"oci:{tmp_path / 'layout'}", tmp_path)
    assert not list((tmp_path / "scratch").iterdir())


# ------------------------------------------------------------------------------------------ which of several


def test_an_index_of_platforms(tmp_path: Path) -> None:
    maker = LayoutMaker(tmp_path / "layout")
    arm = maker.manifest(LAYERS[:1], CONFIG, architecture="arm64", variant="v8")
    amd = maker.manifest(LAYERS, CONFIG)
    attestation = maker.manifest([], CONFIG)
    rows = [
        {**arm, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {**amd, "platform": {"os": "linux", "architecture": "amd64"}},
        {
            **attestation,
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        },
    ]
    maker.end(maker.index(rows))
    said = f"oci:{tmp_path / 'layout'}"
    with open_store(image_location(said)) as store:
        assert [str(v) for v in store.variants()] == ["linux/arm64/v8", "linux/amd64"]
    image, rootfs = opened(said, tmp_path, wanted("arm64"))
    assert (image.image.platform_name, paths(rootfs)) == ("linux/arm64/v8", ["/a", "/b"])
    assert image.image.attestations == 1
    assert opened(said, tmp_path, wanted("linux/amd64"))[0].image.architecture == "amd64"
    with pytest.raises(UsageError, match="cannot find an image for linux/s390x"):
        opened(said, tmp_path, wanted("s390x"))


def test_an_index_that_lies_about_a_platform(tmp_path: Path) -> None:
    maker = LayoutMaker(tmp_path / "layout")
    amd = maker.manifest(LAYERS, CONFIG)
    maker.end(maker.index([{**amd, "platform": {"os": "linux", "architecture": "arm64"}}]))
    with pytest.raises(UsageError, match="is for linux/amd64, not for linux/arm64"):
        opened(f"oci:{tmp_path / 'layout'}", tmp_path, wanted("arm64"))


def test_several_names(tmp_path: Path) -> None:
    maker = LayoutMaker(tmp_path / "layout")
    rows = [
        {**maker.manifest(some, CONFIG), "annotations": {"org.opencontainers.image.ref.name": name}}
        for some, name in ((LAYERS[:1], "one"), (LAYERS, "shop:two"))
    ]
    maker.end(*rows)
    said = f"oci:{tmp_path / 'layout'}"
    with pytest.raises(UsageError, match="cannot tell which image") as error:
        opened(said, tmp_path)
    assert "one, shop:two" in error.value.hint
    assert opened(f"{said}:one", tmp_path)[0].image.reference == "layout:one"
    assert opened(f"{said}:two", tmp_path)[0].image.reference == "shop:two"
    with pytest.raises(UsageError, match="cannot find three"):
        opened(f"{said}:three", tmp_path)


def test_several_images_of_a_docker_archive(tmp_path: Path) -> None:
    config, data = configuration(LAYERS[:1], CONFIG), LAYERS[0]
    entries = [{"Config": "c", "RepoTags": [name], "Layers": ["l"]} for name in ("a:1", "b:1")]
    file = put_tar(tmp_path / "i.tar", {"c": config, "l": data, "manifest.json": json.dumps(entries).encode()})
    with pytest.raises(UsageError, match="it has 2 such images"):
        opened(f"docker-archive:{file}", tmp_path)
    assert opened(f"docker-archive:{file}:b:1", tmp_path)[0].image.reference == "b:1"


def test_layers_that_are_links_in_the_archive(tmp_path: Path) -> None:
    """What Docker before version 25 writes for a layer that an image has twice."""
    data, config = LAYERS[0], configuration([LAYERS[0], LAYERS[0]], CONFIG)
    manifest = json.dumps([{"Config": "c", "RepoTags": None, "Layers": ["x/layer.tar", "y/layer.tar"]}]).encode()
    table: dict[str, bytes | str] = {"c": config, "x/layer.tar": data, "y/layer.tar": "-> ../x/layer.tar"}
    (tmp_path / "My App.tar").write_bytes(layer({**table, "manifest.json": manifest}))
    image, rootfs = opened(f"docker-archive:{tmp_path / 'My App.tar'}", tmp_path)
    assert (image.image.reference, paths(rootfs)) == ("my-app:latest", ["/a", "/b"])


# ------------------------------------------------------------------------------------------ what lies


def lies(directory: Path) -> LayoutMaker:
    return LayoutMaker(directory / "layout")


def refused(directory: Path, said: str = "") -> str:
    """The one sentence with which an image is refused; nothing may be left in the scratch directory."""
    with pytest.raises(DebloatError) as error:
        opened(said or f"oci:{directory / 'layout'}", directory)
    assert isinstance(error.value, StoreError | UsageError)
    assert "\n" not in error.value.message
    assert error.value.hint
    return error.value.message


def test_a_blob_with_another_content(tmp_path: Path) -> None:
    put_layout(tmp_path / "layout", LAYERS, CONFIG)
    path = tmp_path / "layout/blobs" / sha256(LAYERS[1]).replace(":", "/")
    path.write_bytes(path.read_bytes().replace(b"333", b"444"))
    assert "its content has another digest" in refused(tmp_path)


@pytest.mark.parametrize("change", [-1, 1, 1 << 39])
def test_a_descriptor_with_another_size(tmp_path: Path, change: int) -> None:
    maker = lies(tmp_path)
    found = maker.manifest(LAYERS, CONFIG)
    maker.end({**found, "size": found["size"] + change})
    assert f"its descriptor says {found['size'] + change}" in refused(tmp_path) or "a document of" in refused(tmp_path)


def test_a_layer_that_is_another_than_its_diff_id(tmp_path: Path) -> None:
    maker = lies(tmp_path)
    other = configuration([LAYERS[1], LAYERS[0]], CONFIG)
    rows = [maker.blob(data, f"{OCI}.layer.v1.tar") for data in LAYERS]
    manifest = {"schemaVersion": 2, "config": maker.blob(other, f"{OCI}.config.v1+json"), "layers": rows}
    maker.end(maker.blob(json.dumps(manifest).encode(), f"{OCI}.manifest.v1+json"))
    assert "a layer is not the one with the diff ID" in refused(tmp_path)


def test_more_layers_than_diff_ids(tmp_path: Path) -> None:
    maker = lies(tmp_path)
    config = maker.blob(configuration(LAYERS[:1], CONFIG), f"{OCI}.config.v1+json")
    rows = [maker.blob(data, f"{OCI}.layer.v1.tar") for data in LAYERS]
    manifest = {"schemaVersion": 2, "config": config, "layers": rows}
    maker.end(maker.blob(json.dumps(manifest).encode(), f"{OCI}.manifest.v1+json"))
    assert "2 layers and a configuration with 1" in refused(tmp_path)


BAD = {
    "truncated gzip": lambda data: gzip.compress(data)[:-20],
    "gzip without its end": lambda data: gzip.compress(data)[:-8],
    "trailing gzip": lambda data: gzip.compress(data) + b"more",
    "trailing zeros": lambda data: gzip.compress(data) + bytes(512),
    "truncated zstd": lambda data: zstd.compress(data)[:-5],
    "trailing zstd": lambda data: zstd.compress(data) + b"more",
    "damaged gzip": lambda data: gzip.compress(data)[:30] + b"\xff" * 40 + gzip.compress(data)[70:],
}


@pytest.mark.parametrize("pack", BAD.values(), ids=BAD)
def test_layers_that_cannot_be_uncompressed(tmp_path: Path, pack: Pack) -> None:
    put_layout(tmp_path / "layout", [layer({"a": os.urandom(5000)})], CONFIG, pack)
    assert "a layer cannot be uncompressed: " in refused(tmp_path)


def test_a_bomb_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 3 << 20)
    put_layout(tmp_path / "layout", [layer({"a": bytes(50 << 20)})], CONFIG, gzip.compress)
    assert "its layers are larger uncompressed" in refused(tmp_path)
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").iterdir()) <= 3 << 20


def test_the_pieces_of_a_bomb_are_small() -> None:
    import io

    for data in (gzip.compress(bytes(30 << 20)), zstd.compress(bytes(30 << 20))):
        sizes = [len(piece) for piece in streams.uncompressed(io.BytesIO(data), "x")]
        assert sum(sizes) == 30 << 20
        assert max(sizes) <= streams.PIECE


def test_a_bomb_around_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("debloat.store.files.MAX_BYTES", 1 << 20)
    (tmp_path / "i.tar").write_bytes(gzip.compress(layer({"a": bytes(5 << 20)})))
    assert "it is larger uncompressed" in refused(tmp_path, f"docker-archive:{tmp_path / 'i.tar'}")


def test_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_ENTRIES", 10)
    put_layout(tmp_path / "layout", [layer({str(n): b"" for n in range(11)})], CONFIG)
    assert "more than 10 members" in refused(tmp_path)


INDEXES = {
    "nested": b"[" * 100_000,
    "no object": b"[]",
    "of another version": b'{"schemaVersion": 1, "manifests": []}',
    "both kinds": b'{"schemaVersion": 2, "manifests": [], "layers": []}',
    "a key twice": b'{"schemaVersion": 2, "manifests": [], "manifests": []}',
    "a digest that is a path": b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:../../etc/passwd", "size": 1}]}',
    "a size that is none": b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:%s", "size": true}]}' % (b"0" * 64),
    "a number without end": b'{"schemaVersion": 2, "manifests": [{"size": ' + b"9" * 5000 + b"}]}",
    "not text": b"\xff\xfe\x00",
    "nothing": b'{"schemaVersion": 2, "manifests": []}',
    "too large": b'{"schemaVersion": 2, "manifests": []}'.ljust((4 << 20) + 1),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_indexes_that_are_none(tmp_path: Path, index: bytes) -> None:
    put_layout(tmp_path / "layout", LAYERS, CONFIG)
    (tmp_path / "layout/index.json").write_bytes(index)
    assert refused(tmp_path).startswith("cannot ")


def test_indexes_in_each_other(tmp_path: Path) -> None:
    maker = lies(tmp_path)
    found = maker.manifest(LAYERS, CONFIG)
    for _ in range(7):
        found = maker.index([found])
    maker.end(found)
    assert "lie in each other too deeply" in refused(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        b"[]",
        b"{}",
        b"{",
        b'{"config": 5}',
        b'{"rootfs": {"diff_ids": ["x"]}}',
        b'{"rootfs": {"diff_ids": 1}}',
        b"[" * 99_999,
    ],
)
def test_configurations_that_are_none(tmp_path: Path, config: bytes) -> None:
    maker = lies(tmp_path)
    rows = [maker.blob(data, f"{OCI}.layer.v1.tar") for data in LAYERS]
    manifest = {"schemaVersion": 2, "config": maker.blob(config, f"{OCI}.config.v1+json"), "layers": rows}
    maker.end(maker.blob(json.dumps(manifest).encode(), f"{OCI}.manifest.v1+json"))
    assert refused(tmp_path).startswith("cannot read oci:")


ARCHIVES: dict[str, Callable[[bytes, bytes], dict[str, bytes | str] | list[tuple[str, bytes | str]]]] = {
    "no manifest": lambda config, data: {"c": config},
    "a manifest twice": lambda config, data: [("manifest.json", b"[]"), ("manifest.json", b"[]")],
    "no images": lambda config, data: {"manifest.json": b"[]"},
    "a layer that is not there": lambda config, data: {
        "c": config,
        "manifest.json": b'[{"Config": "c", "Layers": ["/etc/passwd"]}]',
    },
    "a circle of links": lambda config, data: {
        "c": config,
        "l": "-> m",
        "m": "-> l",
        "manifest.json": b'[{"Config": "c", "Layers": ["l"]}]',
    },
    "a link out of it": lambda config, data: {
        "c": config,
        "l": "-> ../../../etc/passwd",
        "manifest.json": b'[{"Config": "c", "Layers": ["l"]}]',
    },
    "a name that lies": lambda config, data: {
        f"{'0' * 64}.json": config,
        "l": data,
        "manifest.json": b'[{"Config": "%s.json", "Layers": ["l"]}]' % (b"0" * 64),
    },
}


@pytest.mark.parametrize("made", ARCHIVES.values(), ids=ARCHIVES)
def test_docker_archives_that_are_none(
    tmp_path: Path, made: Callable[[bytes, bytes], dict[str, bytes | str] | list[tuple[str, bytes | str]]]
) -> None:
    (tmp_path / "i.tar").write_bytes(layer(made(configuration(LAYERS[:1], CONFIG), LAYERS[0])))
    refused(tmp_path, f"docker-archive:{tmp_path / 'i.tar'}")


def test_what_is_no_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    os.mkfifo(tmp_path / "pipe")
    for said in ("oci:nothing", f"oci:{tmp_path}", f"oci:{tmp_path / 'text'}", f"docker-archive:{tmp_path}"):
        refused(tmp_path, said)
    for said in ("docker-archive:nothing", f"docker-archive:{tmp_path / 'text'}", f"oci-archive:{tmp_path / 'pipe'}"):
        refused(tmp_path, said)


@given(st.data())
def test_a_damaged_archive_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    directory = tmp_path_factory.mktemp("damaged")
    pack = data.draw(st.sampled_from(list(PACKS.values())))
    file = put_archive(directory / "i.tar", LAYERS, CONFIG, pack)
    whole = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        junk = data.draw(st.binary(min_size=1, max_size=30))
        whole[at : at + len(junk)] = junk
    file.write_bytes(whole[: data.draw(st.integers(len(whole) // 2, len(whole)))])
    try:
        _, rootfs = opened(f"docker-archive:{file}", directory)
    except (StoreError, UsageError) as error:
        said = error.message
    else:
        said = str(paths(rootfs))
    finally:
        shutil.rmtree(directory)
    assert "\n" not in said


def test_what_tarfile_makes_of_our_archives(tmp_path: Path) -> None:
    """The test's own tools write what they say."""
    with tarfile.open(put_archive(tmp_path / "i.tar", LAYERS, CONFIG)) as tar:
        assert sorted(tar.getnames())[-1] == "manifest.json"
