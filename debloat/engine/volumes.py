"""Volumes as `docker run -v` has them: `SOURCE:TARGET[:OPTIONS]`, or `TARGET` alone for an anonymous one."""

from __future__ import annotations

import os

from msgspec import Struct

from debloat.core.errors import UsageError

_OPTIONS = frozenset({"ro", "rw", "z", "Z", "nocopy", "rprivate", "private", "rslave", "slave", "rshared", "shared"})


class Volume(Struct, frozen=True):
    """`source` is an absolute path of this machine, or a volume's name; empty for an anonymous one."""

    source: str
    target: str
    read_only: bool = False
    copied: bool = True

    @property
    def named(self) -> bool:
        return bool(self.source) and not self.source.startswith("/")


def absolute(volume: str) -> str:
    """A volume whose source is a path relative to here, by that path in full, as the docker CLI does since 23."""
    source, colon, rest = volume.partition(":")
    if colon and source.startswith(".") and (source.strip(".") == "" or "/" in source):
        return f"{os.path.abspath(source)}:{rest}"
    return volume


def parse(volume: str) -> Volume:
    """A volume as a value; UsageError where it is none."""
    source, *rest = absolute(volume).split(":")
    if not rest:
        source, rest = "", [source]
    options = set(rest[1].split(",")) if len(rest) == 2 else set()
    named = not source.startswith("/")
    if len(rest) > 2 or not rest[0].startswith("/") or options - _OPTIONS or (named and "/" in source):
        raise UsageError(
            f"{volume!r} is no volume", "write /SOURCE:/TARGET, NAME:/TARGET or /TARGET, with :ro behind it"
        )
    return Volume(source, rest[0], "ro" in options, "nocopy" not in options)
