"""The tool as a child process, with what it used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEBLOAT = Path(sys.executable).with_name("debloat")


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One run: seconds on the wall and on the processors, peak resident bytes, and the report it wrote.

    The peak cannot be told below that of the process that measures, which loads less than the tool does.
    """

    code: int
    wall: float
    cpu: float
    rss: int
    report: dict[str, Any]
    errors: str

    @property
    def stages(self) -> dict[str, float]:
        """Seconds by stage; a stage that ran in several rounds counts whole."""
        found: dict[str, float] = {}
        for stage in self.report.get("stages", ()):
            found[stage["name"]] = found.get(stage["name"], 0.0) + stage["seconds"]
        return found


def run(arguments: Sequence[str], directory: Path | None = None) -> ToolRun:
    """Run `debloat ARGUMENTS` quietly to its end, in a directory."""
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as scratch:
        report, errors = Path(scratch, "report.json"), Path(scratch, "errors")
        argv = [str(DEBLOAT), *arguments, "--quiet", "--json", str(report)]
        env = {**os.environ, "PATH": f"{DEBLOAT.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        with errors.open("wb") as err:
            begun = time.perf_counter()
            child = subprocess.Popen(argv, cwd=directory, env=env, stdout=subprocess.DEVNULL, stderr=err)
            _, status, used = os.wait4(child.pid, 0)
            wall = time.perf_counter() - begun
        code = child.returncode = os.waitstatus_to_exitcode(status)
        said = errors.read_text("utf-8", "replace")
        found = json.loads(report.read_text("utf-8")) if report.exists() else {}
        return ToolRun(code, wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024, found, said)
