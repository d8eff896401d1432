"""The tool as a child process, with what it used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import launch

DEBLOAT = Path(sys.executable).with_name("debloat")


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One run: seconds on the wall and on the processors, peak resident bytes, and the report it wrote."""

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


def run(arguments: Sequence[str], directory: Path | None = None, program: Path = DEBLOAT) -> ToolRun:
    """Run `debloat ARGUMENTS` quietly to its end, in a directory; `program` may be the command of another build."""
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as scratch:
        report = Path(scratch, "report.json")
        done = measured([str(program), *arguments, "--quiet", "--json", str(report)], directory)
        return replace(done, report=json.loads(report.read_text("utf-8"))) if report.exists() else done


def measured(argv: Sequence[str], directory: Path | None = None) -> ToolRun:
    """Run a command to its end, in a directory, with programs that lie beside it on PATH; it writes no report."""
    with tempfile.TemporaryDirectory(prefix="debloat-bench-") as scratch:
        errors, figures = Path(scratch, "errors"), Path(scratch, "figures.json")
        env = {**os.environ, "PATH": f"{Path(argv[0]).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        with errors.open("wb") as err:
            launched = [sys.executable, "-I", "-S", launch.__file__, str(figures), *argv]
            subprocess.run(launched, cwd=directory, env=env, stdout=subprocess.DEVNULL, stderr=err, check=True)
        said = errors.read_text("utf-8", "replace")
        return ToolRun(**json.loads(figures.read_text("utf-8")), report={}, errors=said)
