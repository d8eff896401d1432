"""VEX: what is stated follows from two images and a report, and nothing else; others' reports are read with care."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cyclonedx")

from debloat.attest import scans, vex
from debloat.attest.scans import Finding
from debloat.core.errors import UsageError
from debloat.inventory.read import read
from tests.attest.test_bill import image
from tests.inventory.test_inventory import IMAGE, OWNED, SITE
from tests.support.dpkgdb import debian_world
from tests.support.trees import Table

LIBRARY = {"/usr/lib/libtool.so.1": "code", "/usr/lib/libtool-extra.so.1": "more"}


def contents(table: Table, owned: Mapping[str, list[str]]) -> vex.Contents:
    world = debian_world({"/etc/os-release": 'ID=debian\nVERSION_ID="12"\n', **table}, owned)
    return vex.Contents(world.rootfs, read(world.rootfs, world.packages, files=False))


ORIGINAL = contents({**IMAGE, **LIBRARY, "/app/x.jar": "PK"}, {**OWNED, "libtool1": list(LIBRARY)})
MINIMAL = contents(
    {"/usr/bin/tool": ("0755", "tool"), "/usr/lib/libtool.so.1": "code", f"{SITE}/some_thing/__init__.py": ""},
    {"tool": ["/usr/bin/tool"], "libtool1": ["/usr/lib/libtool.so.1"]},
)


def deb(identifier: str, package: str, version: str = "1.0-1") -> dict[str, Any]:
    return {"VulnerabilityID": identifier, "PkgName": package, "InstalledVersion": version}


def trivy(*rows: dict[str, Any], kind: str = "debian") -> bytes:
    return json.dumps({"SchemaVersion": 2, "Results": [{"Type": kind, "Vulnerabilities": list(rows)}]}).encode()


def grype(identifier: str, kind: str, package: str, version: str, path: str) -> bytes:
    artifact = {"name": package, "version": version, "type": kind, "locations": [{"path": path}]}
    return json.dumps({"matches": [{"vulnerability": {"id": identifier}, "artifact": artifact}]}).encode()


def examined(report: bytes, **code: list[str]) -> dict[str, str]:
    """What is said of each vulnerability."""
    found = vex.examine(scans.findings(report, "x"), ORIGINAL, MINIMAL, code)
    said = {s.vulnerability: s.justification for s in found.statements}
    said |= {f.vulnerability: "remains" for f in found.remaining}
    return said | {f.vulnerability: "unknown" for f in found.unknown}


def test_of_debian_packages() -> None:
    report = trivy(deb("CVE-1", "old"), deb("CVE-2", "tool"), deb("CVE-3", "tool", "9"), deb("CVE-4", "nothing"))
    assert examined(report) == {
        "CVE-1": "component_not_present",
        "CVE-2": "remains",
        "CVE-3": "unknown",
        "CVE-4": "unknown",
    }


def test_of_the_file_that_holds_the_code() -> None:
    report = trivy(deb("CVE-1", "libtool1"))
    gone, there = "/usr/lib/libtool-extra.so.1", "/usr/lib/libtool.so.1"
    assert examined(report) == {"CVE-1": "remains"}
    assert examined(report, **{"CVE-1": [gone]}) == {"CVE-1": "vulnerable_code_not_present"}
    assert examined(report, **{"CVE-1": [gone, there]}) == {"CVE-1": "remains"}
    assert examined(report, **{"CVE-1": ["/usr/lib/never.so"]}) == {"CVE-1": "remains"}
    assert examined(report, **{"CVE-2": [gone]}) == {"CVE-1": "remains"}


def test_of_a_language_s_packages() -> None:
    place = f"{SITE}/Some_Thing-1.0.dist-info/METADATA"
    left = grype("CVE-1", "python", "some-thing", "1.0", place)
    assert examined(left) == {"CVE-1": "remains"}, "its metadata is gone, its code is not"
    assert examined(grype("CVE-2", "npm", "shop", "2.0.0", "/srv/package.json")) == {"CVE-2": "component_not_present"}
    jar = trivy({**deb("CVE-3", "org:x"), "PkgPath": "app/x.jar"}, kind="jar")
    assert examined(jar) == {"CVE-3": "component_not_present"}


def test_one_of_two_places_is_not_enough() -> None:
    rows = [{**deb("CVE-3", "org:x"), "PkgPath": path} for path in ("app/x.jar", "usr/bin/tool")]
    assert examined(trivy(*rows, kind="jar")) == {"CVE-3": "remains"}


@pytest.mark.parametrize("render", [vex.openvex, vex.cyclonedx])
def test_the_documents(render: Any) -> None:
    report = trivy(deb("CVE-1", "old"), deb("CVE-2", "libtool1"), deb("CVE-9", "tool"))
    found = vex.examine(scans.findings(report, "x"), ORIGINAL, MINIMAL, {"CVE-2": ["/usr/lib/libtool-extra.so.1"]})
    text = render(image(), found)
    assert text == render(image(), found)
    assert "CVE-9" not in text
    document = json.loads(text)
    if render is vex.openvex:
        assert document["@context"] == "https://openvex.dev/ns/v0.2.0"
        assert [s["justification"] for s in document["statements"]] == [vex.ABSENT, vex.CODE_ABSENT]
        assert {s["status"] for s in document["statements"]} == {"not_affected"}
        assert document["statements"][0]["products"][0]["subcomponents"] == [{"@id": "pkg:deb/debian/old@1.0-1"}]
    else:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
        assert {v["analysis"]["state"] for v in document["vulnerabilities"]} == {"not_affected"}


TRACKER = {
    "tool": {
        "CVE-1": {"releases": {"bookworm": {"status": "open"}}},
        "CVE-2": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "1.0-1"}}},
        "CVE-3": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "1.0-1+deb12u1"}}},
        "CVE-4": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "0"}}},
        "CVE-5": {"releases": {"trixie": {"status": "open"}}},
        "CVE-6": {"releases": {"bookworm": {"status": "undetermined"}}},
    },
    "old": {"CVE-7": {"releases": {"bookworm": {"status": "open"}}}},
}


def test_by_debian_s_security_tracker() -> None:
    data = json.dumps(TRACKER).encode()
    assert vex.vulnerabilities(data, "x", ORIGINAL, MINIMAL) == (["CVE-1", "CVE-3", "CVE-7"], ["CVE-1", "CVE-3"])


def test_by_a_report() -> None:
    report = trivy(deb("CVE-1", "old"), deb("CVE-2", "tool"), deb("CVE-4", "nothing"))
    assert vex.vulnerabilities(report, "x", ORIGINAL, MINIMAL) == (["CVE-1", "CVE-2"], ["CVE-2"])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"matches": 1}', b"null"])
def test_what_is_no_report_is_one_sentence(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"\Acannot read r\.json: [^\n]*\Z"):
        scans.findings(data, "r.json")
    with pytest.raises(UsageError, match=r"\Acannot read r\.json: [^\n]*\Z"):
        scans.tracked(data, "r.json", ORIGINAL.inventory)


words = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
names = st.sampled_from(
    [
        *("Results", "SchemaVersion", "Type", "Vulnerabilities", "VulnerabilityID", "PkgName", "InstalledVersion"),
        *("matches", "vulnerability", "id", "artifact", "name", "version", "type", "locations", "path", "PkgPath"),
        *("tool", "CVE-1", "releases", "bookworm", "status", "fixed_version", "PkgIdentifier", "PURL", "Target"),
    ]
)
trees = st.recursive(words, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4))


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(names, trees, max_size=4) | trees)
def test_any_json_is_read_or_refused(value: object) -> None:
    data = json.dumps(value).encode()
    readers: tuple[Callable[[], tuple[Finding, ...]], ...] = (
        lambda: scans.findings(data, "x"),
        lambda: scans.tracked(data, "x", ORIGINAL.inventory),
    )
    for reader in readers:
        try:
            found = reader()
        except UsageError as error:
            refused = error.message
        else:
            refused = ""
            assert all(isinstance(f, Finding) and f.vulnerability and f.name and f.version for f in found)
            vex.examine(found, ORIGINAL, MINIMAL, {})
        assert "\n" not in refused
