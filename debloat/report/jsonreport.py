"""The report as JSON, for machines; the format is described in docs/report.md and `debloat/schemas/report.json`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from debloat.core.probes import ProbeResult
from debloat.core.values import as_dict
from debloat.result import Report
from debloat.verify import Comparison

FORMAT = "debloat-report"
VERSION = 1


def document(report: Report) -> dict[str, Any]:
    """The report as dictionaries and lists, for JSON, with the format's name and version."""
    raw = as_dict(report)
    answers = [
        {
            "scenario": a.scenario,
            "probe": a.before.name,
            "before": _result(a.before),
            "after": _result(a.after),
            "difference": a.difference,
            "note": a.note,
        }
        for a in report.answers
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        **raw,
        "passed": report.passed,
        "seccomp": _profile(report),
        "canary": _canary(report),
        "answers": answers,
        "healed": [{"path": w.path, "source": w.source, "detail": w.detail} for w in report.healed],
        "stages": [{"name": s.name, "seconds": round(s.seconds, 3)} for s in report.stages],
    }


def _profile(report: Report) -> dict[str, Any] | None:
    made = report.seccomp
    if made is None:
        return None
    allowed, differences = list(made.profile.allowed), _differences(made.answers)
    return {"allowed": allowed, "default": made.profile.default, "differences": differences}


def _canary(report: Report) -> dict[str, Any] | None:
    made = report.canary
    if made is None:
        return None
    return {"tag": made.tag, "watched": made.watched, "differences": _differences(made.differing)}


def _differences(answers: Iterable[Comparison]) -> dict[str, str]:
    return {a.before.name: a.difference for a in answers if a.difference}


def _result(result: ProbeResult) -> dict[str, Any]:
    return {"ok": result.ok, "outcome": result.outcome(), "detail": result.detail}


def render(report: Report) -> str:
    """The report as JSON text; bytes of names that are not UTF-8 are escapes of lone surrogates."""
    return json.dumps(document(report), indent=2)
