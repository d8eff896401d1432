"""What the audit reads of an ELF file, as a value."""

from __future__ import annotations

from msgspec import Struct


class ElfObject(Struct, frozen=True):
    """What the audit reads of one ELF file.

    `abi` is its class (32 or 64), whether it is little-endian, and the multi-arch name of its platform. `search` are
    the directories of DT_RPATH and DT_RUNPATH, `requires` the (file, version) pairs of DT_VERNEED that are not weak,
    `defines` the versions of DT_VERDEF.
    """

    abi: tuple[int, bool, str]
    interpreter: str
    needed: tuple[str, ...]
    soname: str
    search: tuple[str, ...]
    requires: tuple[tuple[str, str], ...]
    defines: tuple[str, ...]
