"""Images that are shown over the one that they were cut from: the kernel sees what their own layer says."""

from __future__ import annotations

import io
import os
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat.core.model import Entry, Kind
from debloat.embedded import cutout
from debloat.embedded.layers import Files, Layers
from debloat.embedded.namespace import Namespace
from debloat.embedded.place import Place
from debloat.image.carve import Kept, write_layer
from debloat.image.oci import LayerFile, Written
from debloat.image.rootfs import Rootfs
from debloat.store.opened import open_store
from tests.embedded.test_layers import CASES, layer, saved, seen_within

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners and devices are root's to make")

NAME = "cut:1"
CONFIG = b'{"os":"linux","architecture":"amd64","config":{},"rootfs":{"type":"layers","diff_ids":[]}}'


@dataclass(frozen=True, slots=True)
class Ground:
    """An image unpacked, and where another is to be shown over it."""

    directory: Path
    place: Place
    namespace: Namespace
    files: Files
    below: list[str]
    cutouts: cutout.Cutouts

    def written(self, kept: list[Kept]) -> Written:
        file = self.directory / "cut.tar"
        kept = sorted(kept, key=lambda item: os.fsencode(item.entry.path))
        with file.open("wb") as out:
            return Written(CONFIG, (LayerFile(write_layer(self.rootfs(), kept, out), file),))

    def rootfs(self) -> Rootfs:
        return Rootfs(self.files.entries(), self.files)

    def shown(self, written: Written) -> cutout.Cutout | None:
        shown = self.cutouts.show(written, NAME, self.files, self.below)
        found = self.cutouts.find(NAME)
        assert shown == (found is not None) == bool(self.cutouts)
        return found

    def nothing_left(self) -> bool:
        mounts = self.namespace.call(lambda: Path("/proc/thread-self/mounts").read_text())
        return not list(self.place.drafts.iterdir()) and str(self.place.home) not in mounts


@pytest.fixture(params=[*CASES, "flat"])
def ground(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    monkeypatch.setattr("debloat.embedded.layers._takes_whiteouts", lambda directory: request.param != "flat")
    place = Place(tmp_path / "place")
    place.make()
    layers = Layers(place, user=False)
    rows = CASES["three" if request.param == "flat" else request.param]
    with open_store(saved(tmp_path / "image.tar", [layer(found) for found in rows])) as store:
        stored = store.image()
        layers.add(store, stored, "it")
    diff_ids = stored.image.layers
    namespace = Namespace()
    below = [directory.name for directory in layers.directories(diff_ids)]
    cutouts = cutout.Cutouts(place, namespace, user=False)
    yield Ground(tmp_path, place, namespace, layers.files(diff_ids, "it"), below, cutouts)
    cutouts.close()
    namespace.close()


def changed(kept: list[Kept], rootfs: Rootfs, chance: random.Random) -> Iterator[Kept]:
    """Entries, some of them not as the original has them."""
    for item in kept:
        entry, what = item.entry, chance.randrange(8)
        if what < 2 and entry.hardlink:
            yield item  # what is said of one name holds for all
        elif what == 0:
            yield Kept(replace(entry, mode=0o777 if entry.is_symlink else 0o700, uid=7))
        elif what == 1:
            yield Kept(replace(entry, mtime=entry.mtime + 10**9))
        elif what == 2 and entry.is_file:
            content = bytes(byte ^ 1 for byte in rootfs.read(entry.path))
            yield Kept(replace(entry, hardlink=0), content)
        elif what == 3 and entry.is_file:
            yield Kept(replace(entry, hardlink=0, size=9), b"rewritten")
        elif what == 4 and not entry.is_dir:
            yield Kept(Entry(entry.path, Kind.DIR, 0o755, mtime=10**9))
            yield Kept(Entry(f"{entry.path}/new", Kind.SYMLINK, 0o777, target="there", mtime=10**9))
        else:
            yield item


def some_of(rootfs: Rootfs, chance: random.Random) -> list[Kept]:
    """Some entries of an image, with all directories above them."""
    found = {entry.path: entry for entry in rootfs.entries()}
    paths = {path for path in found if chance.randrange(3)}
    above = {str(parent) for path in paths for parent in Path(path).parents}
    return [Kept(found[path]) for path in sorted(paths | above | {"/"}, key=os.fsencode)]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_shown_is_what_the_layer_says(ground: Ground, seed: int) -> None:
    chance, rootfs = random.Random(seed), ground.rootfs()
    written = ground.written(list(changed(some_of(rootfs, chance), rootfs, chance)))
    shown = ground.shown(written)
    assert shown is not None
    lower = [os.path.normpath(ground.place.layers / name) for name in shown.layers]
    assert seen_within(ground.namespace, lower, ground.directory) == of_layer(written.layers[0].file)
    ground.cutouts.drop(NAME)
    assert ground.nothing_left()


def of_layer(file: Path) -> dict[str, tuple[str, int, int, int, str]]:
    """What is in a layer, as tarfile reads it."""
    found = {}
    with tarfile.open(file) as tar:
        for member in tar:
            kind = "l" if member.issym() else "d" if member.isdir() else "f"
            source = tar.extractfile(member) if kind == "f" else None
            first = tar.getmember(member.linkname) if member.islnk() else member
            text = member.linkname if kind == "l" else source.read().decode() if source is not None else ""
            if member.name not in (".", ""):
                mtime = int(first.mtime) * 10**9
                found["/" + member.name.rstrip("/")] = (kind, first.mode, first.uid, mtime, text)
    return found


def test_what_is_the_same_is_not_written(ground: Ground) -> None:
    """Not even its number of links differs, which cron and others look at."""
    written = ground.written([Kept(entry) for entry in ground.rootfs().entries() if entry.path != "/usr/lib/z"])
    shown = ground.shown(written)
    assert shown is not None
    made = ground.namespace.call(lambda: [path for path in shown.top.rglob("*") if path.is_file()])
    assert made == []


def test_what_cannot_be_shown(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Entry("/large", Kind.FILE, size=2 << 20)
    large = ground.written([Kept(Entry("/", Kind.DIR, 0o755)), Kept(entry, bytes(entry.size))])
    two = replace(large, layers=large.layers * 2)
    twice = ground.directory / "twice.tar"
    with tarfile.open(twice, "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("x"), io.BytesIO())
    monkeypatch.setattr(cutout, "MOST", 1 << 20)
    for written in (large, two, Written(CONFIG, (replace(large.layers[0], file=twice),))):
        assert ground.shown(written) is None
        assert ground.nothing_left()


def test_nothing_stays_of_what_fails(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    written = ground.written([Kept(Entry("/", Kind.DIR, 0o755))])

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cutout, "_comparable", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ground.shown(written)
    assert ground.nothing_left()
