"""The plan of shared layers: what every image keeps and nothing else, few layers, small ones, whatever the order."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.core.errors import UsageError
from debloat.cut import Part
from debloat.fleet import kept, share
from debloat.fleet.kept import KeptFile, KeptSet
from debloat.fleet.share import SharePlan, dump_parts, parse_parts, plan
from debloat.image import carve

MB = 1 << 20

Fleet = Mapping[str, KeptSet]


def file(path: str, size: int, origin: str = "", version: str = "") -> KeptFile:
    key = hashlib.sha256(f"{path} {size} {version}".encode()).hexdigest()
    return KeptFile((path,), key, 512 + size + -size % 512, origin)


def keeps(*files: KeptFile, own: int = 10_240) -> KeptSet:
    """An image with these files, and so many bytes of directories and its package database."""
    return KeptSet(tuple(sorted(files)), sum(f.bytes for f in files) + own)


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Files of a few packages, in versions, over a few images."""
    known = [
        file(f"/usr/lib/p{number % 5}/d{number % 3}/f{number}", size, f"p{number % 5}" if number % 5 else "", version)
        for number, size in enumerate(draw(st.lists(st.integers(0, 3 * MB), min_size=1, max_size=25)))
        for version in ("1", "2")
    ]
    images = {}
    for number in range(draw(st.integers(1, 7))):
        chosen = draw(st.lists(st.sampled_from(known), unique_by=lambda f: f.paths))
        images[f"image{number}"] = keeps(*chosen, own=512 * draw(st.integers(1, 300)))
    return images


def planned(fleet: Fleet, most: int = share.MOST_LAYERS) -> SharePlan:
    return plan(fleet, fleet.__getitem__, most)


@settings(max_examples=200, deadline=None)
@given(fleets(), st.integers(1, 6))
def test_a_plan_keeps_its_promises(fleet: Fleet, most: int) -> None:
    found = planned(fleet, most)
    assert [image.name for image in found.images] == sorted(fleet)
    for layer in found.layers:
        assert len(layer.images) > 1
        # Every image of a layer keeps all that is in it, the same.
        files = [{f.paths: f for f in fleet[name].files if set(f.paths) <= set(layer.paths)} for name in layer.images]
        assert all(each == files[0] for each in files)
        assert sorted(path for paths in files[0] for path in paths) == list(layer.paths)
        frame = carve.headed(carve.directories(layer.paths))
        members = sum(f.bytes for f in files[0].values()) + sum(carve.member_size(k.entry, h, x) for k, h, x in frame)
        assert layer.bytes == carve.layer_size(members)
    for image in found.images:
        mine = [found.layers[number] for number in image.layers]
        assert all(image.name in layer.images for layer in mine)
        paths = [path for layer in mine for path in layer.paths]
        assert len(paths) == len(set(paths))
        assert len(mine) + 1 <= most
        assert found.size(image) <= share.BOUND * image.single
        assert image.single == fleet[image.name].bytes
        shared = sum(f.bytes for f in fleet[image.name].files if f.paths[0] in set(paths))
        assert image.own == carve.layer_size(fleet[image.name].members - shared)
    assert {image.name for image in found.images for _ in image.layers} == {n for x in found.layers for n in x.images}
    assert found.after <= found.before + carve.layer_size(0) * len(fleet)


@settings(max_examples=60, deadline=None)
@given(fleets(), st.randoms(use_true_random=False))
def test_the_order_of_images_changes_nothing(fleet: Fleet, chance: random.Random) -> None:
    names = list(fleet)
    chance.shuffle(names)
    assert plan(names, fleet.__getitem__) == planned(fleet)


def test_images_that_keep_the_same_share_all_but_what_is_theirs() -> None:
    files = [file(f"/usr/lib/{n}", MB, "glibc") for n in range(10)]
    found = planned({name: keeps(*files) for name in "abc"})
    (layer,) = found.layers
    assert (layer.images, layer.origins, len(layer.paths)) == (("a", "b", "c"), ("glibc",), 10)
    assert found.after < found.before * 0.35
    assert found.shared == layer.bytes


def test_images_without_a_file_in_common_share_nothing() -> None:
    """As those on two releases of Debian: every file is of another version."""
    old, new = (keeps(file("/usr/lib/libc.so.6", 5 * MB, "glibc", version)) for version in ("12", "13"))
    found = planned({"a": old, "b": new})
    assert found.layers == ()
    assert found.before == found.after


def test_what_most_images_have_comes_first_and_packages_get_layers_that_are_left() -> None:
    base = [file("/usr/lib/libc.so.6", 3 * MB, "glibc"), file("/usr/lib/libssl.so.3", 2 * MB, "openssl")]
    python = [file("/usr/bin/python3", 6 * MB, "python3.11")]
    fleet = {"a": keeps(*base), "b": keeps(*base, *python), "c": keeps(*base, *python)}
    assert [(layer.origins, layer.images) for layer in planned(fleet).layers] == [
        (("glibc",), ("a", "b", "c")),
        (("openssl",), ("a", "b", "c")),
        (("python3.11",), ("b", "c")),
    ]
    assert [layer.origins for layer in planned(fleet, 3).layers] == [("glibc", "openssl"), ("python3.11",)]
    assert [layer.origins for layer in planned(fleet, 2).layers] == [("glibc", "openssl")]
    assert planned(fleet, 1).layers == ()


def test_a_small_file_is_worth_no_layer() -> None:
    assert planned({name: keeps(file("/etc/hosts.allow", 400), own=20 * MB) for name in "ab"}).layers == ()


def test_an_image_leaves_a_layer_that_would_make_it_too_large() -> None:
    """Thousands of links, each in a directory of its own: their headers take as much in a layer as they do."""
    links = [KeptFile((f"/usr/lib/d{n}/link",), f"{n:064x}", 512, "links") for n in range(2000)]
    found = planned({name: keeps(*links, own=0) for name in "abcd"})
    assert found.layers == ()


def test_a_layer_says_what_is_in_it() -> None:
    files = [file(f"/usr/lib/{name}", 3 * MB - n, name) for n, name in enumerate("abcd")]
    found = planned({name: keeps(*files, file("/app/x", MB)) for name in "xy"}, 2)
    assert found.layers[0].comment == "shared: a, b, c, and 2 more"
    assert (
        planned({name: keeps(file("/app/x", MB)) for name in "xy"}).layers[0].comment == "shared: files of no package"
    )


PARTS = st.lists(st.builds(Part, st.lists(st.text(), max_size=4).map(lambda p: tuple(sorted(p))), st.text()))


@given(PARTS)
def test_parts_travel(parts: list[Part]) -> None:
    assert list(parse_parts(dump_parts(parts))) == parts


KEPT = st.builds(
    KeptSet,
    st.lists(st.builds(KeptFile, st.lists(st.text(), min_size=1).map(tuple), st.text(), st.integers(0), st.text())).map(
        tuple
    ),
    st.integers(0),
)


@given(KEPT)
def test_what_an_image_keeps_travels(found: KeptSet) -> None:
    assert kept.parse(kept.dump(found), "x") == found


@pytest.mark.parametrize("text", ["", "[", '{"a": 1}', "[1]", '[["a"]]', '[["a", 1]]', "[" * 9000])
def test_what_is_no_division_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        parse_parts(text)
    with pytest.raises(UsageError, match="cannot read x"):
        kept.parse(text.encode(), "x")


@given(st.binary())
def test_bytes_that_are_no_kept_set_are_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="cannot read x"):
        kept.parse(data, "x")
