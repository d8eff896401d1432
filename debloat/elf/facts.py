"""Facts from an ELF file: what the kernel and ld.so read of it before its first instruction runs.

Sources: elf(5), the System V gABI chapter on dynamic linking, `elf.h` of glibc for the GNU values, and the
"dlopen metadata for ELF files" specification (https://systemd.io/ELF_DLOPEN_METADATA) for `.note.dlopen`.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from msgspec import Struct

from debloat.core.platform import Platform, of_elf

MAGIC = b"\x7fELF"
HEADER = 52
"""Bytes of the shortest header, that of a 32-bit file (elf(5))."""
MAX_NAMES = 4096
"""Dynamic entries, versions and notes that are read of one file; real ones have tens."""
MAX_NAME = 4096
"""PATH_MAX: a longer name cannot be opened (path_resolution(7))."""
MAX_NEEDED = 1024
MAX_SEGMENTS = 256
MAX_NOTES = 1 << 20
"""Bytes of a note segment that is read: one note of at most `MAX_NOTE` for each library is far below it."""
MAX_NOTE = 1 << 16
DLOPEN_NOTE = (b"FDO\0", 0x407C0C0A)
DF_1_NODEFLIB = 0x800

SHELL_USES = ("system", "popen", "/bin/sh")
"""Names in a string table, and the shell's own as a literal: an object that runs command lines has one of them."""

TYPES = {1: "rel", 2: "exec", 3: "dyn", 4: "core"}


class DlopenFeature(Struct, frozen=True):
    """One item of `.note.dlopen`: the sonames that would do, best first, and how much it matters."""

    sonames: tuple[str, ...]
    priority: str = "recommended"
    feature: str = ""


class ElfFacts(Struct, frozen=True):
    """What an ELF file says of itself.

    `bits` is 32 or 64, `machine` the number of `e_machine`, `flags` those of the machine (`e_flags`), `kind` `exec`,
    `dyn`, `rel`, `core` or empty.
    `rpath` and `runpath` are as written, `""` where absent. `needed` keeps the order of the file; `filters` are
    DT_AUXILIARY and DT_FILTER, `audits` DT_AUDIT and DT_DEPAUDIT. `defines` are the versions of DT_VERDEF.
    `shell_use` is the word by which it says that it runs command lines, one of `SHELL_USES`; "" where none is in it.
    """

    bits: int
    machine: int
    little_endian: bool = True
    kind: str = "dyn"
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: str = ""
    runpath: str = ""
    flags: int = 0
    flags_1: int = 0
    filters: tuple[str, ...] = ()
    audits: tuple[str, ...] = ()
    dlopens: tuple[DlopenFeature, ...] = ()
    defines: tuple[str, ...] = ()
    shell_use: str = ""

    @property
    def abi(self) -> tuple[int, int, bool]:
        """What must be equal in two objects for ld.so to put them into one process."""
        return self.bits, self.machine, self.little_endian

    @property
    def platform(self) -> Platform | None:
        """The platform of Debian that it is a program or library of; None for another."""
        return of_elf(self.bits, self.machine, self.little_endian, self.flags)

    @property
    def nodeflib(self) -> bool:
        """Whether ld.so searches for what it needs without the default directories: `-z nodefaultlib` (ld(1))."""
        return bool(self.flags_1 & DF_1_NODEFLIB)

    @property
    def effective_rpath(self) -> str:
        """DT_RPATH, which counts only where there is no DT_RUNPATH (ld.so(8))."""
        return "" if self.runpath else self.rpath


def shell_use(data: bytes) -> str:
    """The first of `SHELL_USES` that stands in an ELF image as a text of its own; "" where none does."""
    return next((word for word in SHELL_USES if b"\0%b\0" % word.encode() in data), "")


def looks_like_elf(data: bytes) -> bool:
    """Whether a file begins as an ELF file of either class and byte order does (elf(5), `e_ident`)."""
    return len(data) >= HEADER and data.startswith(MAGIC) and data[4] in (1, 2) and data[5] in (1, 2)


def notes(data: bytes, little_endian: bool = True) -> Iterator[tuple[bytes, int, bytes]]:
    """The (owner, type, description) of each note in a note segment, until the first that is cut off."""
    header = struct.Struct("<III" if little_endian else ">III")
    at = 0
    for _ in range(MAX_NAMES):
        if at + header.size > len(data):
            return
        name_size, size, kind = header.unpack_from(data, at)
        start = at + header.size
        description = start + (name_size + 3) // 4 * 4
        if description + size > len(data):
            return
        yield data[start : start + name_size], kind, data[description : description + size]
        at = description + (size + 3) // 4 * 4


def parse_dlopen_notes(data: bytes, little_endian: bool = True) -> list[DlopenFeature]:
    """The features of all `.note.dlopen` notes in a note segment; malformed ones are left out."""
    features = list[DlopenFeature]()
    for owner, kind, description in notes(data, little_endian):
        if (owner, kind) != DLOPEN_NOTE or len(description) > MAX_NOTE:
            continue
        try:
            value = json.loads(description.partition(b"\0")[0])
        except (ValueError, RecursionError):
            continue
        features += (f for item in (value if isinstance(value, list) else [value]) if (f := _feature(item)))
    return features


def _feature(item: object) -> DlopenFeature | None:
    if not isinstance(item, dict):
        return None
    sonames = item.get("soname")
    names = tuple(n for n in (sonames if isinstance(sonames, list) else [sonames]) if isinstance(n, str) and n)
    priority = item.get("priority")
    return DlopenFeature(names, str(priority or "recommended"), str(item.get("feature") or "")) if names else None
