"""Where the sensor's binary comes from."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import debloat.sensor
from debloat.sensor import FLAGS, SOURCE, SensorUnavailable, binary, build, machine, source_hash

ELF_MACHINE = {"x86_64": 62, "aarch64": 183}


@pytest.fixture
def no_prebuilt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(debloat.sensor, "PREBUILT", tmp_path / "bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"), [("amd64", "x86_64"), ("aarch64", "aarch64"), ("arm64/v8", "aarch64"), ("ARM64", "aarch64")]
)
def test_machine(name: str, expected: str) -> None:
    assert machine(name) == expected


def test_unknown_machine() -> None:
    with pytest.raises(SensorUnavailable, match="no sensor for the machine 's390x'"):
        binary("s390x")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_built_and_kept(no_prebuilt: Path, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not debloat.sensor._compilers(machine(arch)):
        pytest.skip("no compiler for it")
    data = binary(arch)
    assert data[:4] == b"\x7fELF"
    assert int.from_bytes(data[18:20], "little") == ELF_MACHINE[machine(arch)]
    (kept,) = (no_prebuilt / "cache" / "debloat").iterdir()
    assert kept.name == f"sensor-{machine(arch)}-{source_hash()}"
    monkeypatch.setattr(debloat.sensor, "_compilers", lambda name: pytest.fail("compiled twice"))
    assert binary(arch) == data


@pytest.mark.slow
def test_same_source_same_binary(tmp_path: Path) -> None:
    build(machine(platform.machine()), tmp_path / "one")
    build(machine(platform.machine()), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"one", "two"}, "nothing is left beside it"


@pytest.mark.parametrize("name", ["sensor.c", "kernel.h", "machine/x86_64.h", "verbs/serve.h"])
def test_every_source_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A binary that was kept is not used for other sources: whichever file changes, the hash does."""
    copy = tmp_path / "src"
    shutil.copytree(SOURCE.parent, copy)
    monkeypatch.setattr(debloat.sensor, "SOURCE", copy / SOURCE.name)
    before = source_hash()
    (copy / name).write_bytes((copy / name).read_bytes() + b"\n")
    assert source_hash() != before
    (copy / name).unlink()
    if name == SOURCE.name:
        with pytest.raises(SensorUnavailable, match="cannot read"):
            binary("amd64")
    else:
        assert source_hash() != before


PARTS = sorted(p.relative_to(SOURCE.parent).as_posix() for p in SOURCE.parent.rglob("*.h"))


@pytest.mark.parametrize("part", [p for p in PARTS if not p.startswith("machine/")])
def test_each_part_includes_what_it_needs(part: str) -> None:
    """So a part can be read, and checked by an editor, without the others."""
    command = [
        "cc",
        *FLAGS,
        "-Wall",
        "-Wextra",
        "-Wno-unused",
        "-fsyntax-only",
        "-include",
        str(SOURCE.parent / part),
        "-x",
        "c",
        "/dev/null",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_needs_nothing_at_run_time(sensor_binary: Path) -> None:
    if not shutil.which("readelf"):
        pytest.skip("no readelf")
    listing = subprocess.run(
        ["readelf", "-lW", sensor_binary], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert "INTERP" not in listing
    assert "DYNAMIC" not in listing
    assert "RWE" not in listing


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_prebuilt_is_used_while_it_fits(no_prebuilt: Path, arch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debloat.sensor, "_compilers", lambda name: [])
    place = no_prebuilt / "bin"
    place.mkdir()
    (place / f"sensor-{machine(arch)}").write_bytes(b"prebuilt")
    (place / f"sensor-{machine(arch)}.hash").write_text(source_hash() + "\n")
    assert binary(arch) == b"prebuilt"
    (place / f"sensor-{machine(arch)}.hash").write_text("another\n")
    with pytest.raises(SensorUnavailable, match="no C compiler found"):
        binary(arch)


def test_compiler_that_fails(no_prebuilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debloat.sensor, "_compilers", lambda name: [["false"]])
    with pytest.raises(SensorUnavailable, match="cannot build the sensor for x86_64: false: exit code 1"):
        binary("amd64")
    assert not list((no_prebuilt / "cache" / "debloat").iterdir())


@pytest.mark.slow
def test_read_only_home(no_prebuilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert binary(platform.machine())[:4] == b"\x7fELF"


WARNINGS = (
    *("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Wsign-conversion", "-Wcast-qual", "-Wundef"),
    *("-Wvla", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wswitch-enum", "-Wimplicit-fallthrough"),
)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["cc", "clang", "aarch64-linux-gnu-gcc"])
def test_no_warnings(compiler: str, tmp_path: Path) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    command = [compiler, *FLAGS, *WARNINGS, "-Werror", "-o", str(tmp_path / "sensor"), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_doctor(arch: str, tmp_path: Path) -> None:
    name = machine(arch)
    runner = [] if name == platform.machine() else [f"qemu-{name}-static"]
    if runner and not shutil.which(runner[0]):
        pytest.skip("no emulator for it")
    path = tmp_path / "sensor"
    path.write_bytes(binary(arch))
    path.chmod(0o755)
    done = subprocess.run([*runner, path, "doctor"], capture_output=True, text=True, timeout=60, check=True)
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert found["arch"] == name
    assert {"notify", "ptrace", "process_vm_readv", "proc_mem", "cap_sys_admin", "no_new_privs"} <= set(found)


HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "i386": "/usr/include/x86_64-linux-gnu/asm/unistd_32.h",
    "aarch64": "/usr/aarch64-linux-gnu/include/asm-generic/unistd.h",
    "arm": "/usr/arm-linux-gnueabihf/include/asm/unistd-eabi.h",
}
"""What the kernel itself says. Debian has them in linux-libc-dev, linux-libc-dev-arm64-cross and -armhf-cross."""
ALIASES = {"newfstatat": ("fstatat64", "fstatat"), "utimensat_time64": ("utimensat",)}
"""Names that another machine's headers give the same call."""
OF_X32 = {"x32_execve", "x32_execveat"}


@pytest.mark.parametrize("name", HEADERS)
def test_numbers_of_the_kernel_headers(name: str) -> None:
    header = Path(HEADERS[name])
    if not header.exists():
        pytest.skip("no headers of that machine")
    defined = re.findall(r"#define __NR(?:3264)?_(\w+)\s+\(?(?:__NR_SYSCALL_BASE\s*\+\s*)?(\d+)", header.read_text())
    known = {name: int(number) for name, number in reversed(defined)}
    numbers = re.findall(r"(?:SYS|COMPAT)_(\w+) = (\w+)", (SOURCE.parent / "machine" / f"{name}.h").read_text())
    recent = re.findall(r"SYS_(\w+) = (\w+)", (SOURCE.parent / "machine" / "recent.h").read_text())
    assert len(numbers) > 70
    newer = set()
    for call, number in numbers + recent:
        found = {known[n] for n in (call, *ALIASES.get(call, ())) if n in known}
        if call in OF_X32 or (number.isdigit() and int(number) > max(known.values())):
            newer.add(call)
        elif number == "ABSENT":
            assert not found, f"{call} is one of its calls"
        else:
            assert int(number) in found, call
    assert len(newer) < 12, "the headers are too old to say much"
