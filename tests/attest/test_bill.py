"""Bills of materials, held against their schemas and validators; none can be broken by a name in an image."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from debloat.attest import bill
from debloat.core.errors import UsageError
from debloat.core.model import Image, ImageConfig
from debloat.core.platform import PLATFORMS, Platform
from debloat.inventory.model import Component, Inventory, Licence
from debloat.inventory.read import read
from tests.inventory.test_inventory import IMAGE, OWNED
from tests.support.dpkgdb import debian_world

pytest.importorskip("cyclonedx")
pytest.importorskip("spdx_tools")

EVIL = "/srv/\x1b[2J`|<script>alert(1)</script>\r\n\udcff&\u202e@all"


def image(reference: str = "shop:1") -> Image:
    return Image(reference, f"sha256:{1:064x}", "linux", "amd64", "", "2024-01-01T00:00:00.5Z", ImageConfig({}))


def inventory() -> Inventory:
    world = debian_world({**IMAGE, EVIL: "x"}, OWNED)
    return read(world.rootfs, world.packages)


def files(bill_: dict[str, object]) -> dict[str, str]:
    """Each file of a CycloneDX bill with the purl of what it stands in."""
    found = {}
    components = bill_["components"]
    assert isinstance(components, list)
    for component in components:
        if component["type"] == "file":
            found[component["name"]] = ""
        for inner in component.get("components", ()):
            found[inner["name"]] = component["purl"]
    return found


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("form", bill.FORMATS)
def test_an_image_without_packages_is_nothing_to_warn_of(form: str) -> None:
    world = debian_world({"/tiny": "x"}, {})
    assert "/tiny" in bill.renderer(form)(image(), read(world.rootfs, world.packages))


def test_cyclonedx() -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = bill.renderer("cyclonedx")(image(), inventory())
    assert text == bill.renderer("cyclonedx")(image(), inventory())
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    purls = {c["name"]: c["purl"] for c in document["components"] if c["type"] == "library"}
    assert purls["tool"].startswith("pkg:deb/debian/tool@1.0-1?arch=")
    assert purls["@a/b"] == "pkg:npm/%40a/b@1.2.3"
    assert purls["isbn"] == "pkg:gem/isbn@1.0"
    assert purls["Some_Thing"] == "pkg:pypi/some-thing@1.0"
    placed = files(document)
    assert len(placed) == len(inventory().digests)
    assert placed["/usr/bin/tool"] == purls["tool"]
    assert placed["/srv/server.js"] == purls["shop"]
    (tool,) = (c for c in document["components"] if c["name"] == "tool")
    assert {license_["license"].get("name") or license_["license"]["id"] for license_ in tool["licenses"]} == {
        "GPL-2.0-or-later AND MIT",
        "custom-thing",
    }
    assert document["metadata"]["timestamp"].startswith("2024-01-01T00:00:00")


def test_spdx(tmp_path: Path) -> None:
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    text = bill.renderer("spdx")(image(), inventory())
    assert text == bill.renderer("spdx")(image(), inventory())
    (tmp_path / "bill.spdx.json").write_text(text)
    document = parse_file(str(tmp_path / "bill.spdx.json"))
    assert [m.validation_message for m in validate_full_spdx_document(document)] == []
    assert len(document.files) == len(inventory().digests)
    (tool,) = (p for p in document.packages if p.name == "tool")
    assert str(tool.license_declared) == "(GPL-2.0-or-later AND MIT) AND LicenseRef-custom-thing"


@pytest.mark.parametrize("form", bill.FORMATS)
def test_packages_alone(form: str) -> None:
    world = debian_world(IMAGE, OWNED)
    text = bill.renderer(form)(image(), read(world.rootfs, world.packages, files=False))
    assert "/srv/server.js" not in text
    assert "pkg:gem/isbn@1.0" in text


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.debian)
def test_a_package_url_has_debian_s_name_of_the_architecture(platform: Platform) -> None:
    """`arch` of pkg:deb, as the package URL specification has it, whatever the image calls it."""
    libc = Component("deb", "libc6", "2.36-9", ("x",), (), (Licence("GPL-2"),), platform.debian, "glibc")
    app = Image("app", f"sha256:{0:064}", "linux", platform.oci, "", "2024-01-01T00:00:00Z", ImageConfig({}))
    document = json.loads(bill.renderer("cyclonedx")(app, Inventory((libc,), "debian-12")))
    (component,) = document["components"]
    assert component["purl"].startswith(f"pkg:deb/debian/libc6@2.36-9?arch={platform.debian}&")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def missing(name: str) -> object:
        raise ImportError("no", name="cyclonedx")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match="cyclonedx is not installed"):
        bill.renderer("cyclonedx")
