"""A gate report as JUnit XML: one test case for each rule that was checked, failed by the findings that count."""

from __future__ import annotations

from xml.etree import ElementTree

from debloat.core.text import name, printable
from debloat.gate.findings import Finding, GateReport


def render(report: GateReport) -> str:
    """The report as a JUnit XML document."""
    rules = [rule.id for rule in report.rules]
    rules += sorted({f.rule for f in report.findings} - set(rules))
    failing = {f.rule for f in report.failing}
    counts = {"tests": str(len(rules)), "failures": str(len(failing)), "errors": "0"}
    root = ElementTree.Element("testsuites", {"name": "debloat check", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": f"debloat {name(report.reference)}", **counts})
    for rule in rules:
        case = ElementTree.SubElement(
            suite, "testcase", {"name": rule, "classname": f"debloat.{rule.partition('-')[0]}"}
        )
        rule_findings = report.of(rule)
        failing_findings = [f for f in report.failing if f.rule == rule]
        if failing_findings:
            text = (
                failing_findings[0].message
                if len(failing_findings) == 1
                else f"{len(failing_findings)} findings: {failing_findings[0].message}"
            )
            failure = ElementTree.SubElement(case, "failure", {"message": printable(text), "type": rule})
            failure.text = _lines(failing_findings)
        other_findings = [f for f in rule_findings if f not in failing_findings]
        if other_findings:
            ElementTree.SubElement(case, "system-out").text = _lines(other_findings)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _lines(findings: list[Finding]) -> str:
    return "\n".join(f"{f.severity}{' (known)' if f.known else ''}: {printable(f.message)}" for f in findings)
