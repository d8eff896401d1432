"""A real index: two platforms that both run here, each recorded, cut and proven by itself, and one that does not."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from debloat.cli.main import main
from debloat.embedded import seccomp
from debloat.embedded.place import VARIABLE
from debloat.store.layers import open_layers
from debloat.store.location import image_location
from debloat.store.opened import open_store
from tests.support.stores import LayoutMaker, layer

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="its programs are for amd64 and 386"),
]

# Reads a file by the calls of its own ABI, and prints it: no libc, no headers, nothing but a compiler.
PROGRAM = r"""
#ifdef __x86_64__
enum { READ = 0, WRITE = 1, OPEN = 2, EXIT = 60 };
static long call(long n, long a, long b, long c) {
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
#else
enum { READ = 3, WRITE = 4, OPEN = 5, EXIT = 1 };
static long call(long n, long a, long b, long c) {
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
    return r;
}
#endif
void _start(void) {
    static char text[64];
    long file = call(OPEN, (long)DATA, 0, 0);
    long size = call(READ, file, (long)text, sizeof text);
    call(WRITE, 1, (long)text, size);
    call(EXIT, size == 5 ? 0 : 1, 0, 0);
    for (;;)
        ;
}
"""
FLAGS = ("-O1", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-ffreestanding", "-fno-stack-protector", "-s")


def program(directory: Path, word: str, *flags: str) -> bytes:
    """The program that reads `/data/WORD`."""
    (directory / "program.c").write_text(PROGRAM)
    made = directory / f"program-{word}"
    define = f'-DDATA="/data/{word}"'
    subprocess.run(["cc", *flags, *FLAGS, define, "-o", made, directory / "program.c"], check=True, timeout=60)
    return made.read_bytes()


def put(directory: Path, scratch: Path) -> list[dict[str, Any]]:
    """A layout of an index; the rows of it."""
    maker, rows = LayoutMaker(directory), []
    programs = {"amd64": program(scratch, "amd64"), "386": program(scratch, "386", "-m32"), "arm64": b"\x7fELF"}
    for architecture, data in programs.items():
        # What one reads the other only has.
        files = {"prog": data, "data/": "", "data/amd64": "wide\n", "data/386": "slim\n", "spare": "x" * 100_000}
        found = maker.manifest([layer(files, mode=0o755)], {"Cmd": ["/prog"]}, architecture=architecture)
        platform = {"os": "linux", "architecture": architecture}
        rows.append({**found, "platform": platform, "annotations": {"for": architecture}})
    maker.end({**maker.index(rows), "annotations": {"org.opencontainers.image.ref.name": "prog:1"}})
    return rows


def files_of(said: str, scratch: Path) -> list[str]:
    with open_store(image_location(said)) as store:
        rootfs = open_layers(store, store.image(), scratch, said).rootfs
        return [entry.path for entry in rootfs.entries() if entry.is_file]


@pytest.mark.parametrize(
    ("engine", "profiles"),
    [("docker", ()), ("embedded", seccomp.PROFILES), ("embedded", ())],
    ids=["docker", "embedded", "embedded-without-the-shared-profile"],
)
def test_both_word_sizes_are_cut_by_what_each_touches(
    engine: str,
    profiles: tuple[Path, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On debloat's own engine under the profile that engines share, and under the one that is written down."""
    monkeypatch.setattr(seccomp, "PROFILES", profiles)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEBLOAT_ENGINE", engine)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "store"))
    rows = put(tmp_path / "app", tmp_path)
    words = ["oci:app", "--platform", "all", "--output", "oci:out", "--lock", "{platform}.lock", "--level", "exact"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert said.count("all as the original's") == 2
    assert "linux/arm64  kept whole: this machine " in said
    (entry,) = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    found = json.loads((tmp_path / "out/blobs" / entry["digest"].replace(":", "/")).read_text())["manifests"]
    assert [(row["platform"], row["annotations"]) for row in found] == [
        (row["platform"], row["annotations"]) for row in rows
    ]
    assert found[2] == rows[2]
    for row, word in zip(found[:2], ("amd64", "386"), strict=True):
        scratch = tmp_path / f"scratch-{word}"
        scratch.mkdir()
        assert files_of(f"oci:out:@{row['digest']}", scratch) == [f"/data/{word}", "/prog"]
        assert main(["why", "oci:out", "--platform", f"linux/{word}", f"/data/{word}"]) == 0
        assert capsys.readouterr().out.startswith(f"kept: /data/{word}")
    # From the locks, without running anything, the same.
    assert main(["apply", "oci:app", "--platform", "all", "--lock", "{platform}.lock", "--output", "oci:again"]) == 0
    assert (tmp_path / "again/index.json").read_bytes() == (tmp_path / "out/index.json").read_bytes()
