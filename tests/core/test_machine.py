"""Which platforms' programs a machine runs, as its kernel says."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from debloat.core import machine
from debloat.core.machine import cannot_run, emulator_of, executes, handler, header, runs
from debloat.core.platform import PLATFORMS, Platform, of_image

AARCH64 = """enabled
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
"""As the kernel shows what Debian's qemu-user-static registers."""
JAR = "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n"
PYTHON = "enabled\ninterpreter /usr/bin/python3.11\nflags: \noffset 0\nmagic a70d0d0a\n"


@pytest.mark.parametrize(
    ("kernel", "image", "expected"),
    [
        ("amd64", "amd64", True),
        ("amd64", "386", True),
        ("arm64", "arm", True),
        ("386", "amd64", False),
        ("amd64", "arm64", False),
        ("arm64", "386", False),
        ("riscv64", "386", False),
        ("riscv64", "riscv64", True),
    ],
)
def test_what_a_kernel_runs_by_itself(kernel: str, image: str, expected: bool) -> None:
    assert runs(kernel, image) is expected


def test_the_other_word_size_is_tried_where_the_kernel_is_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "HANDLERS", Path("/nonexistent"))
    monkeypatch.setattr(machine, "executes", lambda platform: False)
    assert cannot_run("amd64", "386") == "this machine does not run it"
    assert not cannot_run("amd64", "amd64")
    assert not cannot_run("amd64", "386", here=False), "another machine's kernel cannot be asked"
    monkeypatch.setattr(machine, "executes", lambda platform: True)
    assert not cannot_run("amd64", "386")
    assert not cannot_run("arm64", "arm", "v7")
    assert cannot_run("amd64", "arm64") == "this machine does not run it"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="it is the machine that is asked")
def test_this_kernel_runs_what_it_is_built_for() -> None:
    """CI's is, as Debian's."""
    assert executes(of_image("386"))
    assert not executes(of_image("arm", "v7"))
    assert not executes(of_image("s390x"))


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.debian)
def test_the_header_of_a_program_says_its_platform(platform: Platform) -> None:
    data = header(platform, bytes(8))
    order = "<" if platform.little_endian else ">"
    kind, number = struct.unpack_from(f"{order}HH", data, 16)
    assert (data[4] * 32, data[5], kind, number) == (platform.bits, 2 - platform.little_endian, 2, platform.elf)


def test_emulators_are_known_by_what_they_take(tmp_path: Path) -> None:
    for name, text in {"qemu-aarch64": AARCH64, "jar": JAR, "python3.11": PYTHON, "status": "enabled\n"}.items():
        (tmp_path / name).write_text(text)
    found = {platform.debian: emulator_of(platform, tmp_path) for platform in PLATFORMS}
    assert found.pop("arm64") == "aarch64-binfmt-P"
    assert set(found.values()) == {""}
    assert emulator_of(of_image("made-up"), tmp_path) == ""
    assert emulator_of(of_image("arm64"), tmp_path / "none") == ""


def test_what_an_emulator_runs_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "qemu-aarch64").write_text(AARCH64)
    monkeypatch.setattr(machine, "handlers", lambda directory: iter([handler(AARCH64)]))
    assert "only an emulator runs it here (aarch64-binfmt-P)" in cannot_run("amd64", "arm64", "v8")
    assert not cannot_run("arm64", "arm64"), "its own programs it runs by itself"


@pytest.mark.parametrize("text", ["", "disabled\n" + AARCH64[8:], JAR, AARCH64.replace("7f45", "zz"), "enabled"])
def test_what_is_no_handler_of_a_machine(text: str) -> None:
    assert handler(text) is None
