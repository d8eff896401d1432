"""An image divided into layers: laid over each other they are the very tree of its one layer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from debloat.core.model import Closure, Entry, Evidence, Image, ImageConfig, Kind
from debloat.cut import Minimal, Part, carve_closure, divided
from debloat.debian.packages import NoPackages
from debloat.fleet import share
from debloat.fleet.kept import KeptSet, kept_set
from debloat.image.rootfs import MemoryContents, Rootfs
from debloat.store.layers import open_layers
from debloat.store.location import image_location, output_location
from debloat.store.opened import open_store
from debloat.store.write import write

IMAGE = Image("app:1", "sha256:1", "linux", "amd64", "", "2024-01-01T00:00:00Z", ImageConfig({"Cmd": ["/bin/x"]}))

NAMES = ("lib", "x", "\udcff", "n" * 120)


@st.composite
def root_file_systems(draw: st.DrawFn) -> Rootfs:
    """Directories with metadata of their own, files some of which are one, links, a device."""
    directories = {"/"}
    for parts in draw(st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3), max_size=5)):
        directories.update("/" + "/".join(parts[:end]) for end in range(1, len(parts) + 1))
    entries = [
        Entry(path, Kind.DIR, draw(st.sampled_from([0o755, 0o1777, 0o700])), mtime=draw(st.integers(0, 9)) * 10**9)
        for path in sorted(directories)
    ]
    files: dict[str, bytes] = {}
    linked = 0
    for directory in sorted(directories):
        base = "" if directory == "/" else directory
        content = draw(st.sampled_from([b"", b"abc", b"d" * 3000]))
        for name in draw(st.lists(st.sampled_from(["a", "b", "c"]), unique=True)):
            files[f"{base}/{name}"] = content
            mode = draw(st.sampled_from([0o644, 0o4755]))
            entries.append(Entry(f"{base}/{name}", Kind.FILE, mode, 1, 2, len(content), 10**18))
        if draw(st.booleans()):
            linked += 1
            for name in ("h1", "h2"):
                files[f"{base}/{name}"] = content
                entries.append(Entry(f"{base}/{name}", Kind.FILE, 0o644, size=len(content), hardlink=linked))
        if draw(st.booleans()):
            entries.append(Entry(f"{base}/link", Kind.SYMLINK, 0o777, target="/bin"))
    return Rootfs(entries, MemoryContents(files))


def carved(rootfs: Rootfs, directory: Path) -> Minimal:
    """All of a root file system as one layer."""
    directory.mkdir(parents=True, exist_ok=True)
    closure = Closure({entry.path: (Evidence("x", "probe:x"),) for entry in rootfs.entries()})
    return carve_closure(rootfs, NoPackages(), IMAGE, closure, directory)


def read_again(minimal: Minimal, form: str, directory: Path) -> tuple[dict[str, Entry], dict[str, bytes], list[str]]:
    """What a place has of an image that was written there: entries by path, contents, and its layers."""
    place = directory / f"written-{form}"
    write(minimal.written, "app:slim", output_location(f"{form}:{place}"))
    with open_store(image_location(f"{form}:{place}")) as store:
        stored = store.image()
        opened = open_layers(store, stored, directory, str(place))
        entries = {entry.path: entry for entry in opened.rootfs.entries()}
        contents = {path: opened.rootfs.read(path) for path, entry in entries.items() if entry.is_file}
        return entries, contents, list(stored.image.layers)


def unnumbered(entries: dict[str, Entry]) -> tuple[dict[str, Entry], set[frozenset[str]]]:
    """Entries without the numbers of hard-linked files, and which names are one file."""
    groups: dict[int, set[str]] = {}
    for path, entry in entries.items():
        if entry.hardlink:
            groups.setdefault(entry.hardlink, set()).add(path)
    plain = {path: replace(entry, hardlink=0) for path, entry in entries.items()}
    return plain, {frozenset(group) for group in groups.values()}


@settings(max_examples=40, deadline=None)
@given(st.data(), root_file_systems())
def test_layers_come_to_the_tree_of_the_one_layer(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rootfs: Rootfs
) -> None:
    """However it is divided: also where parts name what is not there, or one name of a file that has two."""
    directory = tmp_path_factory.mktemp("cut")
    minimal = carved(rootfs, directory)
    paths = [*(entry.path for entry in rootfs.entries()), "/not/there"]
    chosen = data.draw(st.lists(st.sampled_from(paths), unique=True))
    parts = [Part(chosen[number::3], f"part {number}") for number in range(3)]
    layered = divided(minimal, rootfs, IMAGE, parts, directory)
    form = data.draw(st.sampled_from(["oci", "oci-archive", "docker-archive"]))
    one, several = (read_again(each, form, directory / str(n)) for n, each in enumerate((minimal, layered)))
    assert unnumbered(several[0]) == unnumbered(one[0])
    assert several[1] == one[1]
    assert several[2] == [stored.layer.diff_id for stored in layered.written.layers]
    assert (layered.kept, layered.footprint, layered.closure) == (minimal.kept, minimal.footprint, minimal.closure)


@settings(max_examples=40, deadline=None)
@given(st.lists(root_file_systems(), min_size=2, max_size=4))
def test_what_was_planned_is_what_is_written(
    tmp_path_factory: pytest.TempPathFactory, systems: Sequence[Rootfs]
) -> None:
    """The sizes of layers are those of the plan, and one that images share has the same digest in all of them."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(share, "WORTH", 1)
        patched.setattr(share, "BOUND", 99)
        directory = tmp_path_factory.mktemp("fleet")
        singles = {f"image{n}": carved(rootfs, directory / str(n)) for n, rootfs in enumerate(systems)}
        roots = dict(zip(singles, systems, strict=True))
        kept: dict[str, KeptSet] = {n: kept_set(roots[n], NoPackages(), m.kept) for n, m in singles.items()}
        plan = share.plan(kept, kept.__getitem__)
    digests: dict[int, set[str]] = {}
    for image in plan.images:
        single = singles[image.name]
        found = divided(single, roots[image.name], IMAGE, plan.parts(image.name), directory)
        assert image.single == single.layer.size
        assert image.own == found.layer.size
        for number, stored in zip(image.layers, found.below, strict=True):
            assert stored.layer.size == plan.layers[number].bytes
            digests.setdefault(number, set()).add(stored.layer.diff_id)
    assert len(digests) == len(plan.layers)
    assert all(len(each) == 1 for each in digests.values())


def test_the_configuration_names_the_layers_and_what_is_in_them(tmp_path: Path) -> None:
    rootfs = Rootfs(
        [Entry("/", Kind.DIR, 0o755), Entry("/usr", Kind.DIR, 0o700), *(Entry(f"/usr/{n}", Kind.FILE) for n in "ab")],
        MemoryContents({"/usr/a": b"", "/usr/b": b""}),
    )
    minimal = carved(rootfs, tmp_path)
    parts = [Part(["/usr/a"], "shared: glibc"), Part([], "nothing")]
    layered = divided(minimal, rootfs, IMAGE, parts, tmp_path)
    config, single = json.loads(layered.config), json.loads(minimal.config)
    assert [row["comment"] for row in config["history"]] == ["shared: glibc", "cut down from app:1"]
    assert len(config["rootfs"]["diff_ids"]) == 2
    same = ("architecture", "config", "created", "os")
    assert {key: config[key] for key in same} == {key: single[key] for key in same}
    assert divided(minimal, rootfs, IMAGE, [], tmp_path).config == minimal.config
