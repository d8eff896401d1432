"""The bill of materials in CycloneDX 1.6, as JSON, made by cyclonedx-python-lib (the extra `sbom`).

The image is the subject; each package is a component with its purl, its licences, and its files as components of its
own with their SHA-256. Files that no package has stand beside the packages.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.component_evidence import ComponentEvidence, Occurrence
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import is_supported_id

from debloat import __version__
from debloat.attest.identifiers import moment, purl, serial
from debloat.core.model import Image
from debloat.core.text import name
from debloat.inventory.model import Component as Package
from debloat.inventory.model import Inventory, Licence


def subject(image: Image) -> Component:
    """The image as a component."""
    digest = HashType(alg=HashAlgorithm.SHA_256, content=image.id.partition(":")[2])
    return Component(
        name=name(image.reference),
        type=ComponentType.CONTAINER,
        version=image.id,
        bom_ref=image.id,
        hashes=[digest],
    )


def document(image: Image, what: str) -> Bom:
    """A document of one sort about an image, with nothing in it yet."""
    bom = Bom(serial_number=serial(image, what))
    bom.metadata.timestamp = moment(image)
    bom.metadata.component = subject(image)
    bom.metadata.tools.components.add(
        Component(name="debloat", type=ComponentType.APPLICATION, version=__version__, bom_ref="debloat")
    )
    return bom


def text(bom: Bom) -> str:
    with warnings.catch_warnings():  # that an image depends on nothing: one without packages does not
        warnings.filterwarnings("ignore", "The Component this BOM is describing", UserWarning)
        return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def render(image: Image, inventory: Inventory) -> str:
    """The bill, as text."""
    bom = document(image, "bill")
    owners = inventory.owner()
    files: dict[tuple[str, ...], list[str]] = {}
    for path in sorted(inventory.digests):
        owner = owners.get(path)
        files.setdefault(owner.key if owner else (), []).append(path)
    found = [_package(c, inventory, files.get(c.key, ())) for c in inventory.components]
    for component in (*found, *_files(files.get((), ()), inventory)):
        bom.components.add(component)
    root = bom.metadata.component
    assert root is not None
    bom.register_dependency(root, found)
    return text(bom)


def _package(package: Package, inventory: Inventory, files: Iterable[str]) -> Component:
    url = purl(package, inventory.distribution)
    properties = [Property(name="debian:source", value=package.source)] if package.kind == "deb" else []
    places = (
        []
        if package.kind == "deb"
        else [Occurrence(bom_ref=f"{url}#{name(p)}", location=name(p)) for p in package.places]
    )
    return Component(
        name=package.name,
        type=ComponentType.LIBRARY,
        version=package.version,
        purl=url,
        bom_ref=str(url),
        licenses=[_licence(licence) for licence in package.licences],
        components=list(_files(files, inventory)),
        evidence=ComponentEvidence(occurrences=places) if places else None,
        properties=properties,
    )


def _files(paths: Iterable[str], inventory: Inventory) -> Iterator[Component]:
    for path in paths:
        digest = HashType(alg=HashAlgorithm.SHA_256, content=inventory.digests[path][1])
        yield Component(name=name(path), type=ComponentType.FILE, bom_ref=f"file:{name(path)}", hashes=[digest])


def _licence(licence: Licence) -> DisjunctiveLicense:
    if is_supported_id(licence.spdx):
        return DisjunctiveLicense(id=licence.spdx)
    return DisjunctiveLicense(name=name(licence.spdx or licence.stated))
