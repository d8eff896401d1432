"""Images in archives and layouts, written by tarfile and json and by nothing of the product's.

    layer({"usr/bin/tool": b"...", "bin": "-> usr/bin", "etc/": "", "etc/.wh.gone": b""})
    put_layout(directory, [layer(...)], CONFIG)

A name that ends in `/` is a directory, a text `-> target` a symbolic link, `=> target` a hard link.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from debloat.image.rootfs import Rootfs

Pack = Callable[[bytes], bytes]

_TYPES = {"-> ": tarfile.SYMTYPE, "=> ": tarfile.LNKTYPE}


def layer(table: Mapping[str, Any] | Iterable[tuple[str, Any]], **header: Any) -> bytes:
    """An uncompressed layer; `header` are attributes of each `TarInfo`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in table.items() if isinstance(table, Mapping) else table:
            info = tarfile.TarInfo(name.rstrip("/") or ".")
            info.mode, info.mtime, data = 0o644, 1_700_000_000, b""
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str) and content[:3] in _TYPES:
                info.type, info.linkname = _TYPES[content[:3]], content[3:]
            else:
                data = content.encode() if isinstance(content, str) else content
                info.size = len(data)
            for key, value in header.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def configuration(layers: Sequence[bytes], config: Mapping[str, object], **more: object) -> bytes:
    """The configuration of an image of these layers; `more` replaces its fields."""
    document: dict[str, Any] = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in layers]},
        "history": [{"created_by": "made by hand"}],
    }
    return json.dumps({**document, **more}).encode()


def descriptor(data: bytes, media_type: str, **more: object) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **more}


OCI = "application/vnd.oci.image"


class LayoutMaker:
    """An OCI layout in a directory, blob by blob."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.entries: list[dict[str, Any]] = []

    def blob(self, data: bytes, media_type: str, **more: object) -> dict[str, Any]:
        """Write a blob; its descriptor."""
        found = descriptor(data, media_type, **more)
        path = self.directory / "blobs" / found["digest"].replace(":", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return found

    def manifest(
        self, layers: Sequence[bytes], config: Mapping[str, object], pack: Pack = bytes, **more: object
    ) -> dict[str, Any]:
        """Write an image, each layer packed; the descriptor of its manifest."""
        document = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": self.blob(configuration(layers, config, **more), f"{OCI}.config.v1+json"),
            "layers": [self.blob(pack(data), f"{OCI}.layer.v1.tar") for data in layers],
        }
        return self.blob(json.dumps(document).encode(), f"{OCI}.manifest.v1+json")

    def saved(self, tar: tarfile.TarFile, pack: Pack = bytes) -> dict[str, Any]:
        """Write the one image of what `docker save` wrote; the descriptor of its manifest."""

        def member(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

        (row,) = json.loads(member("manifest.json"))
        document = {
            "schemaVersion": 2,
            "config": self.blob(member(row["Config"]), f"{OCI}.config.v1+json"),
            "layers": [self.blob(pack(member(name)), f"{OCI}.layer.v1.tar") for name in row["Layers"]],
        }
        return self.blob(json.dumps(document).encode(), f"{OCI}.manifest.v1+json")

    def index(self, entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Write an index; its descriptor."""
        document = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": list(entries)}
        return self.blob(json.dumps(document).encode(), f"{OCI}.index.v1+json")

    def end(self, *entries: dict[str, Any]) -> Path:
        """Write the layout's own index."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self.directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": list(entries)}))
        return self.directory


def put_layout(
    directory: Path, layers: Sequence[bytes], config: Mapping[str, object], pack: Pack = bytes, name: str = "app:1"
) -> Path:
    """A layout of one image."""
    maker = LayoutMaker(directory)
    found = maker.manifest(layers, config, pack)
    return maker.end({**found, "annotations": {"org.opencontainers.image.ref.name": name}})


def packed(directory: Path, file: Path) -> Path:
    """A directory as a tar: an OCI layout as an `oci-archive`."""
    with tarfile.open(file, "w") as tar:
        for path in sorted(directory.rglob("*")):
            tar.add(path, str(path.relative_to(directory)), recursive=False)
    return file


def put_archive(
    file: Path,
    layers: Sequence[bytes],
    config: Mapping[str, object],
    pack: Pack = bytes,
    names: Sequence[str] = ("app:1",),
) -> Path:
    """A `docker-archive` of one image."""
    text = configuration(layers, config)
    members = {f"{sha256(text)[7:]}.json": text}
    members |= {f"{number}/layer.tar": pack(data) for number, data in enumerate(layers)}
    listed = [f"{number}/layer.tar" for number in range(len(layers))]
    entry = {"Config": f"{sha256(text)[7:]}.json", "RepoTags": list(names), "Layers": listed}
    return put_tar(file, {**members, "manifest.json": json.dumps([entry]).encode()})


def put_tar(file: Path, members: Mapping[str, bytes]) -> Path:
    file.write_bytes(layer(members))
    return file


def two_members(data: bytes) -> bytes:
    """Gzip in two members, as pigz and stargz write it."""
    return gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])


def layer_of(rootfs: Rootfs) -> bytes:
    """A root file system as one layer."""
    table: list[tuple[str, bytes | str]] = []
    modes: dict[str, tuple[int, int, int]] = {}
    for entry in rootfs.entries():
        if entry.path == "/":
            continue
        name = entry.path[1:] + ("/" if entry.is_dir else "")
        modes[entry.path[1:]] = (entry.mode, entry.uid, entry.gid)
        table.append(
            (name, f"-> {entry.target}" if entry.is_symlink else rootfs.read(entry.path) if entry.is_file else "")
        )
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(layer(table))) as source, tarfile.open(fileobj=out, mode="w") as tar:
        for info in source:
            info.mode, info.uid, info.gid = modes[info.name]
            info.mtime = 0
            tar.addfile(info, source.extractfile(info) if info.isreg() else None)
    return out.getvalue()
