"""A gate report as JSON, for machines and as a baseline; described in docs/gate.md and `debloat/schemas/gate.json`."""

from __future__ import annotations

import json
from typing import Any

from debloat.core.text import name
from debloat.core.values import as_dict
from debloat.gate.findings import Finding, GateReport
from debloat.lock.compare import document as diff_document

FORMAT = "debloat-gate"
VERSION = 1


def document(report: GateReport) -> dict[str, Any]:
    """The report as dictionaries and lists, for JSON, with the format's name and version."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "tool": report.tool,
        "image": name(report.reference),
        "image_id": report.image_id,
        "lock": name(report.lock),
        "looked_at": "image" if report.minimal else "cut",
        "passed": report.passed,
        "fail_on": str(report.fail_on),
        "figures": {
            key: as_dict(value) if value else None
            for key, value in (("lock", report.before), ("now", report.after), ("original", report.original))
        },
        "rules": [{"id": r.id, "title": r.title, "findings": len(report.of(r.id))} for r in report.rules],
        "findings": [_finding(f) for f in report.findings],
        "moves": [as_dict(m) for m in report.moves],
        "diff": diff_document(report.diff),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "severity": str(finding.severity),
        "message": finding.message,
        "path": finding.path,
        "package": finding.package,
        "reason": finding.reason,
        "known": finding.known,
        "fingerprint": finding.fingerprint,
        "location": {"file": finding.location.file, "line": finding.location.line},
    }


def render(report: GateReport) -> str:
    """The report as JSON text; bytes of names that are not UTF-8 are escapes of lone surrogates."""
    return json.dumps(document(report), indent=2) + "\n"
