"""A gate report as SARIF 2.1.0 (OASIS), for code scanning: stable rule ids, fingerprints, lines of the Dockerfile."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from debloat.core.text import name, printable
from debloat.gate.findings import Finding, GateReport
from debloat.gate.rules import GateRule

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "debloatFinding/v1"


def document(report: GateReport) -> dict[str, Any]:
    """The report as a SARIF log of one run."""
    ids = [rule.id for rule in report.rules]
    ids += sorted({f.rule for f in report.findings} - set(ids))
    driver = {
        "name": "debloat",
        "version": report.tool.partition(" ")[2],
        "rules": [_rule(rule) for rule in _rules(ids)],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"debloat/{name(report.reference)}/"},
        "columnKind": "utf16CodeUnits",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The directory that debloat was run in."}}},
        "results": [_result(f, ids) for f in report.findings],
        "properties": {"image": name(report.reference), "imageId": report.image_id, "passed": report.passed},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rules(ids: list[str]) -> list[GateRule]:
    from debloat.gate.rules import BY_ID

    return [BY_ID[i] for i in ids]


def _rule(rule: GateRule) -> dict[str, Any]:
    words = rule.id.split("-")
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in words),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{rule.title}."},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": str(rule.severity)},
        "properties": {"tags": [words[0]]},
    }


def _result(finding: Finding, ids: list[str]) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(name(finding.location.file)), "uriBaseId": "SRCROOT"},
            "region": {"startLine": finding.location.line},
        }
    }
    if finding.path:
        location["logicalLocations"] = [{"fullyQualifiedName": name(finding.path), "kind": "resource"}]
    texts = {"package": finding.package, "reason": finding.reason}
    return {
        "ruleId": finding.rule,
        "ruleIndex": ids.index(finding.rule),
        "level": str(finding.severity),
        "message": {"text": printable(finding.message)},
        "locations": [location],
        "partialFingerprints": {FINGERPRINT: finding.fingerprint},
        "baselineState": "unchanged" if finding.known else "new",
        "properties": {key: name(value) for key, value in texts.items() if value},
    }


def render(report: GateReport) -> str:
    """The report as SARIF (JSON) text."""
    return json.dumps(document(report), indent=2) + "\n"
