"""What an image is made of: packages, places, duplicates, rights and credentials of trees written as tables."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from debloat.anatomy.binaries import privileged
from debloat.anatomy.contents import Place, contents
from debloat.anatomy.credentials import Credential, credentials, in_text
from debloat.anatomy.duplicates import duplicates
from debloat.anatomy.image import SECTIONS, dissect
from debloat.anatomy.layers import Buried
from debloat.anatomy.tree import Branch, directories
from debloat.core.capabilities import XATTR, capabilities
from debloat.core.model import Entry, Image, ImageConfig, Kind
from debloat.image.rootfs import MemoryContents, Rootfs
from tests.support.trees import FakePackages, Table, tree

TABLE: Table = {
    "/usr/bin/tool": ("0755", "tool"),
    "/usr/lib/tool/data": "12345",
    "/usr/lib/tool/made/cache": "1",
    "/etc/tool.conf": "a=1",
    "/etc/own.conf": "b=22",
    "/srv/app/deep/er/still/x": "1234567",
    "/srv/app/y": "1",
}
OWNED = FakePackages({"tool": ["/usr/bin/tool", "/usr/lib/tool/data", "/etc/tool.conf"], "empty": []})


def image(**config: Any) -> Image:
    return Image("shop:1", "sha256:" + "1" * 64, "linux", "amd64", "", "", ImageConfig(config))


def test_whose_the_files_are() -> None:
    found = contents(tree(TABLE), OWNED)
    assert [(p.name, p.files, p.bytes) for p in found.packages] == [("empty", 0, 0), ("tool", 3, 12)]
    assert found.places == (Place("/etc", 1, 4), Place("/srv", 2, 8), Place("/usr/lib/tool", 1, 1))


def test_every_file_is_of_a_package_or_in_a_place() -> None:
    rootfs = tree(TABLE)
    found = contents(rootfs, OWNED)
    files = [e for e in rootfs.entries() if not e.is_dir]
    counts = [(p.files, p.bytes) for p in found.packages] + [(p.files, p.bytes) for p in found.places]
    assert sum(number for number, _ in counts) == len(files)
    assert sum(size for _, size in counts) == sum(e.size for e in files)


def test_directories_add_up() -> None:
    root = directories(tree(TABLE), OWNED)

    def check(branch: Branch) -> None:
        assert branch.bytes >= sum(child.bytes for child in branch.children)
        for child in branch.children:
            check(child)

    check(root)
    assert (root.path, root.files, root.bytes, root.owner) == ("/", 7, 25, "")
    assert [(b.name, b.owner) for b in root.children] == [("etc", ""), ("srv", ""), ("usr", "tool")]


def test_a_hard_linked_file_is_there_once() -> None:
    files = [Entry(f"/{n}", Kind.FILE, size=5000, hardlink=1) for n in "ab"] + [Entry("/c", Kind.FILE, size=5000)]
    rootfs = Rootfs([Entry("/", Kind.DIR), *files], MemoryContents(dict.fromkeys(("/a", "/b", "/c"), b"x" * 5000)))
    assert directories(rootfs, OWNED).bytes == 10000
    (found,) = duplicates(rootfs)
    assert (found.paths, found.wasted) == (("/a", "/c"), 5000)


def test_duplicates() -> None:
    big, other = "x" * 5000, "y" * 5000
    rootfs = tree({"/a": big, "/b": big, "/c": big, "/d": other, "/e": "small", "/f": "small"})
    assert [(d.paths, d.wasted) for d in duplicates(rootfs)] == [(("/a", "/b", "/c"), 10000)]


# ------------------------------------------------------------------------------------------ rights


def attribute(*numbers: int, revision: int = 2) -> bytes:
    bits = sum(1 << number for number in numbers)
    return struct.pack("<IIIII", revision << 24 | 1, bits & 0xFFFFFFFF, 0, bits >> 32, 0)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (attribute(13), ("cap_net_raw",)),
        (attribute(10, 40), ("cap_net_bind_service", "cap_checkpoint_restore")),
        (attribute(21, revision=3) + b"\0\0\0\0", ("cap_sys_admin",)),
        (struct.pack("<III", 1 << 24, 1, 0), ("cap_chown",)),
        (attribute(60), ("cap_60",)),
        (b"", ()),
        (attribute(1)[:10], ()),
        (b"\0" * 30, ()),
    ],
)
def test_capabilities_of_a_file(value: bytes, names: tuple[str, ...]) -> None:
    assert capabilities(value) == names


@given(st.binary(max_size=40))
def test_no_attribute_breaks_it(value: bytes) -> None:
    assert all(name.startswith("cap_") for name in capabilities(value))


def test_files_that_give_rights() -> None:
    entries = [
        Entry("/", Kind.DIR, 0o755),
        Entry("/ping", Kind.FILE, 0o755, xattrs=((XATTR, attribute(13)),)),
        Entry("/su", Kind.FILE, 0o6755, gid=8),
        Entry("/plain", Kind.FILE, 0o755),
    ]
    found = privileged(Rootfs(entries, MemoryContents({})))
    assert [(p.path, p.owner, p.rights) for p in found] == [
        ("/ping", "0:0", ("cap_net_raw",)),
        ("/su", "0:8", ("setuid", "setgid")),
    ]


# ------------------------------------------------------------------------------------------ credentials

KEY = "-----BEGIN {}PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (KEY.format(""), "private key"),
        (KEY.format("RSA "), "private key"),
        (KEY.format("OPENSSH "), "private key"),
        ("key = AKIA" + "Q2" * 8, "access token"),
        ("x\nghp_" + "a1" * 18, "access token"),
        ("//registry.npmjs.org/:_authToken=abcdefgh12", "access token"),
        ("machine host login me password hunter2", "password"),
        ("url = postgres://shop:s3cretpass@db.internal/x", "password"),
        ("-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC", ""),
        ("if line == '-----BEGIN PRIVATE KEY-----':", ""),
        ("_authToken=${NPM_TOKEN}", ""),
        ("http://user:${PASSWORD}@host/", ""),
        ("see https://example.com:8080/path@2x", ""),
        ("machine learning login page password", ""),
    ],
)
def test_what_is_a_credential_in_a_text(text: str, kind: str) -> None:
    assert [found for found, _ in in_text(text.encode())] == ([kind] if kind else [])


def test_where_credentials_are_found() -> None:
    rootfs = tree(
        {
            "/root/.netrc": "x",
            "/root/.bash_history": "mysql -psecret",
            "/root/.empty_history": "",
            "/home/me/.docker/config.json": "{}",
            "/srv/app/settings.py": "# one\nURL = 'amqp://a:longpass@mq.example'\n",
            "/etc/shadow": "root:*:1:::\nme:$y$j9T$abcdefgh:1::\n",
            "/usr/share/tool/test.pem": KEY.format(""),
        }
    )
    packages = FakePackages({"tool": ["/usr/share/tool/test.pem"]})
    one = replace(
        image(Env=["DB_PASSWORD=x", "PATH=/bin", "TOKENIZERS=1"]),
        history=("/bin/sh -c #(nop) ARG x", "|1 API_KEY=abcdef /bin/sh -c make", "RUN make TOKEN=$TOKEN"),
    )
    found = credentials(one, rootfs, packages, [Buried("/root/.npmrc", 30, 1, 2), Buried("/root/x", 30, 1, 2)])
    assert [(c.where, c.line) for c in found] == [
        ("/etc/shadow", 2),
        ("/home/me/.docker/config.json", 0),
        ("/root/.bash_history", 0),
        ("/root/.netrc", 0),
        ("/root/.npmrc", 0),
        ("/srv/app/settings.py", 2),
        ("ENV DB_PASSWORD", 0),
        ("history 2", 0),
    ]
    assert Credential("/root/.npmrc", "credentials", 0, "in layer 2, hidden by layer 3") in found
    assert "abcdef" not in str(found)
    assert "longpass" not in str(found)


@given(st.binary(max_size=3000))
def test_no_text_breaks_the_search(data: bytes) -> None:
    assert all(line >= 1 for _, line in in_text(data))


def test_only_what_was_asked_for_is_looked_for() -> None:
    def never() -> Any:
        raise AssertionError

    found = dissect(image(), tree(TABLE), OWNED, never, ["duplicates", "packages"])
    assert found.sections == ("packages", "duplicates")
    assert [p.name for p in found.packages] == ["empty", "tool"]
    assert found.unowned == ()
    assert dissect(image(), tree(TABLE), OWNED, lambda: ()).sections == SECTIONS
