"""Where the sensor's binary comes from."""

from __future__ import annotations

import platform
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


@pytest.mark.parametrize(("name", "expected"), [("amd64", "x86_64"), ("aarch64", "aarch64"), ("ARM64", "aarch64")])
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
