"""The configuration in a `docker save` archive: known by its digest, whatever the pieces; damage is no answer."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator

import pytest

from debloat.engine.inspection import find_config

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
