"""A minimal image that is ready to be written, and nobody's credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from debloat.core.model import Closure, Entry, Image, ImageConfig, Kind
from debloat.image import carve
from debloat.image.oci import LayerFile, Written
from debloat.image.rootfs import MemoryContents, Rootfs

IMAGE = Image(
    "app:1",
    "sha256:" + "1" * 64,
    "linux",
    "amd64",
    "",
    "2024-01-01T00:00:00Z",
    ImageConfig({"Healthcheck": {"Test": ["CMD", "x"]}, "Entrypoint": ["/f"]}),
)
CONTENT = b"ok" * 50_000


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No file of the user's says who logs in where."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, str(home / name.lower()))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    (home / "registries.conf").touch()
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(home / "registries.conf"))


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """An image of one file, carved."""
    rootfs = Rootfs(
        [Entry("/", Kind.DIR, 0o755), Entry("/f", Kind.FILE, 0o755, size=len(CONTENT))], MemoryContents({"/f": CONTENT})
    )
    with (tmp_path / "written.tar").open("wb") as out:
        layer = carve.write_layer(rootfs, carve.kept_entries(rootfs, Closure({"/": (), "/f": ()}), {}), out)
    return Written(carve.image_config(IMAGE, [layer], "debloat 1"), (LayerFile(layer, tmp_path / "written.tar"),))
