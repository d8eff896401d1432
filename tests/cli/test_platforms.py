"""All platforms of an index with one command: those that run here by runs of their own, the others as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from debloat.cli.platforms import Part
from debloat.core import machine
from debloat.image.rootfs import Rootfs
from debloat.lock import format as locks
from debloat.store.base import Blob, Variant
from debloat.store.location import image_location
from tests.support.cli import CONFIG, SHOP_1, CommandLine, sells, shop
from tests.support.engine import Behaviour, FakeEngine
from tests.support.stores import LayoutMaker, layer_of
from tests.support.trees import Table, tree

Lines = Callable[[FakeEngine], CommandLine]

NARROW: Table = {**SHOP_1, "/usr/share/shop/catalogue": "coffee 32\n"}
"""The shop for 32 bits."""
ALL = ("--platform", "all", "--output", "oci:out")


@pytest.fixture(autouse=True)
def _both_word_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests run on: a kernel that runs amd64 and 386 and no others."""
    monkeypatch.setattr(machine, "executes", lambda platform: platform.oci == "386")
    monkeypatch.setattr(machine, "handlers", lambda directory: iter(()))


def put(directory: Path, builds: Mapping[str, Table]) -> None:
    """A layout of an index, each platform with a statement behind it."""
    maker, rows = LayoutMaker(directory), []
    for architecture, table in builds.items():
        row = maker.manifest([layer_of(tree(table))], CONFIG, architecture=architecture)
        platform = {"os": "linux", "architecture": architecture}
        said = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": row["digest"],
        }
        statement = maker.manifest([], {}, architecture=architecture, author="the builder")
        unknown = {"os": "unknown", "architecture": "unknown"}
        rows += [
            {**row, "platform": platform, "annotations": {"is": architecture}},
            {**statement, "platform": unknown, "annotations": said},
        ]
    maker.end({**maker.index(rows), "annotations": {"org.opencontainers.image.ref.name": "shop:1"}})


@pytest.fixture
def stored(debloat: CommandLine, here: Path) -> CommandLine:
    """`oci:app`, the shop for three platforms; the engine is for the second, and runs the third."""
    put(here / "app", {"arm64": SHOP_1, "amd64": SHOP_1, "386": NARROW})
    debloat.engine.names.pop("shop:1")
    return debloat


def rows(directory: Path) -> list[dict[str, Any]]:
    """The rows of a layout's one index."""
    (entry,) = json.loads((directory / "index.json").read_text())["manifests"]
    found: list[dict[str, Any]] = document(directory, entry["digest"])["manifests"]
    return found


def document(directory: Path, digest: str) -> Any:
    return json.loads((directory / "blobs" / digest.replace(":", "/")).read_text())


def layers_of(directory: Path, row: dict[str, Any]) -> list[str]:
    return [part["digest"] for part in document(directory, row["digest"])["layers"]]


def test_each_platform_by_its_own_run(stored: CommandLine, here: Path, tmp_path: Path) -> None:
    before = dict(stored.engine.names)
    done = stored("oci:app", *ALL, "--json", "{platform}.json", "--lock", "{platform}.lock")
    assert (done.code, done.out) == (0, "oci:out\n")
    assert "linux/arm64  kept whole: this machine does not run it\n" in done.err
    assert "left out: 2 attestations, of images that are not in it any more" in done.err
    assert stored.engine.names == before
    assert not list((tmp_path / "scratch").iterdir())
    was, now = rows(here / "app"), rows(here / "out")
    # The first is as it was, with its statement; those of the others are gone.
    assert now[:2] == was[:2]
    assert [(row["platform"], row["annotations"]) for row in now[2:]] == [
        (was[number]["platform"], was[number]["annotations"]) for number in (2, 4)
    ]
    assert layers_of(here / "out", now[2]) != layers_of(here / "out", now[3])
    for word, row in (("linux-amd64", now[2]), ("linux-386", now[3])):
        assert [locks.parse((here / f"{word}.lock").read_bytes(), "").layer] == layers_of(here / "out", row)
        assert json.loads((here / f"{word}.json").read_text())["result"] == "oci:out"
    assert not list(here.glob("*arm64*"))
    # Each is an image like any other.
    for platform in ("linux/amd64", "linux/386", "linux/arm64"):
        assert stored("inspect", "oci:out", "--platform", platform).code == 0


def test_the_same_index_gives_the_same_bytes(stored: CommandLine, here: Path) -> None:
    found = []
    for name in ("one", "two"):
        assert stored("oci:app", "--platform", "all", "-q", "--output", f"oci:{name}").code == 0
        found.append({p.name: p.read_bytes() for p in sorted((here / name).rglob("*")) if p.is_file()})
    assert found[0] == found[1]


def test_locks_give_the_same_index_without_an_engine(stored: CommandLine, here: Path) -> None:
    assert stored("lock", "oci:app", *ALL, "-q").code == 0
    assert sorted(path.name for path in here.glob("*.lock")) == ["debloat-linux-386.lock", "debloat-linux-amd64.lock"]
    stored.connected = 0
    done = stored("apply", "oci:app", "--platform", "all", "--output", "oci:again", "--json", "{platform}.json")
    assert (done.code, done.out, stored.connected) == (0, "oci:again\n", 0)
    assert "linux/arm64  kept whole: there is no lock debloat-linux-arm64.lock\n" in done.err
    assert rows(here / "again") == rows(here / "out")
    assert json.loads((here / "linux-386.json").read_text())["identical"]
    # What was locked where it runs is made here as well.
    lock = locks.parse((here / "debloat-linux-amd64.lock").read_bytes(), "")
    (here / "debloat-linux-arm64.lock").write_bytes(locks.dump(replace(lock, platform="linux/arm64", image="another")))
    done = stored("apply", "oci:app", "--platform", "all", "--output", "oci:third")
    assert (done.code, stored.connected) == (0, 0)
    assert "kept whole" not in done.err
    assert layers_of(here / "third", rows(here / "third")[0]) != layers_of(here / "app", rows(here / "app")[0])
    # A replay is of what runs here.
    done = stored("apply", "oci:app", "--platform", "all", "--output", "oci:fourth", "--verify", "--update-lock")
    assert done.code == 0
    assert "linux/arm64  kept whole: this machine does not run it\n" in done.err
    assert rows(here / "fourth") == rows(here / "out")


def narrow_fails(rootfs: Rootfs, argv: tuple[str, ...]) -> Behaviour:
    """A program that misses something where it is for 32 bits."""
    sold = sells(rootfs, argv)
    if b"coffee" in sold.stdout and "/usr/bin/spare" not in rootfs:
        return Behaviour(sold.uses, b"nothing left\n")
    return sold


@pytest.mark.parametrize("verb", [("slim",), ("lock",)])
def test_one_that_fails_its_proof_writes_nothing(
    stored: CommandLine, lines: Lines, here: Path, tmp_path: Path, verb: tuple[str, ...]
) -> None:
    failing = lines(shop(narrow_fails))
    done = failing(*verb, "oci:app", *ALL, "--json", "{platform}.json")
    assert done.code == 5
    assert done.complaint.startswith("debloat: linux/386: the minimal image does not answer as the original does")
    assert not (here / "out").exists()
    assert not list(here.glob("*.lock"))
    assert json.loads((here / "linux-386.json").read_text())["result"] == "", "its report tells what differs"
    assert not list((tmp_path / "scratch").iterdir())


def test_what_is_forced_is_written_and_said_to_fail(stored: CommandLine, lines: Lines, here: Path) -> None:
    done = lines(shop(narrow_fails))("oci:app", *ALL, "--force", "-q")
    assert done.code == 5
    assert "linux/386: the minimal image does not answer" in done.complaint
    assert len(rows(here / "out")) == 4


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("oci:app", "--platform", "all"), "say where it goes: --output oci:DIR"),
        (("oci:app", "--platform", "all", "--output", "out.tar"), "there one image stands by itself"),
        (("oci:app", "--platform", "all", "--output", "docker-daemon:a:1"), "there one image stands by itself"),
        (("shop:2", *ALL), "on an engine an image is of one"),
        (("oci:one", *ALL), "it is one image, and no index"),
        (("oci:arm", *ALL), "all its platforms would be kept whole (linux/arm64: this machine does not run it)"),
        (("oci:app", *ALL, "-t", "a:1"), "cannot use -t for all platforms"),
        (("oci:app", *ALL, "--dry-run"), "cannot use --dry-run for all platforms"),
        (("oci:app", *ALL, "--seccomp", "x"), "cannot use --seccomp for all platforms"),
        (("oci:app", *ALL, "--lock", "x.lock"), "would be written once for each platform"),
        (("lock", "oci:app", *ALL, "--lock", "debloat.lock"), "would be written once for each platform"),
        (("oci:app", *ALL, "--json", "-"), "write --json with {platform} in the name"),
        (("apply", "oci:app", *ALL, "--lock", "debloat.lock"), "a lock is of one"),
        (("apply", "oci:app", *ALL), "linux/386: there is no lock debloat-linux-386.lock"),
        (("apply", "oci:app", *ALL, "--canary", "x:1"), "cannot use --canary for all platforms"),
    ],
)
def test_what_cannot_be_done_with_all(stored: CommandLine, here: Path, words: tuple[str, ...], complaint: str) -> None:
    put(here / "arm", {"arm64": SHOP_1})
    maker = LayoutMaker(here / "one")
    maker.end(maker.manifest([layer_of(tree(SHOP_1))], CONFIG))
    done = stored(*words)
    assert done.code == 2
    assert complaint in done.complaint
    assert not (here / "out").exists()
    assert not list(here.glob("*.lock"))


@pytest.mark.parametrize("called", ["..", "../../x", "a/../b", "x\0y", "Linux/AMD64", "\N{SNOWMAN}"])
def test_what_an_index_calls_a_platform_leads_nowhere(called: str) -> None:
    image = Variant(Blob("", "", 0), called)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", Part(image, image_location("oci:x")).word)


def test_of_two_for_the_same_platform_the_first_is_made(stored: CommandLine, here: Path) -> None:
    maker = LayoutMaker(here / "twice")
    found = [maker.manifest([layer_of(tree(table))], CONFIG) for table in (SHOP_1, NARROW)]
    rows_of = [{**row, "platform": {"os": "linux", "architecture": "amd64"}} for row in found]
    maker.end(maker.index(rows_of))
    done = stored("oci:twice", *ALL)
    assert done.code == 0
    assert "linux/amd64  kept whole: another image of the index is for the same platform" in done.err
    assert rows(here / "out")[1] == rows_of[1]


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "oci:app"),
        ("check", "oci:app"),
        ("diff", "oci:app", "oci:app"),
        ("sbom", "oci:app"),
        ("why", "oci:app", "/x"),
        ("record", "oci:app", "--save-trace", "x"),
        ("init", "oci:app"),
        ("build", "."),
    ],
    ids=lambda words: words[0],
)
def test_verbs_of_one_image_name_the_fix(stored: CommandLine, words: tuple[str, ...]) -> None:
    done = stored(*words, "--platform", "all")
    assert done.code == 2
    assert "cannot take all platforms at once here" in done.complaint
    assert "name one of them (--platform linux/arm64)" in done.complaint
