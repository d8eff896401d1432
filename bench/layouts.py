"""Images of the engine's as OCI layouts, made by nothing of the product's."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.support.stores import LayoutMaker, Pack


def layout(image: str, directory: Path, pack: Pack = bytes) -> Path:
    """Write what `docker save` writes of an image as a layout, each layer packed; gives the directory."""
    maker = LayoutMaker(directory)
    with tempfile.NamedTemporaryFile(prefix="debloat-bench-") as saved:
        subprocess.run(["docker", "save", "-o", saved.name, image], check=True)
        with tarfile.open(saved.name) as tar:
            return maker.end(maker.saved(tar, pack))
