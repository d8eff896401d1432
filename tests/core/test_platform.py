"""One table of architectures: each row by every name, and what each vocabulary's lookup gives."""

from __future__ import annotations

import pytest

from debloat.core.model import Image, ImageConfig
from debloat.core.platform import PLATFORMS, Platform, of_elf, of_image
from debloat.elf.loader import MACHINES

ROWS = [
    ("386", "", "i386", "i386-linux-gnu", "ia32", "i686"),
    ("amd64", "", "amd64", "x86_64-linux-gnu", "x64", "x86_64"),
    ("amd64", "v3", "amd64", "x86_64-linux-gnu", "x64", "x86_64"),
    ("amd64p32", "", "x32", "x86_64-linux-gnux32", "x32", "x86_64"),
    ("arm", "", "armhf", "arm-linux-gnueabihf", "arm", "armv7l"),
    ("arm", "v7", "armhf", "arm-linux-gnueabihf", "arm", "armv7l"),
    ("arm", "v6", "armel", "arm-linux-gnueabi", "arm", "armv6l"),
    ("arm", "v5", "armel", "arm-linux-gnueabi", "arm", "armv6l"),
    ("arm64", "", "arm64", "aarch64-linux-gnu", "arm64", "aarch64"),
    ("arm64", "v8", "arm64", "aarch64-linux-gnu", "arm64", "aarch64"),
    ("loong64", "", "loong64", "loongarch64-linux-gnu", "loong64", "loongarch64"),
    ("mips64le", "", "mips64el", "mips64el-linux-gnuabi64", "mips64el", "mips64"),
    ("ppc64le", "", "ppc64el", "powerpc64le-linux-gnu", "ppc64", "ppc64le"),
    ("riscv64", "", "riscv64", "riscv64-linux-gnu", "riscv64", "riscv64"),
    ("s390x", "", "s390x", "s390x-linux-gnu", "s390x", "s390x"),
]
"""OCI architecture and variant; Debian's, multi-arch, Node's and uname's names."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "/".join(filter(None, row[:2])))
def test_every_name(row: tuple[str, ...]) -> None:
    architecture, variant, *names = row
    image = Image("r", "", "linux", architecture, variant, "", ImageConfig({}))
    found = image.platform
    assert [found.debian, found.multiarch, found.node, found.machine] == names
    assert found.oci == architecture


def test_every_row_is_named_here() -> None:
    assert {row[2] for row in ROWS} == {platform.debian for platform in PLATFORMS}


def test_a_name_that_nobody_knows_stands_for_itself() -> None:
    assert of_image("sparc64") == Platform("sparc64", "sparc64", "sparc64", "sparc64", "sparc64")


@pytest.mark.parametrize(
    ("header", "debian"),
    [
        ((64, 62, True, 0), "amd64"),
        ((32, 62, True, 0), "x32"),
        ((32, 3, True, 0), "i386"),
        ((32, 40, True, 0x5000000), "armhf"),
        ((32, 40, True, 0x5000400), "armhf"),
        ((32, 40, True, 0x5000200), "armel"),
        ((64, 21, True, 2), "ppc64el"),
        ((64, 22, False, 0), "s390x"),
    ],
)
def test_an_elf_header_tells(header: tuple[int, int, bool, int], debian: str) -> None:
    found = of_elf(*header)
    assert found is not None
    assert found.debian == debian


def test_an_elf_header_of_no_debian() -> None:
    assert of_elf(64, 21, False, 0) is None


def test_the_loader_knows_every_platform() -> None:
    assert MACHINES.keys() == {p.debian for p in PLATFORMS}
    assert [
        m.lib for m in MACHINES.values() if not m.lib.endswith(("-gnu", "-gnux32", "eabi", "eabihf", "abi64"))
    ] == []
