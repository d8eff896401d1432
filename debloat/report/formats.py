"""The formats of gate reports. The module of each is imported on use."""

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
    """The function that renders a report in a format, as a whole document with its last line end.

    UsageError for an unknown format.
    """
    if name not in MODULES:
        raise UsageError(f"{name!r} is not a format", f"choose {', '.join(MODULES)}")
    render: Callable[[GateReport], str] = importlib.import_module(MODULES[name]).render
    return render
