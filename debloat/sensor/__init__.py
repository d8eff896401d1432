"""The sensor's binary for a machine: prebuilt from the package, else compiled from `src` and kept in a cache.

The wire formats and the command line of the binary are in docs/sensor.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from debloat.core.errors import SensorUnavailable
from debloat.core.platform import PLATFORMS

__all__ = ["FLAGS", "MACHINES", "SensorUnavailable", "binary", "build", "machine", "source_hash"]

SOURCE = Path(__file__).parent / "src" / "sensor.c"
"""The file that is compiled; it includes all others below its folder."""
PREBUILT = Path(__file__).with_name("bin")

MACHINES = {
    name: known.machine
    for known in PLATFORMS
    if known.debian in ("amd64", "arm64")
    for name in (known.oci, known.debian, known.machine)
}
"""Machine by the names that engines, `uname` and OCI platforms give it."""

FLAGS = (
    *("-std=c11", "-O2"),
    *("-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector", "-fno-pic", "-fno-asynchronous-unwind-tables"),
    *("-Wl,--build-id=none", "-Wl,-z,noexecstack", "-s"),
)
TIMEOUT = 120
"""Seconds that a compiler may take; `zig cc` builds its own runtime the first time."""


def machine(arch: str) -> str:
    """`x86_64` or `aarch64` for any of their names; SensorUnavailable for another machine."""
    try:
        return MACHINES[arch.strip().lower().partition("/")[0]]
    except KeyError:
        raise SensorUnavailable(
            f"no sensor for the machine {arch!r}: it knows amd64 and arm64",
            "run debloat against an engine on one of these machines",
        ) from None


def source_hash() -> str:
    """What a binary was made of: source files and flags; 16 hexadecimal digits. OSError: they cannot be read."""
    digest = hashlib.sha256("\0".join(FLAGS).encode())
    for path in (SOURCE, *sorted(SOURCE.parent.rglob("*.h"))):
        data = path.read_bytes()
        digest.update(f"\0{path.relative_to(SOURCE.parent).as_posix()}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]


def binary(arch: str) -> bytes:
    """The sensor for `arch` as an ELF file.

    SensorUnavailable: an unknown machine, or neither a prebuilt binary nor a compiler that makes one.
    """
    name = machine(arch)
    try:
        digest = source_hash()
    except OSError as error:
        raise SensorUnavailable(f"cannot read {SOURCE}: {error.strerror}", "install debloat anew") from error
    for path in (PREBUILT / f"sensor-{name}", _cached(name, digest)):
        with contextlib.suppress(OSError):
            if path.parent != PREBUILT or path.with_suffix(".hash").read_text().strip() == digest:
                return path.read_bytes()
    path = _cached(name, digest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        build(name, path)
        return path.read_bytes()
    except OSError:
        # No cache that can be written: compile for this run only.
        with tempfile.TemporaryDirectory(prefix="debloat-sensor-") as directory:
            build(name, Path(directory) / "sensor")
            return (Path(directory) / "sensor").read_bytes()


def build(name: str, to: Path, *defines: str) -> None:
    """Compile the sensor for machine `name` into the file `to`, which appears whole or not at all.

    `defines`: what the source says can be left out, such as `-DWITHOUT_OBSERVING=true`.

    SensorUnavailable: no compiler, or none that succeeds. OSError: `to` cannot be written.
    """
    failures = []
    descriptor, scratch = tempfile.mkstemp(prefix=f".{to.name}-", dir=to.parent)
    os.close(descriptor)
    try:
        for compiler in _compilers(name):
            command = [*compiler, *FLAGS, *defines, "-o", scratch, os.fspath(SOURCE)]
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
            except (OSError, subprocess.TimeoutExpired) as error:
                failures.append(f"{compiler[0]}: {error}")
                continue
            if done.returncode == 0:
                Path(scratch).chmod(0o755)
                Path(scratch).replace(to)
                return
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            failures.append(f"{compiler[0]}: {lines[-1]}")
    finally:
        Path(scratch).unlink(missing_ok=True)
    if failures:
        raise SensorUnavailable(
            f"cannot build the sensor for {name}: {'; '.join(failures)}",
            "install a wheel of debloat, which carries it, or a C compiler for that machine",
        )
    package = "gcc-aarch64-linux-gnu" if name == "aarch64" else "gcc-x86-64-linux-gnu"
    package = "gcc" if name == machine_of_host() else package
    raise SensorUnavailable(
        f"cannot build the sensor for {name}: no C compiler found",
        f"install a wheel of debloat, which carries it, or {package}, clang or the Python package ziglang",
    )


def machine_of_host() -> str:
    """The machine that the plain compilers make code for; empty when the sensor does not know it."""
    return MACHINES.get(platform.machine().lower(), "")


def _cached(name: str, digest: str) -> Path:
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path(os.path.expanduser("~/.cache"))
    return base / "debloat" / f"sensor-{name}-{digest}"


def _compilers(name: str) -> list[list[str]]:
    """Command lines to try, best first; each is installed here."""
    found = []
    native = sys.platform.startswith("linux") and name == machine_of_host()
    for plain in ("cc", "gcc") if native else ():
        found.append([plain])
    found.append([f"{name}-linux-gnu-gcc"])
    if native:
        found.append(["clang"])
    found.append(["zig", "cc", "-target", f"{name}-linux-musl"])
    commands = [command for command in found if shutil.which(command[0])]
    if _has_ziglang():
        commands.append([sys.executable, "-m", "ziglang", "cc", "-target", f"{name}-linux-musl"])
    return commands


def _has_ziglang() -> bool:
    import importlib.util

    return importlib.util.find_spec("ziglang") is not None
