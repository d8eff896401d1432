"""A gate report as a GitLab code quality report: the subset of the Code Climate format that GitLab reads."""

from __future__ import annotations

import json
from typing import Any

from debloat.core.text import name, printable
from debloat.gate.findings import GateReport
from debloat.gate.rules import Severity

SEVERITIES = {Severity.NOTE: "info", Severity.WARNING: "minor", Severity.ERROR: "major"}


def document(report: GateReport) -> list[dict[str, Any]]:
    """The findings as issues of a code quality report. Of findings with one fingerprint the first stands for all."""
    issues = {
        f.fingerprint: {
            "description": printable(f.message),
            "check_name": f"debloat-{f.rule}",
            "fingerprint": f.fingerprint,
            "severity": SEVERITIES[f.severity],
            "location": {"path": name(f.location.file), "lines": {"begin": f.location.line}},
        }
        for f in reversed(report.findings)
    }
    return list(reversed(issues.values()))


def render(report: GateReport) -> str:
    """The report as JSON text."""
    return json.dumps(document(report), indent=2) + "\n"
