"""What layers add and hide: the accounts agree with the image that is seen, whatever the layers hold."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.anatomy.archived import layers_in
from debloat.anatomy.layers import Buried, Layers, LayerSource, Member, accounts


def layers(*texts: str) -> Layers:
    """Layers written as words: `/a/b=7` a file of 7 bytes, `/a/` a directory, `-/a/b` a whiteout, `!/a` opaque."""
    return accounts([LayerSource(f"sha256:{n}", f"RUN {n}", map(member, text.split())) for n, text in enumerate(texts)])


def member(word: str) -> Member:
    if word.startswith("-"):
        parent, _, name = word[1:].rpartition("/")
        return Member(f"{parent}/.wh.{name}")
    if word.startswith("!"):
        return Member(f"{word[1:]}/.wh..wh..opq")
    path, _, size = word.partition("=")
    return Member(path.rstrip("/") or "/", int(size or 0), path.endswith("/"))


def test_what_a_layer_adds_replaces_and_removes() -> None:
    found = layers("/a=10 /b=20 /d/x=5 /d/y=6", "/a=11 /c=1 -/b", "-/d /e=2")
    first, second, third = found.layers
    assert (first.files, first.bytes, first.added, first.hidden) == (4, 41, 4, 41)
    assert (second.added, second.replaced, second.removed, second.hides, second.hidden) == (1, 1, 1, 30, 0)
    assert (third.added, third.removed, third.hides) == (1, 2, 11)
    assert found.of == {"/a": 1, "/c": 1, "/e": 2}
    assert found.buried[1] == Buried("/b", 20, 0, 1)


def test_a_file_that_was_removed_and_came_again_is_new() -> None:
    found = layers("/a=10", "-/a", "/a=3")
    assert (found.layers[2].added, found.layers[2].replaced) == (1, 0)
    assert found.layers[0].hidden == 10


def test_an_opaque_directory_hides_what_lies_below_and_not_what_its_own_layer_has() -> None:
    for text in ("!/d /d/new=1", "/d/new=1 !/d"):
        found = layers("/d/a=10 /d/b/c=20", text)
        assert (found.layers[1].removed, found.layers[1].hides) == (2, 30)
        assert found.of == {"/d/new": 1}


def test_a_file_in_the_place_of_a_directory_hides_all_of_it() -> None:
    found = layers("/d/a=10 /d/b/c=20", "/d=1")
    assert found.layers[1].hides == 30
    assert found.of == {"/d": 1}
    assert layers("/d=5", "/d/ /d/x=1").layers[0].hidden == 5


def test_a_layer_without_contents_says_so() -> None:
    found = accounts([LayerSource("sha256:1", "COPY", None), LayerSource("sha256:2", "RUN", iter([Member("/a", 3)]))])
    assert [layer.known for layer in found.layers] == [False, True]


NAMES = st.sampled_from("abc")
PATHS = st.builds("/".join, st.lists(NAMES, min_size=1, max_size=3)).map(lambda path: f"/{path}")
FORMS = st.sampled_from(["{}=3", "{}=50", "-{}", "{}/", "!{}"])


def possible(words: dict[str, str]) -> dict[str, str]:
    """The words of a layer, by path, that can stand in one: what is no directory has nothing in it."""
    leaves = [f"{path}/" for path, form in words.items() if "=" in form or form[0] == "-"]
    return {path: form for path, form in words.items() if not path.startswith(tuple(leaves))}


@settings(max_examples=300)
@given(st.lists(st.dictionaries(PATHS, FORMS, max_size=6).map(possible), max_size=5))
def test_every_byte_is_seen_or_hidden(stack: list[dict[str, str]]) -> None:
    """What layers hold can be seen or is hidden, and each hidden byte is counted by the layer that hides it."""
    found = layers(*(" ".join(form.format(path) for path, form in words.items()) for words in stack))
    for number, share in enumerate(found.layers):
        seen = [path for path, layer in found.of.items() if layer == number]
        assert share.bytes == share.hidden + sum(int(stack[number][path].partition("=")[2]) for path in seen)
    assert sum(share.hides for share in found.layers) == sum(share.hidden for share in found.layers)


# ------------------------------------------------------------------------------------------ the archive


def tar_of(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def archive(path: Path, *blobs: bytes, history: list[dict[str, object]]) -> tuple[Path, list[str]]:
    digests = [f"sha256:{n:064x}" for n in range(len(blobs))]
    config = {"rootfs": {"diff_ids": digests}, "history": history}
    manifest = [{"Config": "config.json", "Layers": [f"{n}.tar" for n in range(len(blobs))]}]
    files = {f"{n}.tar": blob for n, blob in enumerate(blobs)}
    documents = {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    path.write_bytes(tar_of({**files, **documents}))
    return path, digests


def test_layers_out_of_an_archive(tmp_path: Path) -> None:
    below = tar_of({"./etc/a": b"12345", "b": b"1"})
    above = gzip.compress(tar_of({"etc/.wh.a": b""}))
    history: list[dict[str, object]] = [
        {"created_by": "ADD"},
        {"created_by": "ENV x", "empty_layer": True},
        {"created_by": "RUN"},
    ]
    path, digests = archive(tmp_path / "saved.tar", below, above, history=history)
    found = accounts(layers_in(path, digests))
    assert [(layer.created_by, layer.files, layer.removed, layer.known) for layer in found.layers] == [
        ("ADD", 2, 0, True),
        ("RUN", 0, 1, True),
    ]
    assert found.buried == (Buried("/etc/a", 5, 0, 1),)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "other"])
def test_what_is_no_archive_is_layers_of_which_nothing_is_known(tmp_path: Path, damage: str) -> None:
    path, digests = archive(tmp_path / "saved.tar", tar_of({"a": b"1"}), history=[{"created_by": "ADD"}])
    data = path.read_bytes()
    path.write_bytes({"empty": b"", "text": b"no tar" * 300, "cut": data[:700], "other": data}[damage])
    found = accounts(layers_in(path, ["sha256:" + "f" * 64] if damage == "other" else digests))
    assert [layer.known for layer in found.layers] == [False]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=1500), st.integers(0, 2000))
def test_a_damaged_layer_raises_nothing(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int) -> None:
    layer = bytearray(tar_of({"a/b": b"1" * 30, "c": b"2"}))
    layer[at : at + len(noise)] = noise
    path, digests = archive(tmp_path_factory.mktemp("x") / "saved.tar", bytes(layer), history=[{"created_by": "ADD"}])
    assert len(accounts(layers_in(path, digests)).layers) == 1
