"""Layers laid over each other: whiteouts, links, and what hostile layers try."""

from __future__ import annotations

import random
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Kind
from debloat.image.rootfs import Rootfs
from debloat.store import layers as reading
from debloat.store.base import StoreError
from debloat.store.layers import open_layers
from debloat.store.location import image_location
from debloat.store.opened import open_store
from tests.support.stores import layer, put_layout

ALWAYS = {"/", "/dev", "/etc", "/proc", "/sys"}


def laid(directory: Path, *layers: bytes, **config: object) -> Rootfs:
    """The root file system of a layout of these layers."""
    put_layout(directory / "layout", layers, config)
    scratch = directory / "scratch"
    scratch.mkdir(exist_ok=True)
    with open_store(image_location(f"oci:{directory / 'layout'}")) as store:
        return open_layers(store, store.image(), scratch, "the layout").rootfs


def names(rootfs: Rootfs) -> list[str]:
    return [path for path in rootfs if path not in ALWAYS]


def refused(directory: Path, *layers: bytes) -> str:
    with pytest.raises(StoreError) as error:
        laid(directory, *layers)
    assert "\n" not in error.value.message
    assert error.value.message.startswith("cannot read the layout: a layer has ")
    return error.value.message.partition("a layer has ")[2]


def test_what_a_whiteout_hides(tmp_path: Path) -> None:
    below = layer({"a/": "", "a/b/": "", "a/b/c": b"1", "a/d": b"2", "e": b"3"})
    above = layer({"a/.wh.b": b"", "a/.wh.none": b"", ".wh.e": b"", "a/f": b"4"})
    assert names(laid(tmp_path, below, above)) == ["/a", "/a/d", "/a/f"]


def test_a_whiteout_spares_its_own_layer(tmp_path: Path) -> None:
    """OCI image specification, layer.md: whiteouts apply to lower layers only, wherever in the layer they stand."""
    below = layer({"a/": "", "a/old": b"1", "b": b"1"})
    rootfs = laid(tmp_path, below, layer([("a/new", b"2"), ("a/.wh..wh..opq", b""), ("b", b"2"), (".wh.b", b"")]))
    assert names(rootfs) == ["/a", "/a/new", "/b"]
    assert rootfs.read("/b") == b"2"


def test_notes_of_aufs_are_no_files(tmp_path: Path) -> None:
    assert names(laid(tmp_path, layer({".wh..wh.plnk/": "", ".wh..wh.aufs": b"", "a": b""}))) == ["/a"]


def test_kinds_take_each_others_place(tmp_path: Path) -> None:
    below = layer({"a/": "", "a/b": b"1", "c": b"2", "l": "-> a"})
    rootfs = laid(tmp_path, below, layer({"a": b"3", "c/": "", "c/d": b"4", "l/": ""}))
    assert names(rootfs) == ["/a", "/c", "/c/d", "/l"]
    assert [e.kind for e in map(rootfs.lookup, ("/a", "/c", "/l")) if e] == [Kind.FILE, Kind.DIR, Kind.DIR]


def test_the_last_of_one_name_counts(tmp_path: Path) -> None:
    rootfs = laid(tmp_path, layer([("a", b"first"), ("a", b"second"), ("d/", ""), ("d/x", b""), ("d/", "")]))
    assert rootfs.read("/a") == b"second"
    assert names(rootfs) == ["/a", "/d", "/d/x"]


def test_a_way_through_a_link_ends_in_the_image(tmp_path: Path) -> None:
    below = layer({"usr/": "", "usr/bin/": "", "bin": "-> usr/bin", "up": "-> ../../..", "abs": "-> /usr"})
    rootfs = laid(tmp_path, below, layer({"bin/tool": b"t", "up/etc/passwd": b"p", "abs/lib/x": b"x"}))
    assert names(rootfs) == [
        "/abs",
        "/bin",
        "/etc/passwd",
        "/up",
        "/usr",
        "/usr/bin",
        "/usr/bin/tool",
        "/usr/lib",
        "/usr/lib/x",
    ]
    assert rootfs.read("/bin/tool") == b"t"


def test_names_of_one_file(tmp_path: Path) -> None:
    below = layer({"a": b"12", "b": "=> a", "c": "=> ./b", "s": "-> a", "t": "=> s"})
    rootfs = laid(tmp_path, below)
    groups = {path: entry.hardlink for path in "abcst" if (entry := rootfs.get(f"/{path}"))}
    assert groups["a"] == groups["b"] == groups["c"] != 0
    assert groups["s"] == groups["t"] == 0
    assert rootfs.read("/c") == b"12"
    shutil.rmtree(tmp_path / "layout")
    rootfs = laid(tmp_path, below, layer({".wh.a": b"", ".wh.c": b"", "d": "=> b"}))
    assert rootfs.read("/d") == b"12"
    shutil.rmtree(tmp_path / "layout")
    rootfs = laid(tmp_path, below, layer({".wh.a": b"", "c": b"3"}))
    assert [entry.hardlink for entry in rootfs.entries() if entry.path in ("/b", "/c")] == [0, 0]


def test_times_are_whole_seconds_and_the_engines_directories_reproducible(tmp_path: Path) -> None:
    rootfs = laid(tmp_path, layer({"etc/": "", "etc/a": b"", "usr/": ""}, mtime=1_700_000_000.75))
    assert {e.path: e.mtime for e in rootfs.entries()} == {
        **dict.fromkeys(("/", "/etc", "/etc/a", "/usr"), 1_700_000_000 * 10**9),
        **dict.fromkeys(("/dev", "/proc", "/sys"), 0),
    }


def test_what_is_said_last_of_a_file_holds_for_all_its_names(tmp_path: Path) -> None:
    rootfs = laid(tmp_path, layer({"a": b"1", "b": "=> a"}), layer({"c": "=> b"}, mode=0o4711, uid=5, mtime=7))
    assert {(e.mode, e.uid, e.mtime) for e in rootfs.entries() if e.is_file} == {(0o4711, 5, 7 * 10**9)}


def test_ways_through_links_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_STEPS", 10_000)
    far = {"l": "-> " + "d/../" * 700 + "d", "d/": ""}
    assert "ways through links" in refused(tmp_path, layer({**far, **{f"l/{number}": b"" for number in range(50)}}))


@pytest.mark.parametrize("mtime", [-1, 1 << 40])
def test_times_that_no_engine_unpacks(tmp_path: Path, mtime: int) -> None:
    entry = laid(tmp_path, layer({"a": b""}, mtime=mtime)).lookup("/a")
    assert entry is not None
    assert entry.mtime == 0


def test_what_an_engine_puts_into_containers_is_left_out(tmp_path: Path) -> None:
    table = {
        ".dockerenv": b"",
        "etc/hosts": b"",
        "etc/resolv.conf": b"nameserver",
        "dev/console": b"",
        "etc/mtab": "-> /proc/mounts",
    }
    assert names(laid(tmp_path, layer(table))) == ["/etc/resolv.conf"]


def test_the_parent_of_a_volume_that_engines_make(tmp_path: Path) -> None:
    """They make it in the container that reads the image, which gives the directory above another time."""
    below = layer([("srv/", ""), ("srv/old", b"")])
    above = layer({"srv/": ""}, mtime=1_800_000_000)
    assert (plain := laid(tmp_path, below, above).lookup("/srv")) is not None
    shutil.rmtree(tmp_path / "layout")
    touched = laid(tmp_path, below, above, Volumes={"/srv/data/x": {}}).lookup("/srv")
    assert touched is not None
    assert (plain.mtime, touched.mtime) == (1_800_000_000 * 10**9, 1_700_000_000 * 10**9)


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"../x": b""}, "the path '../x', which leads out of where it begins"),
        ({"a/../../x": b""}, "the path 'a/../../x', which leads out"),
        ({"/../x": b""}, "the path '../x', which leads out"),
        ({"x": "=> ../../etc/passwd"}, "the path '../../etc/passwd', which leads out"),
        ({"x": "=> y"}, "a hard link to '/y', which is no file of the image"),
        ({"d/": "", "x": "=> d"}, "a hard link to '/d', which is no file"),
        ({"x": "=> x"}, "a hard link to '/x', which is no file"),
        ({"x": b"", "x/y": b""}, "a name below '/x', which is no directory"),
        ({"a": "-> b", "b": "-> a", "a/x": b""}, "a way through '/a' that runs in a circle"),
        ({".wh...": b""}, "a whiteout of '..', which is no name"),
        ({".wh.a/": "", ".wh.a/b": b""}, "the path '/.wh.a/b', which leads through a whiteout"),
        ({".wh.": b""}, "a whiteout of '', which is no name"),
        ({"d/" * 600 + "x": b""}, "a path of more than 500 parts"),
        ({"n" * 256: b""}, "a name longer than any file's"),
    ],
)
def test_what_hostile_layers_try(tmp_path: Path, table: dict[str, bytes | str], why: str) -> None:
    assert why in refused(tmp_path, layer(table))
    assert not list((tmp_path / "scratch").iterdir())


def test_devices_are_names_and_nothing_is_made_of_them(tmp_path: Path) -> None:
    rootfs = laid(tmp_path, layer({f"dev/sd{number}": b"" for number in range(300)}, type=tarfile.BLKTYPE, devmajor=8))
    assert all(entry.kind is Kind.BLOCK and entry.device == (8, 0) for entry in rootfs.children("/dev"))
    assert len(names(rootfs)) == 300


PARTS = st.lists(st.sampled_from(["a", "b", "c", ".wh.a", ".wh..wh..opq", "..", ".", ""]), min_size=1, max_size=4)
MEMBERS = st.lists(
    st.tuples(PARTS.map("/".join), st.sampled_from(["f", "/", "-> a", "-> ../b", "-> /c/a", "=> a", "=> b/c"])),
    max_size=8,
)


@given(st.lists(MEMBERS, min_size=1, max_size=3))
def test_any_layers_give_a_tree_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, made: list[list[tuple[str, str]]]
) -> None:
    directory = tmp_path_factory.mktemp("overlay")
    tars = [
        layer([(name + "/", "") if content == "/" else (name.rstrip("/") or "x", content) for name, content in table])
        for table in made
    ]
    try:
        rootfs = laid(directory, *tars)
    except StoreError as error:
        said = error.message.partition("a layer has ")
        assert said[0] == "cannot read the layout: " and "\n" not in said[2]  # noqa: PT018
        return
    finally:
        shutil.rmtree(directory)
    found = {entry.path: entry for entry in rootfs.entries()}
    for path, entry in found.items():
        assert ".." not in path.split("/")
        assert not path.rpartition("/")[2].startswith(".wh.")
        assert path == "/" or found[path.rpartition("/")[0] or "/"].kind is Kind.DIR
        if entry.hardlink:
            assert sum(other.hardlink == entry.hardlink for other in found.values()) > 1


def test_the_order_of_siblings_means_nothing(tmp_path: Path) -> None:
    table: list[tuple[str, bytes | str]] = [(f"d/{number}", b"x") for number in range(50)]
    first = list(laid(tmp_path / "1", layer([("d/", ""), *table])).entries())
    random.Random(1).shuffle(table)
    assert list(laid(tmp_path / "2", layer([("d/", ""), *table])).entries()) == first
