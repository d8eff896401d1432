"""Layers unpacked for overlayfs: the same names as are read out of their archives, with and without whiteouts."""

from __future__ import annotations

import hashlib
import io
import json
import marshal
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from debloat.core.errors import DebloatError, EngineUnavailable
from debloat.embedded.layers import Layers
from debloat.embedded.namespace import Namespace
from debloat.embedded.place import Place
from debloat.embedded.syscalls import mount, unmount
from debloat.image.reader import with_mount_points, without_engine_made
from debloat.image.rootfs import Rootfs
from debloat.store.base import StoreError
from debloat.store.layers import open_layers
from debloat.store.location import Location, Transport
from debloat.store.opened import open_store

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices are root's to make")

Row = tuple[str, str] | tuple[str, str, str]
"""Kind, name, and what a file holds or a link leads to."""


def layer(rows: Sequence[Row]) -> bytes:
    kinds = {"d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE, "h": tarfile.LNKTYPE, "f": tarfile.REGTYPE}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for number, (kind, name, *more) in enumerate(rows):
            info = tarfile.TarInfo(name)
            info.type, info.mtime, info.uid = kinds[kind], 1_600_000_000 + number, number % 3 * 1000
            info.mode = 0o755 if kind == "d" else 0o4711 if name.endswith("setuid") else 0o644
            data = more[0].encode() if kind == "f" and more else b""
            info.size, info.linkname = len(data), more[0] if kind in "lh" else ""
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def saved(path: Path, layers: Sequence[bytes]) -> Location:
    """The layers as what `docker save` writes."""
    digests = [hashlib.sha256(data).hexdigest() for data in layers]
    config = json.dumps(
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        }
    ).encode()
    members = {f"{digest}.tar": data for digest, data in zip(digests, layers, strict=True)}
    manifest = [{"Config": "config.json", "RepoTags": ["made:1"], "Layers": [f"{digest}.tar" for digest in digests]}]
    with tarfile.open(path, "w") as tar:
        for name, data in {"config.json": config, "manifest.json": json.dumps(manifest).encode(), **members}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return Location(Transport.DOCKER_ARCHIVE, path)


BASE: tuple[Row, ...] = (
    ("d", "usr"),
    ("d", "usr/lib"),
    ("f", "usr/lib/a", "a below"),
    ("f", "usr/lib/b", "b below"),
    ("l", "lib", "usr/lib"),
    ("d", "opaque"),
    ("f", "opaque/old", "old"),
    ("f", "becomes-directory", "x"),
    ("d", "becomes-file"),
    ("f", "becomes-file/x", "x"),
    ("d", "again"),
    ("f", "again/old", "old"),
    ("f", "a-setuid", "program"),
    ("h", "linked", "usr/lib/a"),
)
CASES: dict[str, tuple[tuple[Row, ...], ...]] = {
    "one": (BASE,),
    "whiteouts": (BASE, (("d", "usr"), ("d", "usr/lib"), ("f", "usr/lib/.wh.a"), ("f", ".wh.linked"))),
    "opaque": (BASE, (("d", "opaque"), ("f", "opaque/.wh..wh..opq"), ("f", "opaque/new", "new"))),
    "through a link": (BASE, (("f", "lib/c", "c above"), ("f", "lib/a", "a above"))),
    "kinds": (BASE, (("d", "becomes-directory"), ("f", "becomes-directory/y", "y"), ("f", "becomes-file", "z"))),
    "removed and made": (BASE, (("f", ".wh.again"), ("d", "again"), ("f", "again/new", "new"))),
    "twice": (BASE, (("f", "twice", "one"), ("f", "twice", "two"), ("l", "a-setuid", "twice"))),
    "parents": (BASE, (("f", "usr/lib/deep/er/x", "deep"),)),
    "link below": (BASE, (("h", "second", "usr/lib/b"),)),
    "three": (BASE, (("f", "usr/.wh.lib"),), (("d", "usr"), ("d", "usr/lib"), ("f", "usr/lib/z", "z"))),
}


@pytest.mark.parametrize("flat", [False, True], ids=["overlay", "flat"])
@pytest.mark.parametrize("case", CASES)
def test_the_same_names_by_either_way(case: str, flat: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from archives, from the store, and by the kernel."""
    monkeypatch.setattr("debloat.embedded.layers._takes_whiteouts", lambda directory: not flat)
    location = saved(tmp_path / "image.tar", [layer(rows) for rows in CASES[case]])
    place = Place(tmp_path / "place")
    place.make()
    layers = Layers(place, user=False)
    with open_store(location) as store:
        stored = store.image()
        read = open_layers(store, stored, tmp_path, "it").rootfs
        layers.add(store, stored, "it")
        layers.add(store, stored, "it")
    diff_ids = stored.image.layers
    assert layers.has(diff_ids)
    files = layers.files(diff_ids, "it")
    own = Rootfs(without_engine_made(with_mount_points(files.entries())), files)
    assert list(own.entries()) == list(read.entries())
    contents = {entry.path: read.read(entry.path) for entry in read.entries() if entry.is_file}
    assert {path: own.read(path) for path in contents} == contents
    assert {path: b"".join(own.chunks(path)) for path in contents} == contents
    entries = {entry.path: entry for entry in files.entries() if entry.path != "/"}
    assert seen_by_the_kernel([str(d) for d in layers.directories(diff_ids)], tmp_path) == {
        path: (f"{e.kind}", e.mode, e.uid, e.mtime, e.target or contents.get(path, b"").decode())
        for path, e in entries.items()
    }
    again = layers.files(diff_ids, "it")
    assert list(again.entries()) == list(files.entries()), "as it was noted"
    assert {path: again.read(path) for path in contents} == contents
    assert not layers.keep_only([diff_ids])
    assert len(layers.keep_only([])) == len(set(layers.directories(diff_ids)))
    assert not layers.has(diff_ids)


Seen = dict[str, tuple[str, int, int, int, str]]


def seen_by_the_kernel(lower: list[str], directory: Path) -> Seen:
    """The names below an overlay of the layers."""
    namespace = Namespace()
    try:
        return seen_within(namespace, lower, directory)
    finally:
        namespace.close()


def seen_within(namespace: Namespace, lower: list[str], directory: Path) -> Seen:
    """The same among the mounts of a namespace."""
    root = directory / "root"
    for name in ("root", "empty"):
        (directory / name).mkdir(exist_ok=True)

    def look() -> Seen:
        mount("overlay", str(root), "overlay", 0, f"lowerdir={':'.join([*reversed(lower), str(directory / 'empty')])}")
        found = {}
        try:
            for path in sorted(root.rglob("*")):
                status = path.lstat()
                kind = "l" if path.is_symlink() else "d" if path.is_dir() else "f"
                text = os.readlink(path) if kind == "l" else path.read_text() if kind == "f" else ""
                mode = status.st_mode & 0o7777
                found["/" + str(path.relative_to(root))] = (kind, mode, status.st_uid, status.st_mtime_ns, text)
        finally:
            unmount(str(root))
        return found

    return namespace.call(look)


@pytest.mark.parametrize(
    "rows",
    [
        (("f", "../out", "x"),),
        (("f", "a/../../out", "x"),),
        (("l", "way", "/tmp"), ("f", "way/../../out", "x")),
        (("l", "a", "b"), ("l", "b", "a"), ("f", "a/x", "x")),
        (("f", "a", "x"), ("f", "a/b", "x")),
        (("h", "a", "nowhere"),),
    ],
)
def test_what_no_layer_may_have(rows: tuple[Row, ...], tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    place.make()
    with open_store(saved(tmp_path / "image.tar", [layer(rows)])) as store, pytest.raises(DebloatError):
        Layers(place, user=False).add(store, store.image(), "it")
    assert [path.name for path in place.home.rglob("*") if not path.is_dir()] in ([], ["lock"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "damage", [(b"a below", b"x below"), (b"usr/lib/b\0", b"usr/lib/c\0")], ids=["content", "header"]
)
def test_a_layer_that_is_another_is_not_kept(damage: tuple[bytes, bytes], tmp_path: Path) -> None:
    """It is unpacked while it is verified."""
    location = saved(tmp_path / "image.tar", [layer(BASE)])
    location.path.write_bytes(location.path.read_bytes().replace(*damage))
    place = Place(tmp_path / "place")
    place.make()
    with open_store(location) as store, pytest.raises(StoreError, match="another digest"):
        Layers(place, user=False).add(store, store.image(), "it")
    assert not any(list(directory.iterdir()) for directory in (place.layers, place.indexes, place.drafts))


@pytest.mark.parametrize("data", [b"", b"rubbish", marshal.dumps(("other", 1)), marshal.dumps(("x", 1)) * 2])
def test_headers_that_are_damaged(data: bytes, tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    place.make()
    layers = Layers(place, user=False)
    with open_store(saved(tmp_path / "image.tar", [layer(BASE)])) as store:
        stored = store.image()
        layers.add(store, stored, "it")
    (headers,) = place.indexes.iterdir()
    headers.write_bytes(data)
    with pytest.raises(EngineUnavailable, match="cannot read the headers"):
        layers.files(stored.image.layers, "it")


def test_links_lead_nowhere_outside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    rows: tuple[Row, ...] = (("l", "way", str(outside)), ("f", "way/x", "x"))
    place = Place(tmp_path / "place")
    place.make()
    with open_store(saved(tmp_path / "image.tar", [layer(rows)])) as store:
        stored = store.image()
        layers = Layers(place, user=False)
        layers.add(store, stored, "it")
    assert not list(outside.iterdir())
    assert (layers.directories(stored.image.layers)[0] / str(outside).lstrip("/") / "x").read_text() == "x"


def test_mounts_are_nobody_elses(tmp_path: Path) -> None:
    namespace = Namespace()
    namespace.call(lambda: mount("tmpfs", str(tmp_path), "tmpfs"))
    assert namespace.call(lambda: os.path.ismount(tmp_path))
    assert not os.path.ismount(tmp_path)
    assert subprocess.run(["cat", "/proc/self/mounts"], capture_output=True).stdout.count(os.fsencode(tmp_path)) == 0
    assert namespace.within(str(tmp_path), lambda: os.listdir("/")) == []
    assert namespace.call(lambda: len(os.listdir("/"))) > 0
    namespace.close()
