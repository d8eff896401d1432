"""The canary of a minimal image: which cut paths it watches, and what is in it."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest
from msgspec.structs import replace

from debloat import canary
from debloat.closure import World
from debloat.core.errors import UsageError
from debloat.core.model import Access, Image, ImageConfig, Op, Trace
from debloat.cut import Minimal, carve_closure
from tests.support.trees import Table, closed, world

KEPT = (
    *("/usr/bin/app", "/etc/app.conf", "/etc/app.d/10-first", "/etc/mods-enabled/one", "/var/lib/app/state"),
    *("/usr/share/app/data", "/srv/page", "/opt/tool/run", "/usr/open/kept", "/usr/theirs/kept", "/usr/volume/kept"),
)
TABLE: Table = {
    **dict.fromkeys(KEPT, "kept"),
    "/usr/open/": ("1777", ""),
    "/usr/theirs/": ("0755 33:33", ""),
    "/usr/bin/cut": ("4755", "program"),
    "/usr/bin/link": "-> cut",
    "/usr/bin/pipe/": "",
    "/etc/cut.conf": "cut",
    "/etc/whole/deep/file": "cut",
    "/usr/local/lib/": "",
    "/usr/share/raw-\udcff": "cut",
    "/opt/tool/cut": "cut",
    # In the way of somebody, each in its own manner.
    "/etc/app.d/20-second": "read with all others",
    "/etc/mods-enabled/two": "read with all others",
    "/usr/share/app/cut": "in a directory that is listed",
    "/var/lib/app/cut": "variable data",
    "/srv/cut": "variable data",
    "/usr/open/cut": "where all may create",
    "/usr/theirs/cut": "where a service may create",
    "/usr/volume/cut": "below a volume",
    "/usr/share/dropped": "by hand",
    "/etc/searched/deep/example": "where the original has not what is looked for either",
}
WATCHED = ("/etc/cut.conf", "/etc/whole", "/opt/tool/cut", "/usr/bin/cut", "/usr/bin/link", "/usr/share/raw-\udcff")
CONFIG = {"Entrypoint": ["/usr/bin/app", "-x"], "Cmd": ["y"], "Volumes": {"/usr/volume": {}}}
IMAGE = Image("app:1", "sha256:1", "linux", "amd64", "", "2024-01-01T00:00:00Z", ImageConfig(CONFIG), ("sha256:2",))


@pytest.fixture
def around() -> World:
    listing = Access("/usr/share/app", Op.LIST, "", "start", "/usr/bin/app")
    search = Access("/etc/searched/deep/config", Op.OPEN, "r", "start", "/usr/bin/app")
    trace = Trace(frozenset({listing, search}))
    found = world(TABLE, config=CONFIG, trace=trace)
    return replace(found, policy=replace(found.policy, drop=("/usr/share/dropped",)))


def minimal(around: World, directory: Path) -> Minimal:
    return carve_closure(around.rootfs, around.packages, IMAGE, closed(around, (), *KEPT), directory)


def test_which_cut_paths_are_watched(around: World) -> None:
    """Those whose names are in nobody's way: not listed, not read with others, not where services create files."""
    assert canary.watched(around, closed(around, (), *KEPT)) == WATCHED


def test_a_walk_over_a_tree_lists_nothing(around: World) -> None:
    """A sweep passes names and opens none."""
    table = {**TABLE, **{f"/usr/share/app/{n}/file": "cut" for n in range(30)}}
    directories = ("/usr/share/app", *(f"/usr/share/app/{n}" for n in range(30)))
    uses = [Access(path, Op.LIST, "", "start", "/usr/bin/find") for path in directories]
    uses += [Access(f"{path}/file", Op.STAT, "l", "start", "/usr/bin/find") for path in directories]
    uses += [Access("/usr/share/app/cut", Op.STAT, "l", "start", "/usr/bin/find")]
    walked = world(table, owned={"app": ["/usr/share/app/cut"]}, config=CONFIG, trace=Trace(frozenset(uses)))
    assert "/usr/share/app/cut" in canary.watched(walked, closed(walked, (), *KEPT))


def test_what_is_in_a_canary(around: World, tmp_path: Path) -> None:
    """All of the minimal image, a tombstone for each watched path, the list in their order, and the wrapper."""
    made = minimal(around, tmp_path)
    bird = canary.make(IMAGE, around, made, b"sensor", tmp_path)
    assert bird.watched == WATCHED
    with tarfile.open(bird.written.layers[0].file, errors="surrogateescape") as tar:
        members = {f"/{m.name}".rstrip("/."): m for m in tar}
        listing = tar.extractfile(".debloat-canary/list")
        assert listing is not None
        head, *lines = listing.read().decode().splitlines()
    assert {k.entry.path.rstrip("/") for k in made.kept} < set(members)
    assert list(members) == sorted(members, key=os.fsencode)
    config = json.loads(bird.written.config)["config"]
    notes = config["Entrypoint"][3]
    assert config["Entrypoint"] == [
        *("/.debloat-canary/sensor", "canary", "/.debloat-canary/list", notes, "--", "/usr/bin/app", "-x")
    ]
    assert config["Cmd"] == ["y"]
    assert config["Volumes"] == {"/usr/volume": {}, "/.debloat-canary/notes": {}}
    assert members["/.debloat-canary/notes"].mode == 0o1777
    assert [json.loads(f"{head}{line}}}") for line in lines] == [
        {"format": "debloat-canary", "version": 1, "image": IMAGE.identity, "path": path} for path in WATCHED
    ]
    for number, path in enumerate(WATCHED):
        assert members[path].linkname == f"{notes}/links/{number}"


def test_the_same_image_has_the_same_canary(around: World, tmp_path: Path) -> None:
    made = minimal(around, tmp_path)
    first, second = (canary.make(IMAGE, around, made, b"sensor", tmp_path).written for _ in range(2))
    assert first == second


def test_a_canary_of_a_canary(around: World, tmp_path: Path) -> None:
    again = world({**TABLE, "/.debloat-canary/list": "x"})
    with pytest.raises(UsageError, match="app:1 is a canary"):
        canary.make(IMAGE, again, minimal(around, tmp_path), b"sensor", tmp_path)
