"""The floor: what the engine alone takes for the least that a run has to do, measured beside the tool.

Twice (the recording and the replay): create a container, put the sensor in, start it, get a first answer, stop it,
remove it. Once: load an image of the bytes that stay.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from debloat.engine.base import ContainerSpec, Engine
from debloat.engine.workspace import Workspace
from debloat.image.carve import tar_header
from debloat.image.reader import SENSOR_HOME, sensor_tar

PAUSE = 0.005
LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Floor:
    """Seconds of the parts."""

    containers: float
    load: float

    @property
    def total(self) -> float:
        return self.containers + self.load


def measure(engine: Engine, image: str, binary: bytes, port: int, layer: Path) -> Floor:
    """The floor of an image that serves HTTP on a port, and of a layer that must be loaded."""
    begun = time.perf_counter()
    for _ in range(2):
        _container(engine, image, binary, port)
    containers = time.perf_counter() - begun
    pieces = list(_fresh(layer))
    begun = time.perf_counter()
    with Workspace(engine) as workspace:
        workspace.load(lambda name: _archive(pieces, name))
        load = time.perf_counter() - begun
    return Floor(containers, load)


def _container(engine: Engine, image: str, binary: bytes, port: int) -> None:
    config = engine.image(image).config
    with Workspace(engine) as workspace:
        spec = ContainerSpec(image=image, run=workspace.run, ports=(f"{port}/tcp",), anonymous=(SENSOR_HOME,))
        with workspace.container(spec) as container:
            engine.put(container, SENSOR_HOME, sensor_tar(binary))
            engine.start(container)
            _answer(engine.state(container).ports[f"{port}/tcp"])
            engine.kill(container, config.stop_signal)
            engine.wait(container, LIMIT)


def _answer(port: int) -> None:
    """Ask until it answers: the engine's proxy accepts before anything listens behind it."""
    deadline = time.monotonic() + LIMIT
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
            return
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)
        finally:
            connection.close()


def layer_of(archive: Path, to: Path) -> None:
    """Take the one layer out of an image archive (docker-save(1))."""
    with tarfile.open(archive) as tar:
        manifest = tar.extractfile("manifest.json")
        assert manifest is not None
        layer = tar.extractfile(json.load(manifest)[0]["Layers"][0])
        assert layer is not None
        with to.open("wb") as out:
            while piece := layer.read(1 << 20):
                out.write(piece)


def _fresh(layer: Path) -> Iterator[bytes]:
    """The layer with one more file in front, never the same: of a layer that the engine knows it loads nothing."""
    nonce = str(time.time_ns()).encode()
    yield tar_header(b"nonce", size=len(nonce)) + nonce + b"\0" * (-len(nonce) % tarfile.BLOCKSIZE)
    with layer.open("rb") as file:
        while piece := file.read(1 << 20):
            yield piece


def _archive(pieces: list[bytes], name: str) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), sum(map(len, pieces))
    for piece in pieces:
        digest.update(piece)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    small = io.BytesIO()
    for member, data in (("config.json", config), ("manifest.json", manifest)):
        small.write(tar_header(member.encode(), size=len(data)) + data + b"\0" * (-len(data) % tarfile.BLOCKSIZE))
    yield small.getvalue()
    yield tar_header(b"layer.tar", size=size)
    yield from pieces
    yield b"\0" * (-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)
