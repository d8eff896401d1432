"""The bill of materials in SPDX 2.3, as JSON, made by spdx-tools (the extra `sbom`).

The image contains packages, and these contain files, with SHA-1 (which SPDX 2.3 wants of each file) and SHA-256.
Licences that are not on SPDX's list are references, whose text is the name by which the package calls them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from license_expression import get_spdx_licensing
from spdx_tools.spdx.jsonschema.document_converter import DocumentConverter
from spdx_tools.spdx.model.actor import Actor, ActorType
from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
from spdx_tools.spdx.model.document import CreationInfo, Document
from spdx_tools.spdx.model.extracted_licensing_info import ExtractedLicensingInfo
from spdx_tools.spdx.model.file import File
from spdx_tools.spdx.model.package import (
    ExternalPackageRef,
    ExternalPackageRefCategory,
    PackagePurpose,
    PackageVerificationCode,
)
from spdx_tools.spdx.model.package import (
    Package as SpdxPackage,
)
from spdx_tools.spdx.model.relationship import Relationship, RelationshipType
from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion

from debloat import __version__
from debloat.attest.identifiers import moment, purl, serial
from debloat.core.model import Image
from debloat.core.text import name
from debloat.inventory.model import Component, Inventory, Licence

NOBODY = ("", "", "", "")
"""The key of what no component has."""


def render(image: Image, inventory: Inventory) -> str:
    """The bill, as text."""
    info = CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id="SPDXRef-DOCUMENT",
        name=name(image.reference),
        document_namespace=f"https://spdx.org/spdxdocs/debloat-{serial(image, 'bill')}",
        creators=[Actor(ActorType.TOOL, f"debloat-{__version__}")],
        created=moment(image).replace(tzinfo=None),
    )
    owners = inventory.owner()
    held: dict[tuple[str, str, str, str], list[str]] = {}
    for path in sorted(inventory.digests):
        held.setdefault(owners[path].key if path in owners else NOBODY, []).append(path)
    root = SpdxPackage(
        "SPDXRef-image",
        name(image.reference),
        SpdxNoAssertion(),
        version=image.id,
        files_analyzed=NOBODY in held,
        verification_code=_verification(held.get(NOBODY, ()), inventory),
        checksums=[Checksum(ChecksumAlgorithm.SHA256, image.id.partition(":")[2])],
        primary_package_purpose=PackagePurpose.CONTAINER,
    )
    ids = {c.key: f"SPDXRef-Package-{n}-{_slug(c.name)}" for n, c in enumerate(inventory.components, 1)}
    numbers = {path: f"SPDXRef-File-{n}" for n, path in enumerate(sorted(inventory.digests), 1)}
    relations = [Relationship(info.spdx_id, RelationshipType.DESCRIBES, root.spdx_id)]
    relations += [Relationship(root.spdx_id, RelationshipType.CONTAINS, i) for i in ids.values()]
    for key, paths in sorted(held.items()):
        holder = ids[key] if key != NOBODY else root.spdx_id
        relations += [Relationship(holder, RelationshipType.CONTAINS, numbers[path]) for path in paths]
    bill = Document(
        info,
        packages=[root, *(_package(ids[c.key], c, held.get(c.key, ()), inventory) for c in inventory.components)],
        files=[_file(number, path, inventory) for path, number in numbers.items()],
        relationships=relations,
        extracted_licensing_info=list(_extracted(inventory.components)),
    )
    converter: Any = DocumentConverter
    return json.dumps(converter().convert(bill), indent=2) + "\n"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", text)


def _verification(paths: Iterable[str], inventory: Inventory) -> PackageVerificationCode | None:
    """What SPDX 2.3 wants of a package whose files are listed (clause 7.9): one digest over those of all its files."""
    sums = sorted(inventory.digests[path][0] for path in paths)
    return (
        PackageVerificationCode(hashlib.sha1("".join(sums).encode(), usedforsecurity=False).hexdigest())
        if sums
        else None
    )


def _package(identifier: str, component: Component, files: Sequence[str], inventory: Inventory) -> SpdxPackage:
    url = str(purl(component, inventory.distribution))
    declared = " AND ".join(_expression(licence) for licence in component.licences)
    return SpdxPackage(
        identifier,
        component.name,
        SpdxNoAssertion(),
        version=component.version,
        files_analyzed=bool(files),
        verification_code=_verification(files, inventory),
        license_declared=get_spdx_licensing().parse(declared) if declared else SpdxNoAssertion(),
        source_info=f"built from {component.source}" if component.kind == "deb" else None,
        external_references=[ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", url)],
    )


def _file(number: str, path: str, inventory: Inventory) -> File:
    one, two = inventory.digests[path]
    sums = [Checksum(ChecksumAlgorithm.SHA1, one), Checksum(ChecksumAlgorithm.SHA256, two)]
    return File(f".{name(path)}", number, sums)


def _expression(licence: Licence) -> str:
    if not licence.spdx:
        return _reference(licence.stated)
    return f"({licence.spdx})" if " " in licence.spdx else licence.spdx


def _reference(stated: str) -> str:
    """A name of its own for a licence that SPDX does not list; what a slug loses, a digest tells apart."""
    slug = _slug(stated)[:60]
    if slug != stated:
        slug = f"{slug}-{hashlib.sha256(stated.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
    return f"LicenseRef-{slug}"


def _extracted(components: Iterable[Component]) -> Iterator[ExtractedLicensingInfo]:
    unlisted = {licence.stated for c in components for licence in c.licences if not licence.spdx}
    for stated in sorted(unlisted):
        yield ExtractedLicensingInfo(_reference(stated), name(stated), name(stated))
