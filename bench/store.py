"""Where results lie: whole ones in `bench/results`, committed; unfinished ones in `build/bench`, to go on from."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
UNFINISHED = ROOT / "build" / "bench"
IMAGES = ROOT / "docs" / "img"

VERSION = 1
"""Version of the result files: an object with `subject`, `version`, `machine` and what the subject says."""


def write(path: Path, value: Any) -> None:
    """Write JSON so that the file is whole or the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", "utf-8")
    draft.replace(path)


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote; nothing where there is no such file."""
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    return found


def result(subject: str, **figures: Any) -> dict[str, Any]:
    """A result of a subject, with the machine it was measured on."""
    return {"subject": subject, "version": VERSION, "machine": machine(), **figures}


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpus": os.cpu_count() or 0,
        "cpu": _cpu(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "engine": _engine(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "load": round(os.getloadavg()[0], 1),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _engine() -> str:
    argv = ["docker", "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


def code_hash(directories: Iterable[Path]) -> str:
    """What some directories hold, as 12 hexadecimal digits: a result is worth keeping while this stays the same."""
    digest = hashlib.sha256()
    for directory in directories:
        for path in sorted(p for p in directory.rglob("*") if p.suffix in (".py", ".c", ".toml") and p.is_file()):
            digest.update(str(path.relative_to(directory)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
