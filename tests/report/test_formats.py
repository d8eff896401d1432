"""Every format of a gate report, held against its published schema; none can be broken by a name in an image."""

from __future__ import annotations

import html.parser
import io
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.gate.findings import Finding, GateReport, Location
from debloat.gate.rules import BY_ID, RULES, Rules, Severity
from debloat.report.formats import MODULES, renderer
from tests.support import schemas
from tests.support.gates import item, judged, lock

EVIL = "/srv/\x1b[2J`|<script>alert(1)</script>::error::\r\n##[x](y)%0A\udcff&\u202e@all"
APP = item("/usr/bin/app", mode=0o755)


def reports() -> dict[str, GateReport]:
    base = lock(APP, item("/usr/lib/libfoo.so.1", package="libfoo1", reason="elf.needed /usr/bin/app"))
    bad = lock(APP, item(EVIL, mode=0o4666), item("/usr/bin/sh", mode=0o755, package="dash"), user="", bytes=10**8)
    failing = judged(base, bad, Rules(max_size=1, require=("/etc/ssl/**",), switches=frozenset({"no_shell"})))
    located = tuple(replace(f, location=Location("a dir/Dockerfile", 3)) for f in failing.findings)
    probe = Finding("probe", Severity.ERROR, "http GET /: status 200 before, no answer now", "probe:http GET /")
    return {
        "passing": judged(base, base),
        "empty": judged(None, base, Rules()),
        "failing": replace(failing, findings=(*located, probe), checked=(*failing.checked, "probe")),
        "known": replace(failing, findings=tuple(replace(f, known=True) for f in failing.findings)),
    }


REPORTS = reports()
everywhere = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())


@everywhere
def test_json(report: GateReport) -> None:
    document = json.loads(renderer("json")(report))
    jsonschema.Draft202012Validator(schemas.ours("gate.json")).validate(document)
    assert document["passed"] is report.passed
    assert len(document["findings"]) == len(report.findings)


@everywhere
def test_sarif(report: GateReport) -> None:
    document = json.loads(renderer("sarif")(report))
    jsonschema.Draft7Validator(schemas.store("https://json.schemastore.org/sarif-2.1.0.json")).validate(document)
    (run,) = document["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result, finding in zip(run["results"], report.findings, strict=True):
        assert rules[result["ruleIndex"]] == result["ruleId"] == finding.rule
        assert result["partialFingerprints"] == {"debloatFinding/v1": finding.fingerprint}
        assert result["baselineState"] == ("unchanged" if finding.known else "new")
        (place,) = result["locations"]
        assert re.fullmatch(r"[\w./%-]+", place["physicalLocation"]["artifactLocation"]["uri"])


@everywhere
def test_junit(report: GateReport) -> None:
    xmlschema = pytest.importorskip("xmlschema")
    text = renderer("junit")(report)
    xmlschema.XMLSchema(str(schemas.HERE / "jenkins-junit.xsd")).validate(io.StringIO(text))
    root = ElementTree.fromstring(text.encode())
    cases = root.findall("testsuite/testcase")
    assert len(cases) == int(root.attrib["tests"])
    assert {c.attrib["name"] for c in cases if c.find("failure") is not None} == {f.rule for f in report.failing}
    assert len({c.attrib["name"] for c in cases}) == len(cases)


@everywhere
def test_gitlab(report: GateReport) -> None:
    document = json.loads(renderer("gitlab")(report))
    jsonschema.Draft202012Validator(schemas.local("gitlab-code-quality.json")).validate(document)
    prints = [row["fingerprint"] for row in document]
    assert sorted(prints) == sorted({f.fingerprint for f in report.findings})


COMMAND = re.compile(r"::(error|warning|notice) file=([^,:]*),line=(\d+),title=([^,:]*)::([^\r\n]*)")
"""A workflow command with properties, as the documentation of GitHub Actions has it."""


@everywhere
def test_github(report: GateReport) -> None:
    lines = renderer("github")(report).splitlines()
    assert len(lines) == len(report.findings)
    for line, finding in zip(lines, report.findings, strict=True):
        match = COMMAND.fullmatch(line)
        assert match is not None
        assert match[1] != "error" or (finding.severity is Severity.ERROR and not finding.known)
        assert re.sub(r"%(25|0A|0D|3A|2C)", "", line).count("%") == 0


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)


@everywhere
def test_markdown(report: GateReport) -> None:
    text = renderer("markdown")(report)
    reader = _Tags()
    reader.feed(text)
    assert reader.tags <= {"code", "details", "summary", "pre", "br"}
    tables = [line for line in text.split("\n") if line.startswith("|")]
    assert {line.count("|") for line in tables} <= {3, 4, 5}
    assert "| size |" in text
    assert ("fails" in text.split("\n")[1]) is not report.passed


@everywhere
def test_terminal(report: GateReport) -> None:
    lines = renderer("terminal")(report).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len([line for line in lines if line.startswith(("error", "warning", "note"))]) == len(report.findings)


@everywhere
@pytest.mark.parametrize("name", MODULES)
def test_the_same_report_the_same_text(report: GateReport, name: str) -> None:
    text = renderer(name)(report)
    assert text == renderer(name)(report)
    assert text == "" or text.endswith("\n")
    text.encode("utf-8")


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text(), st.sampled_from(sorted(BY_ID)), st.sampled_from([Severity.NOTE, Severity.ERROR]))
def test_no_text_breaks_a_format(message: str, path: str, rule: str, severity: Severity) -> None:
    finding = Finding(rule, severity, message, path, path, message, location=Location(f"x{path}", 2))
    report = replace(REPORTS["passing"], findings=(finding,), checked=(rule,), reference=message or "x")
    for name in ("json", "sarif", "gitlab"):
        json.loads(renderer(name)(report))
    ElementTree.fromstring(renderer("junit")(report).encode())
    assert len(renderer("github")(report).splitlines()) == 1
    reader = _Tags()
    reader.feed(renderer("markdown")(report))
    assert reader.tags <= {"code", "details", "summary", "pre", "br"}


def test_rule_ids_are_for_ever() -> None:
    assert [rule.id for rule in RULES] == [
        *("budget-max-size", "budget-max-files", "budget-max-packages", "budget-max-growth"),
        *("policy-forbid", "policy-require", "policy-no-shell", "policy-no-setuid", "policy-no-package-manager"),
        *("policy-no-world-writable", "policy-non-root"),
        *("drift-missing", "drift-setuid", "drift-shell", "drift-package-manager", "drift-world-writable"),
        *("drift-port", "drift-user", "drift-package", "drift-recipe", "drift-file", "drift-content"),
        *("drift-version", "drift-size", "probe"),
    ]


def test_an_unknown_format_names_the_known() -> None:
    with pytest.raises(UsageError) as caught:
        renderer("xml")
    assert "junit" in caught.value.hint


def test_formats_are_imported_when_they_are_asked_for() -> None:
    late = ("docker", "rich", "debloat.report", "debloat.attest", "cyclonedx", "spdx_tools")
    code = f"import sys, debloat.cli.main\nprint([m for m in sys.modules if m.startswith({late})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
