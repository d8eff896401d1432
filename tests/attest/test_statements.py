"""Statements: what `--attest` writes is what in-toto's own library accepts, true of the run, and the same twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from debloat import sensor
from debloat.attest.statements import MEDIA_TYPE, PROVENANCE, STATEMENT, TEST_RESULT, Subject, statement
from tests.support.cli import CommandLine, shop, shows_what_is_gone

pytest.importorskip("cyclonedx")
pytest.importorskip("spdx_tools")

LABELS = ["cyclonedx", "provenance", "spdx", "test-result"]


@pytest.fixture
def debloat(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sensor, "binary", lambda architecture: b"sensor")
    return CommandLine(capsys, shop())


def written(directory: Path) -> dict[str, Any]:
    return {p.name.removesuffix(".intoto.json"): json.loads(p.read_text()) for p in sorted(directory.iterdir())}


def test_what_a_run_writes(debloat: CommandLine, tmp_path: Path) -> None:
    for name in "ab":
        done = debloat("shop:1", "-q", "--attest", name, "--json", "report.json")
        assert (done.code, done.out) == (0, "shop:1-slim\n")
    report = json.loads((tmp_path / "report.json").read_text())
    found = written(tmp_path / "a")
    assert list(found) == LABELS
    assert found == written(tmp_path / "b")
    hexadecimal = report["result_id"].partition(":")[2]
    for document in found.values():
        assert document["_type"] == STATEMENT
        assert document["subject"] == [{"name": "shop:1-slim", "digest": {"sha256": hexadecimal}}]
    provenance = found["provenance"]
    assert provenance["predicateType"] == PROVENANCE
    (original,) = provenance["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert original["digest"] == {"sha256": report["image_id"].partition(":")[2]}
    tests = found["test-result"]["predicate"]
    assert (tests["result"], tests["failedTests"]) == ("PASSED", [])
    assert [a["minimal"] for a in tests["debloat_answers"]] == [a["after"]["outcome"] for a in report["answers"]]
    assert len(tests["passedTests"]) == len(report["answers"])
    assert debloat("sbom", "shop:1-slim").json["components"] == found["cyclonedx"]["predicate"]["components"]


def test_they_refer_to_the_image_in_a_layout(debloat: CommandLine, tmp_path: Path) -> None:
    done = debloat("shop:1", "-q", "--attest", "a", "--output", "oci:layout", "-t", "slim:1")
    assert done.code == 0
    index = json.loads((tmp_path / "layout" / "index.json").read_text())["manifests"]
    image, *beside = sorted(index, key=lambda entry: "artifactType" in entry)
    assert {entry["artifactType"] for entry in beside} == {MEDIA_TYPE}
    kinds = [entry["annotations"]["in-toto.io/predicate-type"] for entry in beside]
    assert sorted(kinds) == sorted(document["predicateType"] for document in written(tmp_path / "a").values())
    blobs = tmp_path / "layout" / "blobs" / "sha256"
    for entry in beside:
        artifact = json.loads((blobs / entry["digest"].partition(":")[2]).read_text())
        assert artifact["subject"]["digest"] == image["digest"]
        (layer,) = artifact["layers"]
        said = json.loads((blobs / layer["digest"].partition(":")[2]).read_text())
        digests = {f"sha256:{subject['digest']['sha256']}" for subject in said["subject"]}
        assert image["digest"] in digests


@pytest.mark.parametrize("more", [(), ("--verify",)])
def test_a_lock_that_is_applied(debloat: CommandLine, tmp_path: Path, more: tuple[str, ...]) -> None:
    """The same statements, of the build and by the lock; what nobody asked is not said to have been."""
    assert debloat("lock", "shop:1", "-q", "--level", "exact").code == 0
    said = ("--attest", "a", "--output", "oci:layout", "--json", "applied.json")
    done = debloat("apply", "shop:2", "-q", *said, *more)
    assert (done.code, done.out) == (0, "shop:2-slim\n")
    found = written(tmp_path / "a")
    assert list(found) == [label for label in LABELS if label != "test-result" or more]
    identity = debloat.engine.names["shop:2-slim"]
    for document in found.values():
        assert document["subject"] == [{"name": "shop:2-slim", "digest": {"sha256": identity.partition(":")[2]}}]
    definition = found["provenance"]["predicate"]["buildDefinition"]
    original, lock = definition["resolvedDependencies"]
    assert original["digest"] == {"sha256": debloat.engine.names["shop:2"].partition(":")[2]}
    digest = hashlib.sha256((tmp_path / "debloat.lock").read_bytes()).hexdigest()
    assert lock == {"name": "debloat.lock", "digest": {"sha256": digest}}
    assert definition["externalParameters"]["level"] == "exact"
    assert definition["internalParameters"]["verified"] is bool(more)
    if more:
        assert found["test-result"]["predicate"]["result"] == "PASSED"
    assert debloat("sbom", "shop:2-slim").json["components"] == found["cyclonedx"]["predicate"]["components"]
    index = json.loads((tmp_path / "layout" / "index.json").read_text())["manifests"]
    assert sum("artifactType" in entry for entry in index) == len(found)


def test_a_result_that_was_not_made_is_not_attested(debloat: CommandLine, tmp_path: Path, capsys: Any) -> None:
    assert debloat("lock", "shop:1", "-q", "--level", "exact").code == 0
    failing = CommandLine(capsys, shop(shows_what_is_gone))
    assert failing("apply", "shop:2", "-q", "--attest", "b", "--verify").code == 5
    assert list((tmp_path / "b").iterdir()) == []
    assert failing("apply", "shop:2", "-q", "--attest", "c", "--verify", "--force").code == 5
    assert written(tmp_path / "c")["test-result"]["predicate"]["result"] == "FAILED"
    assert "cannot write to /proc/none" in debloat("apply", "shop:2", "--attest", "/proc/none").complaint


def test_in_toto_accepts_them(debloat: CommandLine, tmp_path: Path) -> None:
    library = pytest.importorskip("in_toto_attestation.v1.statement")
    json_format = pytest.importorskip("google.protobuf.json_format")
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
    from in_toto_attestation.v1 import statement_pb2

    assert debloat("shop:1", "-q", "--attest", "a").code == 0
    for label, document in written(tmp_path / "a").items():
        parsed = json_format.ParseDict(document, statement_pb2.Statement())
        library.Statement.copy_from_pb(parsed).validate()
        if label == "provenance":
            json_format.ParseDict(document["predicate"], Provenance())


def test_nothing_is_said_of_what_was_not_made(debloat: CommandLine, tmp_path: Path, capsys: Any) -> None:
    assert debloat("shop:1", "-q", "--attest", "a", "--no-verify").code == 0
    assert sorted(written(tmp_path / "a")) == [label for label in LABELS if label != "test-result"]
    failing = CommandLine(capsys, shop(shows_what_is_gone))
    assert failing("shop:1", "-q", "--attest", "b").code == 5
    assert list((tmp_path / "b").iterdir()) == []
    assert failing("shop:1", "-q", "--attest", "c", "--force").code == 5
    tests = written(tmp_path / "c")["test-result"]["predicate"]
    assert tests["result"] == "FAILED"
    assert tests["failedTests"]


def test_a_directory_that_cannot_be_is_said_before_anything_starts(debloat: CommandLine) -> None:
    assert "cannot write to /proc/none" in debloat("shop:1", "--attest", "/proc/none").complaint


def test_subjects_are_sorted_and_names_inert() -> None:
    subjects = (Subject("b\n\udcff", "sha256:2"), Subject("a", "sha256:1"), Subject("a", "sha256:1"))
    document = json.loads(statement(subjects, TEST_RESULT, {}))
    assert [s["digest"]["sha256"] for s in document["subject"]] == ["1", "2"]
    assert document["subject"][1]["name"].isprintable()
    assert MEDIA_TYPE == "application/vnd.in-toto+json"


def test_vulnerabilities_are_counted(debloat: CommandLine, tmp_path: Path) -> None:
    rows = [
        {"VulnerabilityID": "CVE-1", "PkgName": "spare", "InstalledVersion": "1.0-1"},
        {"VulnerabilityID": "CVE-2", "PkgName": "shop", "InstalledVersion": "1.0-1"},
    ]
    report = {"SchemaVersion": 2, "Results": [{"Type": "debian", "Vulnerabilities": rows}]}
    (tmp_path / "trivy.json").write_text(json.dumps(report))
    done = debloat("shop:1", "--scan", "trivy.json", "--json", "report.json")
    assert done.code == 0
    assert "vulnerabilities" in done.err
    surface = json.loads((tmp_path / "report.json").read_text())["surface"]
    assert surface["before"]["vulnerabilities"] == ["CVE-1", "CVE-2"]
    assert surface["after"]["vulnerabilities"] == ["CVE-2"]
    vex = debloat("vex", "shop:1-slim", "--report", "trivy.json")
    assert vex.code == 0
    assert [s["vulnerability"]["name"] for s in vex.json["statements"]] == ["CVE-1"]
    assert "1 package finding gone with the package, 0 with the file, 1 remain" in vex.err
    assert "cannot read the report none" in debloat("shop:1", "--scan", "none").complaint
    assert "is not ID=PATH" in debloat("vex", "shop:1-slim", "--report", "trivy.json", "--code", "x").complaint
