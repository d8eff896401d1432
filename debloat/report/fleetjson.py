"""What came of a fleet as JSON, for machines; docs/fleet.md and `debloat/schemas/fleet.json` describe the format."""

from __future__ import annotations

import json
from typing import Any

from debloat.core.values import as_dict
from debloat.fleet.model import FleetReport, Status

FORMAT = "debloat-fleet"
VERSION = 1


def document(report: FleetReport) -> dict[str, Any]:
    """The report as dictionaries and lists, for JSON, with the format's name and version."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "tool": report.tool,
        "verb": str(report.verb),
        "fleet": report.fleet,
        "executor": report.executor,
        "passed": report.passed,
        "exit_code": report.exit_code,
        "seconds": report.seconds,
        "counts": {str(status): report.count(status) for status in Status},
        "bytes_before": report.bytes_before,
        "bytes_after": report.bytes_after,
        "workers": [as_dict(worker) for worker in report.workers],
        "items": [as_dict(outcome) for outcome in report.outcomes],
        "sharing": as_dict(report.sharing) if report.sharing is not None else None,
    }


def render(report: FleetReport) -> str:
    """The report as JSON text."""
    return json.dumps(document(report), indent=2)
