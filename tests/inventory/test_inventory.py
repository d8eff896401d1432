"""The inventory: each package once, by what its own manager wrote; licences as they are stated; garbage says nothing.
The inventory: each package once, by what its own manager wrote; licences as they are stated; garbage says nothing."""

from __future__ import annotations

import json
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from debloat.inventory import binaries, languages, licences
from debloat.inventory.model import Component, Licence
from debloat.inventory.read import distribution, merged, read
from tests.support.dpkgdb import debian_world
from tests.support.trees import Table, tree

SITE = "/opt/venv/lib/python3.11/site-packages"
GEMS = "/var/lib/gems/3.1.0"
APT = "/usr/lib/python3/dist-packages/apt"

IMAGE: Table = {
    "/etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
    "/usr/bin/tool": ("0755", "tool"),
    "/usr/share/doc/tool/copyright": (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
        "Files: *\nCopyright: 2020 A\nLicense: GPL-2+ and Expat\n\nFiles: x\nLicense: custom-thing\n text\n"
    ),
    "/usr/share/doc/old/copyright": "On Debian systems, see /usr/share/common-licenses/GPL-2.\n",
    f"{APT}-2.6.egg-info/PKG-INFO": "Metadata-Version: 1.1\nName: apt\nVersion: 2.6\n",
    f"{SITE}/Some_Thing-1.0.dist-info/METADATA": (
        "Name: Some_Thing\nVersion: 1.0\nLicense-Expression: MIT OR Apache-2.0\n"
    ),
    f"{SITE}/Some_Thing-1.0.dist-info/RECORD": "some_thing/__init__.py,,\n../../../bin/some,,\n../../../../etc/x,,\n",
    f"{SITE}/some_thing/__init__.py": "",
    "/opt/venv/bin/some": ("0755", "#!/opt/venv/bin/python\n"),
    f"{SITE}/broken-1.dist-info/METADATA": "no header at all\n",
    "/srv/package.json": json.dumps({"name": "shop", "version": "2.0.0", "license": "UNLICENSED"}),
    "/srv/server.js": "",
    "/srv/node_modules/@a/b/package.json": (
        json.dumps({"name": "@a/b", "version": "1.2.3", "licenses": [{"type": "ISC"}]})
    ),
    "/srv/node_modules/@a/b/index.js": "",
    "/srv/node_modules/@a/b/esm/package.json": '{"type": "module"}',
    "/srv/other/node_modules/@a/b/package.json": json.dumps({"name": "@a/b", "version": "1.2.3"}),
    "/srv/node_modules/odd/package.json": "[1",
    f"{GEMS}/specifications/isbn-1.0.gemspec": (
        "# -*- encoding: utf-8 -*-\n# stub: isbn 1.0 ruby lib\n\nGem::Specification.new do |s|\n"
        '  s.name = "isbn".freeze\n  s.version = "1.0"\n  s.licenses = ["MIT".freeze, "Odd".freeze]\nend\n'
    ),
    f"{GEMS}/gems/isbn-1.0/lib/isbn.rb": "",
}
OWNED = {
    "tool": ["/usr/bin/tool", "/usr/share/doc/tool/copyright"],
    "python3-apt": [f"{APT}-2.6.egg-info/PKG-INFO"],
    "old": ["/usr/share/doc/old/copyright"],
}


def test_each_package_once() -> None:
    world = debian_world(IMAGE, OWNED)
    found = read(world.rootfs, world.packages)
    assert [(c.kind, c.name, c.version) for c in found.components] == [
        ("deb", "old", "1.0-1"),
        ("deb", "python3-apt", "1.0-1"),
        ("deb", "tool", "1.0-1"),
        ("gem", "isbn", "1.0"),
        ("npm", "@a/b", "1.2.3"),
        ("npm", "shop", "2.0.0"),
        ("pypi", "Some_Thing", "1.0"),
    ]
    by_name = {c.name: c for c in found.components}
    assert by_name["@a/b"].places == (
        "/srv/node_modules/@a/b/package.json",
        "/srv/other/node_modules/@a/b/package.json",
    )
    assert "/srv/node_modules/@a/b/esm/package.json" in by_name["@a/b"].files
    assert by_name["shop"].files == ("/srv/node_modules/odd/package.json", "/srv/package.json", "/srv/server.js")
    assert by_name["isbn"].files == (f"{GEMS}/gems/isbn-1.0/lib/isbn.rb", f"{GEMS}/specifications/isbn-1.0.gemspec")
    assert {f"{SITE}/some_thing/__init__.py", "/opt/venv/bin/some"} < set(by_name["Some_Thing"].files)
    assert found.distribution == "debian-12"
    assert set(found.digests) == {e.path for e in world.rootfs.entries() if e.is_file}


def test_licences_as_they_are_stated() -> None:
    world = debian_world(IMAGE, OWNED)
    found = {c.name: c.licences for c in read(world.rootfs, world.packages, files=False).components}
    assert found["tool"] == (Licence("GPL-2+ and Expat", "GPL-2.0-or-later AND MIT"), Licence("custom-thing"))
    assert found["old"] == (Licence("GPL-2"),)
    assert found["Some_Thing"] == (Licence("MIT OR Apache-2.0", "MIT OR Apache-2.0"),)
    assert found["@a/b"] == (Licence("ISC", "ISC"),)
    assert found["shop"] == (Licence("UNLICENSED"),)
    assert found["isbn"] == (Licence("MIT", "MIT"), Licence("Odd"))


@pytest.mark.parametrize(
    ("stated", "spdx"),
    [
        ("Expat", "MIT"),
        ("GPL-3", "GPL-3.0-only"),
        ("LGPL-2.1+", "LGPL-2.1-or-later"),
        ("BSD-3-clause or Apache-2.0", "BSD-3-Clause OR Apache-2.0"),
        ("GPL-2+ with OpenSSL exception", ""),
        ("public-domain", ""),
        ("Classpath-exception-2.0", ""),
        ("", ""),
    ],
)
def test_a_licence_of_debian(stated: str, spdx: str) -> None:
    assert licences.debian(stated).spdx == spdx


def test_the_same_package_twice_is_one() -> None:
    one, two = (Component("npm", "x", "1", (place,), (place,)) for place in ("/b", "/a"))
    assert merged((one, two)) == (Component("npm", "x", "1", ("/a", "/b"), ("/a", "/b")),)


# ------------------------------------------------------------------------------------------ compiled programs


def counted(text: bytes) -> bytes:
    size, head = len(text), b""
    while size >= 0x80:
        head, size = head + bytes([size & 0x7F | 0x80]), size >> 7
    return head + bytes([size]) + text


def go_section(*lines: str, release: str = "go1.22.1") -> bytes:
    table = b"s" * 16 + "\n".join(lines).encode() + b"e" * 16
    return b"\xff Go buildinf:\x08\x02".ljust(32, b"\0") + counted(release.encode()) + counted(table)


def test_modules_of_a_go_program() -> None:
    section = go_section(
        "path\texample.org/app",
        "mod\texample.org/app\t(devel)\t",
        "dep\tgolang.org/x/net\tv0.17.0\th1:x=",
        "dep\texample.org/old\tv1.0.0",
        "=>\texample.org/fork\tv1.0.1\th1:y=",
        "build\t-compiler=gc",
    )
    assert binaries.modules(section) == [
        ("example.org/fork", "v1.0.1"),
        ("golang.org/x/net", "v0.17.0"),
        ("stdlib", "1.22.1"),
    ]


def test_crates_of_a_rust_program() -> None:
    packages = [
        {"name": "app", "version": "0.1.0", "root": True},
        {"name": "cc", "version": "1.0.0", "kind": "build"},
        {"name": "serde", "version": "1.0.2", "kind": "runtime"},
    ]
    section = zlib.compress(json.dumps({"packages": packages}).encode())
    assert binaries.crates(section) == [("app", "0.1.0"), ("serde", "1.0.2")]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.binary(max_size=4))
def test_garbage_in_sections_says_nothing_and_raises_nothing(data: bytes, at: int, patch: bytes) -> None:
    whole = go_section("dep\ta\tv1")
    for section in (data, whole[:at] + patch + whole[at + len(patch) :], zlib.compress(data)):
        for name, version in (*binaries.modules(section), *binaries.crates(section)):
            assert name
            assert version


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=8), st.integers(0, 500))
def test_a_damaged_program_has_no_sections(data: bytes, patch: bytes, at: int) -> None:
    header = (
        b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 64, 0, 64, 56, 1, 64, 2, 1)
    )
    damaged = header + data
    damaged = damaged[:at] + patch + damaged[at + len(patch) :]
    assert len(binaries.sections(damaged, ".go.buildinfo", ".dep-v0")) == 2


@settings(max_examples=200, deadline=None)
@given(st.text(), st.sampled_from(["METADATA", "RECORD", "package.json", "x.gemspec", "top_level.txt"]))
def test_garbage_in_metadata_raises_nothing(text: str, where: str) -> None:
    places = {
        "package.json": "/srv/package.json",
        "x.gemspec": f"{GEMS}/specifications/x.gemspec",
    }
    table = dict(IMAGE)
    table[places.get(where, f"{SITE}/Some_Thing-1.0.dist-info/{where}")] = text.encode("utf-8", "surrogatepass")
    rootfs = tree(table)
    for reader in (languages.python, languages.node, languages.ruby):
        for component in reader(rootfs):
            assert languages.sane(component.name, component.version)
            assert all(rootfs.is_file(path) for path in component.files)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_of_a_licence_is_taken(text: str) -> None:
    licences.of_copyright(f"Format: x\nLicense: {text}\n")
    licences.stated([text])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('ID=debian\nVERSION_ID="12"\n', "debian-12"),
        ("ID=debian\n", "debian"),
        ("", "debian"),
        ("ID='unclosed\n", "debian"),
        ("VERSION_ID=12\nID=ubuntu\n", "ubuntu-12"),
    ],
)
def test_the_distribution(text: str, wanted: str) -> None:
    assert distribution(text) == wanted
