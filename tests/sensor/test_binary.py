"""Where the sensor's binary comes from."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import debloat.sensor
from debloat.sensor import FLAGS, SensorUnavailable, binary, build, machine, source_hash

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


def test_same_source_same_binary(tmp_path: Path) -> None:
    build(machine(platform.machine()), tmp_path / "one")
    build(machine(platform.machine()), tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"one", "two"}, "nothing is left beside it"


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


def test_read_only_home(no_prebuilt: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert binary(platform.machine())[:4] == b"\x7fELF"


@pytest.mark.parametrize("compiler", ["cc", "clang", "aarch64-linux-gnu-gcc"])
def test_no_warnings(compiler: str, tmp_path: Path) -> None:
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    command = [compiler, *FLAGS, "-Wpedantic", "-Werror", "-o", tmp_path / "sensor", debloat.sensor.SOURCE]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


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
    0: Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    1: Path("/usr/include/x86_64-linux-gnu/asm/unistd_32.h"),
    2: Path("/usr/aarch64-linux-gnu/include/asm-generic/unistd.h"),
}
"""Of x86_64, i386, aarch64: the columns of the sensor's table."""
ALIASES = {"fstatat64": "newfstatat", "newfstatat": "fstatat64", "utimensat_time64": "utimensat"}


def numbers(path: Path) -> dict[str, int]:
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", path.read_text())
    return {name: int(number) for name, number in reversed(found)}


@pytest.mark.parametrize("column", HEADERS)
def test_numbers_of_the_kernel_headers(column: int) -> None:
    """The table, and the calls that the sensor makes itself, against what the kernel's headers say."""
    if not HEADERS[column].exists():
        pytest.skip("no headers of that machine")
    known = numbers(HEADERS[column])
    source = debloat.sensor.SOURCE.read_text()
    checked = 0
    rows = re.findall(r"^    \{\{(.+?)\}, OP_.*?\},\s+/\* (\w+)(.*?)\*/", source, re.M)
    for cells, name, rest in rows:
        cell = cells.split(", ")[column]
        if cell == "NO" or "x32" in rest or (name == "utimensat_time64" and name not in known):
            continue
        aliases = [name, *re.findall(r"\w+", rest), ALIASES.get(name, name)]
        fitting = [known[n] for n in aliases if n in known]
        if fitting:  # headers may be older than the newest calls
            assert int(cell) in fitting, name
            checked += 1
    assert checked > 40
    if column != 1:
        part = source.split("#if defined(__x86_64__)")[1].split("#elif defined(__aarch64__)")[column // 2]
        own = dict(re.findall(r"SYS_(\w+) = (\d+)", part.split("static long syscall6")[0]))
        assert len(own) > 40
        assert {n: known[n] for n in own} == {n: int(v) for n, v in own.items()}
