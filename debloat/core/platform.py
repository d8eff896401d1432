"""Architectures by their names in every vocabulary that meets here: one table, so that no two of them disagree.

Sources: the image specification's `architecture` and `variant` (GOARCH and GOARM), `dpkg-architecture -L`,
https://wiki.debian.org/Multiarch/Tuples, `process.arch` of Node, uname(2), and elf.h for the header of its programs.
"""

from __future__ import annotations

from functools import cache

from msgspec import Struct

from debloat.core.errors import UsageError

EF_ARM_ABI_FLOAT_SOFT = 0x200
"""In `e_flags` of 32-bit ARM: no argument is passed in registers for floating point (armel, not armhf)."""


class Platform(Struct, frozen=True):
    """One architecture of Debian, and what others call it.

    `oci` is the architecture of an image's configuration, `variants` its variants where only some are meant, `node` the
    `process.arch` of Node, `machine` what `uname -m` says, `bits`, `elf` and `little_endian` the class, `e_machine` and
    byte order of its programs.
    """

    oci: str
    debian: str
    multiarch: str
    node: str
    machine: str
    bits: int = 64
    elf: int = 0
    little_endian: bool = True
    variants: tuple[str, ...] = ()


PLATFORMS = (
    Platform("386", "i386", "i386-linux-gnu", "ia32", "i686", 32, 3),
    Platform("amd64", "amd64", "x86_64-linux-gnu", "x64", "x86_64", 64, 62),
    Platform("amd64p32", "x32", "x86_64-linux-gnux32", "x32", "x86_64", 32, 62),
    Platform("arm", "armel", "arm-linux-gnueabi", "arm", "armv6l", 32, 40, variants=("v5", "v6")),
    Platform("arm", "armhf", "arm-linux-gnueabihf", "arm", "armv7l", 32, 40),
    Platform("arm64", "arm64", "aarch64-linux-gnu", "arm64", "aarch64", 64, 183),
    Platform("loong64", "loong64", "loongarch64-linux-gnu", "loong64", "loongarch64", 64, 258),
    Platform("mips64le", "mips64el", "mips64el-linux-gnuabi64", "mips64el", "mips64", 64, 8),
    Platform("ppc64le", "ppc64el", "powerpc64le-linux-gnu", "ppc64", "ppc64le", 64, 21),
    Platform("riscv64", "riscv64", "riscv64-linux-gnu", "riscv64", "riscv64", 64, 243),
    Platform("s390x", "s390x", "s390x-linux-gnu", "s390x", "s390x", 64, 22, little_endian=False),
)
"""Of two with the same name in an image's configuration, the one with the variant comes first, and the other is meant
where there is no variant."""

AMD64 = next(platform for platform in PLATFORMS if platform.debian == "amd64")


def of_image(architecture: str, variant: str = "") -> Platform:
    """The platform of an image's configuration; one that the table lacks is called the same in every vocabulary."""
    for platform in PLATFORMS:
        if platform.oci == architecture and (not platform.variants or variant in platform.variants):
            return platform
    return Platform(architecture, architecture, architecture, architecture, architecture)


ALL = "all"
"""In place of a platform: each of an index, as crane(1) has it."""


class Wanted(Struct, frozen=True):
    """A platform that an image is to be for. Without a variant any will do."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def fits(self, os: str, architecture: str, variant: str) -> bool:
        """Whether an image with these is for it."""
        return (os, architecture) == (self.os, self.architecture) and self.variant in ("", variant)


def wanted(text: str) -> Wanted:
    """`OS/ARCH[/VARIANT]`, or an architecture alone, by its name in any vocabulary. UsageError for another text."""
    words = text.strip().lower().split("/")
    if words == [ALL]:
        raise UsageError(
            "cannot take all platforms at once here: this is done with one image",
            "name one of them (--platform linux/arm64); the main job, `run`, `lock` and `apply` take all",
        )
    if len(words) == 1:
        words = ["linux", *words]
    if len(words) > 3 or not all(words):
        raise UsageError(f"{text!r} is not a platform", "write OS/ARCH or OS/ARCH/VARIANT: linux/arm64, linux/arm/v7")
    names = {name: platform.oci for platform in reversed(PLATFORMS) for name in (platform.debian, platform.machine)}
    return Wanted(words[0], names.get(words[1], words[1]), *words[2:])


@cache
def of_elf(bits: int, machine: int, little_endian: bool, flags: int) -> Platform | None:
    """The platform that an ELF header speaks of (`e_machine`, `e_flags`); None for one that Debian has not."""
    candidates = [p for p in PLATFORMS if (p.bits, p.elf, p.little_endian) == (bits, machine, little_endian)]
    if len(candidates) > 1:
        return candidates[not flags & EF_ARM_ABI_FLOAT_SOFT]
    return candidates[0] if candidates else None
