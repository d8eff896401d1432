"""What of an image can be run, and with which rights, before and after (`debloat.surface` finds it out)."""

from __future__ import annotations

from msgspec import Struct


class Surface(Struct, frozen=True):
    """What of an image can be run, and with which rights; paths are sorted.

    `elf` counts programs and libraries, `executable_bytes` what of them is mapped as code, a hard-linked file once.
    `capabilities` are files that have some, `interpreters` and `network_tools` programs and links to them.
    `vulnerabilities` are the identifiers that a scanner's report has for what is in the image; None where none was
    given.
    """

    elf: int = 0
    executable_bytes: int = 0
    capabilities: tuple[str, ...] = ()
    interpreters: tuple[str, ...] = ()
    network_tools: tuple[str, ...] = ()
    vulnerabilities: tuple[str, ...] | None = None


class Surfaces(Struct, frozen=True):
    """Both of a run."""

    before: Surface
    after: Surface


NO_SURFACES = Surfaces(Surface(), Surface())
"""Where nobody looked."""
