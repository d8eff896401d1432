"""Names that documents give to things: package URLs, serial numbers, the moment that an image was made.

Importing this module needs the extra `sbom`. The same image gives the same names: they follow from its identity, and
the time is the image's own or SOURCE_DATE_EPOCH.
"""

from __future__ import annotations

import datetime
import re
import uuid

from packageurl import PackageURL

from debloat.core.model import Image
from debloat.image.carve import created_at
from debloat.inventory.model import Component

_NAME_SPACE = uuid.UUID("8f3a3a0e-3ab7-5d0f-9a3e-6f1b1f5d7c44")
"""Of the serial numbers (RFC 4122, version 5)."""


def purl(component: Component, distribution: str) -> PackageURL:
    """The package URL of a component, by the rules of its type.

    Of `deb`, `upstream` names the source where it is called otherwise, and its version where that differs, as syft and
    Trivy write it.
    """
    if component.kind != "deb":
        namespace, _, bare = component.name.rpartition("/")
        return PackageURL(component.kind, namespace or None, bare, component.version)
    qualifiers = {"arch": component.architecture, "distro": distribution}
    if component.source_version:
        qualifiers["upstream"] = f"{component.source}@{component.source_version}"
    elif component.source != component.name:
        qualifiers["upstream"] = component.source
    return PackageURL("deb", distribution.partition("-")[0], component.name, component.version, qualifiers)


def serial(image: Image, what: str) -> uuid.UUID:
    """The number of a document of one sort about an image."""
    return uuid.uuid5(_NAME_SPACE, image.identity if what == "bill" else f"{what} {image.identity}")


def moment(image: Image) -> datetime.datetime:
    """When the image was made, in UTC; the epoch where it does not say."""
    text = re.sub(r"\.\d+", "", created_at(image)).replace("Z", "+00:00")
    try:
        return datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return datetime.datetime.fromtimestamp(0, datetime.UTC)
