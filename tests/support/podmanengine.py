"""Podman in front of the fake engine: what its part of Docker's API leaves out, what its own API adds.

The shape of its answers is that of real ones, kept in `tests/engine/podman/RELEASE.json`: of one image, made by

    FROM debian:bookworm-slim
    SHELL ["/bin/bash", "-o", "pipefail", "-c"]
    RUN echo hi > /srv/x && mkdir -p /data/sub && chown 33:33 /data && chmod 1777 /data/sub
    HEALTHCHECK --interval=5s CMD test -e /srv/x
    ONBUILD RUN echo later
    VOLUME /data /vol
    ENV D=/opt/app
    WORKDIR ${D}
    USER www-data
    CMD ["sleep", "60"]
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from debloat.core.model import Entry, Kind
from debloat.engine.base import RUN_LABEL, ContainerSpec
from debloat.image.rootfs import Rootfs
from tests.support.engine import FakeEngine
from tests.support.httpengine import HttpEngine

GOLDEN = Path(__file__).parents[1] / "engine" / "podman"
RELEASES = ("4", "5")
HIDDEN = ("Healthcheck", "OnBuild", "Shell")


def recorded(release: str) -> dict[str, Any]:
    """Answers of a real Podman: `version`, `info`, `image`, `history`, `libpod_image`, `not_found`."""
    found: dict[str, Any] = json.loads((GOLDEN / f"{release}.json").read_bytes())
    return found


class PodmanEngine(HttpEngine):
    """A release of Podman. An image has what it puts into a container, unless the image is mounted.

    `history` is what the images' history says, newest first; `saved` counts the archives that were asked for.
    """

    reads_profiles = True

    def __init__(self, engine: FakeEngine, release: str, history: tuple[str, ...] = ()) -> None:
        super().__init__(engine)
        self.real = recorded(release)
        self.history = history
        self.saved = 0
        self._pristine: set[str] = set()
        for image_id, (rootfs, image) in list(engine.images.items()):
            document = json.dumps({"config": dict(image.config.raw), "number": image_id}).encode()
            name = f"sha256:{hashlib.sha256(document).hexdigest()}"
            engine.images[name] = (rootfs, replace(image, id=name))
            engine.names = {k: name if v == image_id else v for k, v in engine.names.items()}
            del engine.images[image_id]

    def route(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[str, Any]:
        if path in ("/version", "/info"):
            self.asked.append(path[1:])
            return path[1:], self.real[path[1:]]
        if match := re.fullmatch(r"(/libpod)?/images/(.+)/json", path):
            return self._image(bool(match[1]), match[2])
        if re.fullmatch(r"/images/(.+)/history", path):
            self.asked.append("history")
            return "history", [{**self.real["history"][0], "CreatedBy": line} for line in self.history]
        if match := re.fullmatch(r"/images/(.+)/get", path):
            self.asked.append("archive")
            self.saved += 1
            return "archive", self._archive(match[1])
        if path == "/images/json":
            self.asked.append("images")
            named = sorted(self.engine.names.items())
            return "images", [{"Id": i, "RepoTags": [n]} for n, i in named if "debloat-pending" in n]
        if method == "POST" and path == "/libpod/containers/create":
            self.asked.append("libpod_create")
            return "libpod_create", self._create(json.loads(body))
        name, answer = super().route(method, path, query, body)
        if name == "create":
            self._spoil(answer["Id"])
        return name, answer

    def _image(self, own: bool, reference: str) -> tuple[str, Any]:
        name = "libpod_image" if own else "image"
        _, found = super().route("GET", f"/images/{reference}/json", {}, b"")
        config = found["Config"]
        shown = {key: value for key, value in config.items() if key not in HIDDEN}
        real = self.real[name]
        if own:
            health = {"Healthcheck": config["Healthcheck"]} if "Healthcheck" in config else {}
            return name, {**{k: v for k, v in real.items() if k != "Healthcheck"}, "Config": shown, **health}
        ours = {key: found[key] for key in ("Id", "RepoTags", "Created", "Architecture", "Os", "Size", "RootFS")}
        empty = {key: value for key, value in real["Config"].items() if not value}
        return name, {**real, **ours, "Config": {**empty, **shown}}

    def _archive(self, reference: str) -> bytes:
        image = self.engine.image(reference)
        (number,) = image.layers
        document = json.dumps({"config": dict(image.config.raw), "number": number}).encode()
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name, data in (("layer.tar", b"x" * 10_000), (f"{image.id[7:]}.json", document)):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return out.getvalue()

    def _create(self, asked: Mapping[str, Any]) -> Any:
        (mounted,) = asked["image_volumes"]
        assert asked["entrypoint"][-1] == mounted["Destination"], "what is read is what is mounted"
        assert asked["netns"] == {"nsmode": "none"}
        spec = ContainerSpec(asked["image"], asked["labels"][RUN_LABEL], tuple(asked["entrypoint"]))
        container = self.engine.create(spec)
        box = self.engine.containers[container]
        root = Entry("/", Kind.DIR, 0o555, mtime=10**18)
        made = ("/", "/dev", "/etc", "/proc", "/sys")
        box.rootfs = Rootfs([root, *(e for e in box.rootfs.entries() if e.path not in made)], box.rootfs)
        return {"Id": container, "Warnings": []}

    def _spoil(self, container: str) -> None:
        """What a container of Podman has beside the image."""
        box = self.engine.containers[container]
        made = [
            Entry("/run", Kind.DIR, 0o755, mtime=10**18),
            Entry("/run/.containerenv", Kind.FILE, 0o700, mtime=10**18),
            Entry("/etc/passwd", Kind.FILE, 0o600, mtime=10**18),
            Entry("/vol", Kind.DIR, 0o1755, mtime=10**18),
        ]
        box.rootfs = Rootfs([*box.rootfs.entries(), *(e for e in made if e.path not in box.rootfs)], box.rootfs)
