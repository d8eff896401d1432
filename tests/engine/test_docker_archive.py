"""The configuration in a `docker save` archive: known by its digest, whatever the pieces; damage is no answer.

And the history in it, for an engine that does not tell that of an image which it has not unpacked.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from debloat.engine.docker import connect
from debloat.engine.inspection import find_config, find_history
from tests.engine.test_podman import CONFIG as FAKE_CONFIG
from tests.engine.test_podman import fake
from tests.support.httpengine import HttpEngine, Refused, serving

CONFIG = json.dumps({"config": {"Healthcheck": {"StartInterval": 1}, "X": 2}, "rootfs": {}}).encode()
ID = f"sha256:{hashlib.sha256(CONFIG).hexdigest()}"
NAMES = (f"{ID[7:]}.json", f"blobs/sha256/{ID[7:]}")


def archive(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 511, 512, 10_000, 1 << 20])
@pytest.mark.parametrize("name", NAMES)
def test_it_is_found_in_either_layout(name: str, size: int) -> None:
    data = archive(("layer.tar", b"x" * 5000), (name, CONFIG), ("manifest.json", b"[]"))
    assert find_config(pieces(data, size), ID) == {"Healthcheck": {"StartInterval": 1}, "X": 2}


def test_no_more_is_read_than_it_takes() -> None:
    read = 0

    def counted() -> Iterator[bytes]:
        nonlocal read
        for piece in pieces(archive((NAMES[0], CONFIG), ("layer.tar", b"x" * 5_000_000)), 512):
            read += len(piece)
            yield piece

    assert find_config(counted(), ID)
    assert read < 100_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense" * 1000,
        archive((NAMES[0], CONFIG + b" ")),
        archive(("other.json", CONFIG)),
        archive((NAMES[0], CONFIG))[:540],
    ],
    ids=["nothing", "no tar", "another digest", "another name", "cut off"],
)
def test_damage_is_no_answer(data: bytes) -> None:
    assert find_config(iter([data]), ID) is None


def test_a_document_that_is_no_configuration() -> None:
    for text in (b"[1]", b"{}", b'{"config": 3}', b"{"):
        image = f"sha256:{hashlib.sha256(text).hexdigest()}"
        assert find_config(iter([archive((f"{image[7:]}.json", text))]), image) is None


LAYERS = ("sha256:a", "sha256:b")
ROWS = [{"created_by": "ADD . /"}, {"created_by": "CMD x", "empty_layer": True}, {}]


def image_document(layers: tuple[str, ...], history: object) -> bytes:
    return json.dumps({"rootfs": {"diff_ids": layers}, "history": history}).encode()


def test_the_history_is_that_of_the_image_with_the_layers() -> None:
    """Beside it lie other images of the index, layers and manifests."""
    data = archive(
        ("blobs/sha256/1", b"\x1f\x8bx" * 300),
        ("blobs/sha256/2", b'{"layers": []}'),
        ("blobs/sha256/3", image_document(LAYERS[:1], [{"created_by": "another"}])),
        ("blobs/sha256/4", image_document(LAYERS, ROWS)),
    )
    assert [row["CreatedBy"] for row in find_history(pieces(data, 700), LAYERS)] == ["", "CMD x", "ADD . /"]


@pytest.mark.parametrize("history", [3, None, [3], [{"created_by": 3}], {"a": 1}])
def test_a_history_that_is_none(history: object) -> None:
    assert find_history(iter([archive(("x.json", image_document(LAYERS, history)))]), LAYERS) == []


def test_an_image_that_the_engine_has_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The containerd store answers so of it: the image is there, its history is not."""

    class Packed(HttpEngine):
        def route(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[str, object]:
            if path.endswith("/history"):
                raise Refused(404, "snapshot sha256:1 does not exist: not found")
            if path.endswith("/get"):
                (image,) = (image for _, image in self.engine.images.values())
                return "archive", archive(("blobs/sha256/4", image_document(image.layers, ROWS)))
            return super().route(method, path, query, body)

    with serving(Packed(fake(FAKE_CONFIG)), tmp_path / "engine.sock") as endpoint:
        monkeypatch.setenv("DOCKER_HOST", endpoint)
        engine = connect()
        try:
            assert engine.image("shop:1").history == ("ADD . /", "CMD x", "")
        finally:
            engine.close()
