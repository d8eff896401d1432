"""Reports of vulnerability scanners, and Debian's security tracker, read: which vulnerability is said of which package.

Formats: Trivy's JSON (`trivy image --format json`, SchemaVersion 2), Grype's (`grype -o json`), and the tracker's
(https://security-tracker.debian.org/tracker/data/json). Pure: text in, findings out. What is no such document is a
UsageError of one sentence; of what is one, entries that make no sense are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from debloat.core.errors import UsageError
from debloat.inventory.model import Inventory

MAX_REPORT = 256 << 20
"""Bytes of a report; the tracker's whole JSON has about 70 million."""

_TRIVY_KINDS = {
    "debian": "deb",
    "ubuntu": "deb",
    "python-pkg": "pypi",
    "node-pkg": "npm",
    "gemspec": "gem",
    "gobinary": "golang",
    "rustbinary": "cargo",
    "jar": "maven",
}
"""Trivy's types of results by those of package URLs."""

_GRYPE_KINDS = {
    "deb": "deb",
    "python": "pypi",
    "npm": "npm",
    "gem": "gem",
    "go-module": "golang",
    "rust-crate": "cargo",
    "java-archive": "maven",
}


class Finding(Struct, frozen=True, order=True):
    """A vulnerability that is said of a package: the identifier, the package URL's type, name and version.

    `places` are the files in which the scanner found it: programs, archives, metadata; empty for Debian's packages.
    """

    vulnerability: str
    kind: str
    name: str
    version: str
    purl: str = ""
    places: tuple[str, ...] = ()


def is_report(data: bytes, called: str) -> bool:
    """Whether a document is a scanner's report; UsageError for what is no document."""
    document = _document(data, called)
    return "SchemaVersion" in document or isinstance(document.get("matches"), list)


def findings(data: bytes, called: str) -> tuple[Finding, ...]:
    """The findings of a scanner's report, sorted, each once; `called` is the file's name, for messages."""
    document = _document(data, called)
    if "SchemaVersion" in document:
        return _sorted(_trivy(document))
    if isinstance(document.get("matches"), list):
        return _sorted(_grype(document))
    raise UsageError(
        f"cannot read {called}: it is neither a report of Trivy nor one of Grype",
        _MAKE,
    )


_MAKE = "`trivy image --format json --output FILE IMAGE`, `grype -o json IMAGE > FILE`"


def _document(data: bytes, called: str) -> Mapping[str, Any]:
    if len(data) > MAX_REPORT:
        raise UsageError(f"cannot read {called}: it has more than {MAX_REPORT >> 20} MiB", _MAKE)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"cannot read {called}: it is no JSON", _MAKE) from error
    if not isinstance(document, dict):
        raise UsageError(f"cannot read {called}: it is no JSON object", _MAKE)
    return document


def _sorted(found: Iterator[Finding]) -> tuple[Finding, ...]:
    """Each vulnerability of a package once, with all places that it was found in."""
    together: dict[tuple[str, str, str, str], Finding] = {}
    for one in found:
        key = (one.vulnerability, one.kind, one.name, one.version)
        known = together.setdefault(key, one)
        places = tuple(sorted({*known.places, *one.places}))
        together[key] = replace(known, places=places, purl=known.purl or one.purl)
    return tuple(together[key] for key in sorted(together))


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    """A text that can be shown and compared; empty for anything else."""
    return value if isinstance(value, str) and value.isprintable() and len(value) < 4096 else ""


def _trivy(document: Mapping[str, Any]) -> Iterator[Finding]:
    for result in map(_map, _list(document.get("Results"))):
        kind = _TRIVY_KINDS.get(_text(result.get("Type")), "")
        target = _text(result.get("Target"))
        for row in map(_map, _list(result.get("Vulnerabilities"))):
            place = _text(row.get("PkgPath")) or (target if kind in ("golang", "cargo") else "")
            purl = _text(_map(row.get("PkgIdentifier")).get("PURL"))
            yield from _finding(
                row.get("VulnerabilityID"), kind, row.get("PkgName"), row.get("InstalledVersion"), purl, [place]
            )


def _grype(document: Mapping[str, Any]) -> Iterator[Finding]:
    for match in map(_map, _list(document.get("matches"))):
        artifact = _map(match.get("artifact"))
        kind = _GRYPE_KINDS.get(_text(artifact.get("type")), "")
        places = [] if kind == "deb" else [_text(_map(p).get("path")) for p in _list(artifact.get("locations"))]
        yield from _finding(
            _map(match.get("vulnerability")).get("id"),
            kind,
            artifact.get("name"),
            artifact.get("version"),
            _text(artifact.get("purl")),
            places,
        )


def _finding(
    vulnerability: object, kind: str, name: object, version: object, purl: str, places: Sequence[str]
) -> Iterator[Finding]:
    words = [_text(word) for word in (vulnerability, name, version)]
    if kind and all(words):
        found = tuple(sorted({"/" + place.lstrip("/") for place in places if place}))
        yield Finding(words[0], kind, words[1], words[2], purl, found)


# ------------------------------------------------------------------------------------------ Debian's tracker

_SUITES = {"11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky"}
"""Names of Debian's releases, by which the tracker knows them."""

_NOT_AFFECTED = "0"
"""The fixed version that the tracker gives where a release has never been affected."""


def tracked(data: bytes, called: str, inventory: Inventory) -> tuple[Finding, ...]:
    """What the tracker says is open in the Debian packages of an inventory, by their sources and versions."""
    from debian.debian_support import Version

    document = _document(data, called)
    suite = _SUITES.get(inventory.distribution.partition("-")[2].partition(".")[0], "")
    if not suite:
        raise UsageError(
            f"cannot use {called}: it does not know the release {inventory.distribution or 'of the image'}", _MAKE
        )
    if not any(isinstance(value, dict) for value in document.values()):
        raise UsageError(
            f"cannot read {called}: it is not the JSON of Debian's security tracker",
            "its address ends in /tracker/data/json; or name a report of Trivy or Grype",
        )
    found = []
    for component in (c for c in inventory.components if c.kind == "deb"):
        version = component.source_version or component.version
        for identifier, row in sorted(_map(document.get(component.source)).items()):
            release = _map(_map(_map(row).get("releases")).get(suite))
            if not release or release.get("status") == "undetermined":
                continue
            fixed = _text(release.get("fixed_version"))
            try:
                if fixed and (fixed == _NOT_AFFECTED or Version(version) >= Version(fixed)):
                    continue
            except ValueError:
                continue
            if _text(identifier):
                found.append(Finding(identifier, "deb", component.name, component.version))
    return _sorted(iter(found))
