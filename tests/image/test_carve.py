"""The layer: everything that goes in comes out again, and the same input gives the same bytes."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from debloat.core.model import Closure, Entry, Evidence, Image, ImageConfig, Kind
from debloat.image import carve
from debloat.image.contents import ExportedContents
from debloat.image.rootfs import MemoryContents, Rootfs

SEGMENT = st.binary(min_size=1, max_size=60).filter(lambda b: not set(b) & {0, 47} and b not in (b".", b".."))
PATH = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda parts: "/" + os.fsdecode(b"/".join(parts)))
XATTRS = st.dictionaries(st.sampled_from(["security.capability", "user.note", "user.x=y"][:2]), st.binary(max_size=24))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    kind = draw(st.sampled_from([Kind.FILE, Kind.DIR, Kind.SYMLINK, Kind.FIFO, Kind.CHAR]))
    return Entry(
        path=draw(PATH),
        kind=kind,
        mode=0o777 if kind is Kind.SYMLINK else draw(st.integers(0, 0o7777)),
        uid=draw(st.integers(0, 2**32 - 1)),
        gid=draw(st.integers(0, 2**21)),
        size=0,
        mtime=draw(st.integers(-(10**18), 2 * 10**18) | st.integers(0, 2**35).map(lambda s: s * 10**9)),
        target=os.fsdecode(draw(st.binary(min_size=1, max_size=130).filter(lambda b: 0 not in b)))
        if kind is Kind.SYMLINK
        else "",
        device=(draw(st.integers(0, 4095)), draw(st.integers(0, 65535))) if kind is Kind.CHAR else (0, 0),
        xattrs=tuple(sorted(draw(XATTRS).items())) if kind in (Kind.FILE, Kind.DIR) else (),
    )


def layer_of(listed: list[Entry], files: dict[str, bytes]) -> bytes:
    rootfs = Rootfs(listed, MemoryContents(files))
    closure = Closure({e.path: (Evidence("x", "probe:x"),) for e in listed})
    return b"".join(carve.layer_pieces(rootfs, carve.kept_entries(rootfs, closure, {})))


@settings(max_examples=150, deadline=None)
@given(st.lists(entries(), max_size=6, unique_by=lambda e: e.path), st.binary(max_size=2000))
def test_what_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, listed: list[Entry], content: bytes) -> None:

    listed = [replace(e, size=len(content)) if e.kind is Kind.FILE else e for e in listed]
    files = {e.path: content for e in listed if e.kind is Kind.FILE}
    data = layer_of(listed, files)
    assert len(data) % tarfile.RECORDSIZE == 0
    read = ExportedContents(tmp_path_factory.mktemp("t") / "spool", [data])
    assert sorted(read.entries, key=lambda e: e.path) == sorted(listed, key=lambda e: e.path)
    assert all(read.read(path) == content for path in files)


def test_hardlinks_stay_hardlinks_and_count_once() -> None:
    listed = [Entry(f"/{n}", Kind.FILE, 0o644, size=3, hardlink=7) for n in "cab"] + [Entry("/d", Kind.FILE, size=3)]
    data = layer_of(listed, {e.path: b"abc" for e in listed})
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        kinds = [(m.name, m.islnk(), m.linkname) for m in tar]
    assert kinds == [("a", False, ""), ("b", True, "a"), ("c", True, "a"), ("d", False, "")]
    assert carve.content_size(listed) == 6


def test_a_member_of_a_hardlink_group_that_stays_alone_is_a_file() -> None:
    data = layer_of([Entry("/b", Kind.FILE, size=3, hardlink=7)], {"/b": b"abc"})
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getmember("b").isreg()


def test_sockets_are_left_out() -> None:
    assert layer_of([Entry("/s", Kind.SOCKET)], {}).strip(b"\0") == b""


def test_gnu_tar_reads_it(tmp_path: Path) -> None:
    long = "/" + "n" * 90 + "/" + "m" * 120
    listed = [
        Entry("/" + "n" * 90, Kind.DIR, 0o2775, 5, 6, mtime=10**18),
        Entry(long, Kind.FILE, 0o4755, 1000, 1000, 2, 1_700_000_000_123_456_789),
    ]
    (tmp_path / "x.tar").write_bytes(layer_of(listed, {long: b"hi"}))
    out = subprocess.run(
        ["tar", "-tvf", tmp_path / "x.tar"], capture_output=True, text=True, check=True, env={"TZ": "UTC"}
    )
    assert "rwsr-xr-x" in out.stdout
    assert out.stdout.rstrip().endswith("m" * 120)
    assert out.stderr == ""


IMAGE = Image(
    "app:1",
    "sha256:" + "1" * 64,
    "linux",
    "amd64",
    "v2",
    "2024-01-01T00:00:00.5Z",
    ImageConfig(
        {"Env": ["A=1"], "Healthcheck": {"Test": ["CMD", "x"], "StartInterval": 5}, "ArgsEscaped": True, "New": {}}
    ),
)


def test_every_field_of_the_configuration_survives() -> None:
    config = json.loads(carve.image_config(IMAGE, [carve.Layer("sha256:" + "2" * 64, 10, 5)], "debloat 1"))
    labels = config["config"].pop("Labels")
    assert config["config"] == dict(IMAGE.config.raw)
    assert labels == {carve.BASE_NAME: "app:1", carve.BASE_DIGEST: IMAGE.identity}
    assert (config["variant"], config["created"]) == ("v2", "2024-01-01T00:00:00.5Z")


def test_source_date_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert carve.created_at(IMAGE) == "1970-01-02T00:00:00Z"


@pytest.mark.parametrize(
    "empty",
    [
        {
            "Volumes": None,
            "OnBuild": [],
            "Entrypoint": None,
            "User": "",
            "WorkingDir": "",
            "Hostname": "x",
            "Tty": True,
        },
        {"Image": "sha256:1", "Domainname": "", "AttachStdout": True, "Shell": None, "ExposedPorts": {}},
    ],
)
def test_what_an_engine_adds_to_a_configuration_changes_no_id(empty: dict[str, object]) -> None:
    """One engine lists its whole structure and what it noted of the build, another leaves out what is empty."""
    layer = carve.Layer("sha256:" + "2" * 64, 10, 5)
    other = replace(IMAGE, id="sha256:" + "3" * 64, config=ImageConfig(empty | dict(IMAGE.config.raw)))
    assert carve.image_config(other, [layer], "debloat 1") == carve.image_config(IMAGE, [layer], "debloat 1")


def test_the_base_is_named_as_the_user_pinned_it() -> None:
    digest = "sha256:" + "4" * 64
    layer = carve.Layer("sha256:" + "2" * 64, 10, 5)
    config = json.loads(carve.image_config(replace(IMAGE, reference=f"app@{digest}"), [layer], "debloat 1"))
    assert config["config"]["Labels"][carve.BASE_DIGEST] == digest


def test_the_same_bytes_in_another_process() -> None:
    """Neither hash seed, time zone, umask nor locale reaches the layer."""
    code = (
        "import os, hashlib; os.umask(int(os.environ['MASK'], 8));"
        "from tests.image.test_carve import layer_of; from debloat.core.model import Entry, Kind;"
        "x = (('user.a', b'x'),);"
        "es = [Entry(f'/d/f{i}', Kind.FILE, 0o644, i, i, 1, i * 10**9 + i, xattrs=x) for i in range(50)];"
        "print(hashlib.sha256(layer_of(es, {e.path: b'z' for e in es})).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "MASK": mask, "LC_ALL": "C", "PYTHONPATH": "."},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone, mask in (("1", "UTC", "022"), ("2", "Asia/Tokyo", "077"))
    }
    assert len(digests) == 1
