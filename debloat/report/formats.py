"""The formats that a gate report can be written in, each imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from debloat.core.errors import UsageError
from debloat.gate.findings import GateReport

MODULES = {
    "terminal": "debloat.report.gateterminal",
    "json": "debloat.report.gatejson",
    "sarif": "debloat.report.sarif",
    "junit": "debloat.report.junit",
    "gitlab": "debloat.report.gitlab",
    "github": "debloat.report.github",
    "markdown": "debloat.report.markdown",
}


def renderer(name: str) -> Callable[[GateReport], str]:
    """The renderer of a format: a report in, the whole document out, with its last line end."""
    if name not in MODULES:
        raise UsageError(f"{name!r} is no format", f"choose {', '.join(MODULES)}")
    render: Callable[[GateReport], str] = importlib.import_module(MODULES[name]).render
    return render
