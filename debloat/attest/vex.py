"""VEX: what a scanner says of the original and what is not so in the minimal image, as OpenVEX and CycloneDX.

Two things can be shown, and only these are stated, as `not_affected` in the words of OpenVEX 0.2.0:
`component_not_present` where the package is gone, in every version and place that the report names, and
`vulnerable_code_not_present` where the package stays, and every file that the report, or the user, says holds the code
was in the original and is gone. Nothing is said of what stays in part: nobody told which of its files is the vulnerable
one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from debloat import __version__
from debloat.attest.identifiers import moment, serial
from debloat.attest.scans import Finding, findings, is_report, tracked
from debloat.core.model import Image
from debloat.core.text import count, name
from debloat.image.rootfs import Rootfs
from debloat.inventory.languages import normal_name
from debloat.inventory.model import Component, Inventory
from debloat.inventory.named import is_code

ABSENT, CODE_ABSENT = "component_not_present", "vulnerable_code_not_present"

_CYCLONEDX = {ABSENT: "code_not_present", CODE_ABSENT: "code_not_present"}
"""CycloneDX has one justification for both; the detail says which."""


class Statement(Struct, frozen=True):
    """That a vulnerability of a package is none of the image: why, and by which files or packages it is shown."""

    vulnerability: str
    finding: Finding
    justification: str
    impact: str


class Examined(Struct, frozen=True):
    """What came of a report: statements, what still applies, and what is not about the original."""

    statements: tuple[Statement, ...]
    remaining: tuple[Finding, ...]
    unknown: tuple[Finding, ...]


class Contents(Struct, frozen=True):
    """An image as far as findings are held against it."""

    rootfs: Rootfs
    inventory: Inventory

    def has(self, finding: Finding) -> bool:
        """Whether the package of a finding is in the image: by its name in any version, or in one of its places."""
        wanted = normal_name(finding.kind, finding.name)
        named = any(normal_name(c.kind, c.name) == wanted and c.kind == finding.kind for c in self._of(finding.kind))
        return named or any(self.rootfs.is_file(place) for place in finding.places)

    def code_of(self, finding: Finding) -> Iterator[str]:
        """The files of the package that are neither documentation nor metadata."""
        wanted = normal_name(finding.kind, finding.name)
        for component in self._of(finding.kind):
            if normal_name(component.kind, component.name) == wanted:
                yield from (f for f in component.files if is_code(f, component.places[0]))

    def had(self, finding: Finding) -> bool:
        """Whether the finding is about this image: the package in this version, or a place of it that exists."""
        wanted = normal_name(finding.kind, finding.name)
        exact = any(
            normal_name(c.kind, c.name) == wanted and finding.version in (c.version, c.source_version)
            for c in self._of(finding.kind)
        )
        return exact or any(self.rootfs.is_file(place) for place in finding.places)

    def _of(self, kind: str) -> Sequence[Component]:
        return [c for c in self.inventory.components if c.kind == kind]


def examine(
    found: Iterable[Finding], original: Contents, minimal: Contents, code: Mapping[str, Sequence[str]]
) -> Examined:
    """Hold a report of the original against the minimal image; `code` are files of a vulnerability, as the user says.
    Hold a report of the original against the minimal image; `code` are files of a vulnerability, as the user says."""
    statements, remaining, unknown = [], [], []
    for finding in sorted(set(found)):
        if not original.had(finding):
            unknown.append(finding)
        elif not minimal.has(finding) and not any(path in minimal.rootfs for path in original.code_of(finding)):
            impact = f"{finding.name} is not in the image: no file of it, and no entry of a package manager"
            statements.append(Statement(finding.vulnerability, finding, ABSENT, impact))
        elif gone := _all_gone(code.get(finding.vulnerability, ()), original, minimal):
            impact = f"what holds the code is not in the image: {', '.join(map(name, gone))}"
            statements.append(Statement(finding.vulnerability, finding, CODE_ABSENT, impact))
        else:
            remaining.append(finding)
    return Examined(tuple(statements), tuple(remaining), tuple(unknown))


def _all_gone(paths: Sequence[str], original: Contents, minimal: Contents) -> tuple[str, ...]:
    """The files, if each was in the original and none is in the minimal image by any path; else nothing."""
    if not paths or any(not original.rootfs.is_file(path) or path in minimal.rootfs for path in paths):
        return ()
    return () if any(minimal.rootfs.lookup(path) is not None for path in paths) else tuple(sorted(paths))


def vulnerabilities(data: bytes, called: str, original: Contents, minimal: Contents) -> tuple[list[str], list[str]]:
    """The identifiers before and after: by a scanner's report on the original, or by Debian's security tracker."""
    if is_report(data, called):
        examined = examine(findings(data, called), original, minimal, {})
        said = (*(s.finding for s in examined.statements), *examined.remaining)
        return _identifiers(said), _identifiers(examined.remaining)
    before, after = (_identifiers(tracked(data, called, one.inventory)) for one in (original, minimal))
    return before, after


def _identifiers(found: Iterable[Finding]) -> list[str]:
    return sorted({one.vulnerability for one in found})


def summary(examined: Examined) -> str:
    """What came of it, in a line."""
    absent = sum(s.justification == ABSENT for s in examined.statements)
    said = f"{count(absent, 'package finding')} gone with the package, "
    said += f"{len(examined.statements) - absent} with the file, {len(examined.remaining)} remain"
    return said + (f", {len(examined.unknown)} are not about the original" if examined.unknown else "")


def openvex(image: Image, examined: Examined) -> str:
    """OpenVEX 0.2.0, as JSON."""
    product = {
        "@id": f"pkg:oci/{_repository(image)}@{image.id.replace(':', '%3A')}",
        "hashes": {"sha-256": image.id.partition(":")[2]},
    }
    when = moment(image).strftime("%Y-%m-%dT%H:%M:%SZ")
    statements = [
        {
            "vulnerability": {"name": s.vulnerability},
            "products": [{**product, "subcomponents": [{"@id": subcomponent(s.finding)}]}],
            "status": "not_affected",
            "justification": s.justification,
            "impact_statement": s.impact,
            "timestamp": when,
        }
        for s in examined.statements
    ]
    document: dict[str, Any] = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": f"https://openvex.dev/docs/debloat/{serial(image, 'vex')}",
        "author": "debloat",
        "timestamp": when,
        "version": 1,
        "tooling": f"debloat {__version__}",
        "statements": statements,
    }
    return json.dumps(document, indent=2) + "\n"


def _repository(image: Image) -> str:
    """The last part of an image's name, as pkg:oci has it."""
    from urllib.parse import quote

    return quote(image.reference.partition("@")[0].rpartition("/")[2].partition(":")[0].lower() or "image")


def subcomponent(finding: Finding) -> str:
    """The package URL of a finding: the scanner's own, else the bare one."""
    from packageurl import PackageURL

    if finding.purl:
        return finding.purl
    namespace, _, bare = finding.name.rpartition("/")
    vendor = "debian" if finding.kind == "deb" else namespace or None
    return str(PackageURL(finding.kind, vendor, bare, finding.version))


def cyclonedx(image: Image, examined: Examined) -> str:
    """CycloneDX 1.6, as JSON: vulnerabilities with an analysis."""
    from cyclonedx.model.component import Component as Described
    from cyclonedx.model.component import ComponentType
    from cyclonedx.model.impact_analysis import ImpactAnalysisJustification, ImpactAnalysisState
    from cyclonedx.model.vulnerability import BomTarget, Vulnerability, VulnerabilityAnalysis

    from debloat.attest.cyclonedx import document, text

    bom = document(image, "vex")
    for finding in sorted({s.finding for s in examined.statements}, key=subcomponent):
        url = subcomponent(finding)
        if not any(c.bom_ref.value == url for c in bom.components):
            described = Described(name=finding.name, version=finding.version, type=ComponentType.LIBRARY, bom_ref=url)
            bom.components.add(described)
    assert bom.metadata.component is not None
    bom.register_dependency(bom.metadata.component, bom.components)
    for number, s in enumerate(examined.statements):
        analysis = VulnerabilityAnalysis(
            state=ImpactAnalysisState.NOT_AFFECTED,
            justification=ImpactAnalysisJustification(_CYCLONEDX[s.justification]),
            detail=f"{s.justification}: {s.impact}",
        )
        bom.vulnerabilities.add(
            Vulnerability(
                bom_ref=f"vulnerability-{number}",
                id=s.vulnerability,
                analysis=analysis,
                affects=[BomTarget(ref=subcomponent(s.finding))],
            )
        )
    return text(bom)
