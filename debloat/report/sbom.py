"""Bills of materials of an image: CycloneDX 1.6 and SPDX 2.3 as JSON, made by cyclonedx-python-lib and spdx-tools.

Importing this module needs the extra `sbom`. The same image gives the same bytes: identifiers follow from the image's
id, the time is the image's own or SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import datetime
import json
import re
import shlex
import uuid
from dataclasses import dataclass
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from spdx_tools.spdx.jsonschema.document_converter import DocumentConverter
from spdx_tools.spdx.model.actor import Actor, ActorType
from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
from spdx_tools.spdx.model.document import CreationInfo, Document
from spdx_tools.spdx.model.package import (
    ExternalPackageRef,
    ExternalPackageRefCategory,
    PackagePurpose,
)
from spdx_tools.spdx.model.package import (
    Package as SpdxPackage,
)
from spdx_tools.spdx.model.relationship import Relationship, RelationshipType
from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion

from debloat import __version__
from debloat.core.model import Image
from debloat.core.text import name
from debloat.debian.packages import Package, Packages
from debloat.image.carve import created_at
from debloat.image.rootfs import Rootfs

_SERIAL = uuid.UUID("8f3a3a0e-3ab7-5d0f-9a3e-6f1b1f5d7c44")
"""Namespace of the serial numbers (RFC 4122, version 5)."""


@dataclass(frozen=True, slots=True)
class Materials:
    """What a bill of materials lists: the installed packages, sorted by name, and the distribution as `debian-12`."""

    packages: tuple[Package, ...]
    distribution: str


def components(rootfs: Rootfs, packages: Packages) -> Materials:
    """The materials of an image, from its package database and os-release(5)."""
    listed = (packages.get(package_name) for package_name in packages.names())
    installed = sorted((p for p in listed if p is not None and p.installed), key=lambda p: p.name)
    return Materials(
        tuple(installed), distribution(rootfs.text("/etc/os-release") or rootfs.text("/usr/lib/os-release"))
    )


def distribution(text: str) -> str:
    """`ID-VERSION_ID` of a text in the format of os-release(5); ID is `debian` where it has none."""
    values: dict[str, str] = {}
    for line in text.splitlines()[:200]:
        key, equals, value = line.partition("=")
        if equals and key in ("ID", "VERSION_ID"):
            try:
                values[key] = "".join(shlex.split(value)[:1])
            except ValueError:
                continue
    return "-".join(filter(None, (values.get("ID", "debian"), values.get("VERSION_ID", ""))))


def render(image: Image, materials: Materials, format_: str) -> str:
    """The bill of materials as JSON text; `format_` is `cyclonedx` or `spdx`."""
    return (_cyclonedx if format_ == "cyclonedx" else _spdx)(image, materials) + "\n"


def _purl(package: Package, materials: Materials) -> PackageURL:
    """pkg:deb of the package URL specification; `upstream` names the source where it is called otherwise, and its
    version where that differs, as syft and trivy write it."""
    qualifiers = {"arch": package.architecture, "distro": materials.distribution}
    source = package.source or package.package
    if package.source_version:
        qualifiers["upstream"] = f"{source}@{package.source_version}"
    elif source != package.package:
        qualifiers["upstream"] = source
    vendor = materials.distribution.partition("-")[0]
    return PackageURL("deb", vendor, package.package, package.version, qualifiers)


def _moment(image: Image) -> datetime.datetime:
    text = re.sub(r"\.\d+", "", created_at(image)).replace("Z", "+00:00")
    try:
        return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    except ValueError:
        return datetime.datetime.fromtimestamp(0, datetime.UTC)


def _cyclonedx(image: Image, materials: Materials) -> str:
    bom = Bom(serial_number=uuid.uuid5(_SERIAL, image.identity))
    bom.metadata.timestamp = _moment(image)
    root = Component(
        name=name(image.reference),
        type=ComponentType.CONTAINER,
        version=image.id,
        bom_ref=image.id,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=image.id.partition(":")[2])],
    )
    bom.metadata.component = root
    bom.metadata.tools.components.add(
        Component(name="debloat", type=ComponentType.APPLICATION, version=__version__, bom_ref="debloat")
    )
    package_components = []
    for package in materials.packages:
        purl = _purl(package, materials)
        component = Component(
            name=package.package,
            type=ComponentType.LIBRARY,
            version=package.version,
            purl=purl,
            bom_ref=str(purl),
            properties=[Property(name="debian:source", value=package.source or package.package)],
        )
        bom.components.add(component)
        package_components.append(component)
    bom.register_dependency(root, package_components)
    return str(JsonV1Dot6(bom).output_as_string(indent=2))


def _spdx(image: Image, materials: Materials) -> str:
    digest = image.id.partition(":")[2]
    info = CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id="SPDXRef-DOCUMENT",
        name=name(image.reference),
        document_namespace=f"https://spdx.org/spdxdocs/debloat-{uuid.uuid5(_SERIAL, image.identity)}",
        creators=[Actor(ActorType.TOOL, f"debloat-{__version__}")],
        created=_moment(image).replace(tzinfo=None),
    )
    root = SpdxPackage(
        "SPDXRef-image",
        name(image.reference),
        SpdxNoAssertion(),
        version=image.id,
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, digest)],
        primary_package_purpose=PackagePurpose.CONTAINER,
    )
    packages = [root, *(_spdx_package(i, p, materials) for i, p in enumerate(materials.packages, 1))]
    relations = [Relationship(info.spdx_id, RelationshipType.DESCRIBES, root.spdx_id)]
    relations += [Relationship(root.spdx_id, RelationshipType.CONTAINS, p.spdx_id) for p in packages[1:]]
    document = Document(info, packages=packages, relationships=relations)
    converter: Any = DocumentConverter
    return json.dumps(converter().convert(document), indent=2)


def _spdx_package(number: int, package: Package, materials: Materials) -> SpdxPackage:
    slug = re.sub(r"[^A-Za-z0-9.-]", "-", package.name)
    purl = ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", str(_purl(package, materials)))
    return SpdxPackage(
        f"SPDXRef-Package-{number}-{slug}",
        package.package,
        SpdxNoAssertion(),
        version=package.version,
        files_analyzed=False,
        source_info=f"built from {package.source or package.package}",
        external_references=[purl],
    )
