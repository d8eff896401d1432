"""A gate report as workflow commands of GitHub Actions, which it shows as annotations."""

from __future__ import annotations

from debloat.core.text import printable
from debloat.gate.findings import Finding, GateReport
from debloat.gate.rules import BY_ID, Severity

COMMANDS = {Severity.NOTE: "notice", Severity.WARNING: "warning", Severity.ERROR: "error"}


def render(report: GateReport) -> str:
    """One command for each finding, one a line. A finding of the baseline is a notice."""
    return "".join(f"{_command(f)}\n" for f in report.findings)


def _command(finding: Finding) -> str:
    command = "notice" if finding.known else COMMANDS[finding.severity]
    properties = {
        "file": finding.location.file,
        "line": str(finding.location.line),
        "title": f"debloat {finding.rule}: {BY_ID[finding.rule].title}",
    }
    parameters = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{command} {parameters}::{_data(finding.message)}"


def _data(text: str) -> str:
    """A command's message: what would end or forge a command is percent-encoded, as the runner decodes it."""
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
