"""The platforms of an image: the one it is made for, and those whose packages were installed beside it.

Debian's multi-arch puts libraries of several architectures (i386 beside amd64) into one image, each into a directory of
its own (https://wiki.debian.org/Multiarch). A program loads what is in its own platform's.
"""

from __future__ import annotations

from debloat.closure import World, derived
from debloat.core.model import Entry
from debloat.core.platform import PLATFORMS, Platform
from debloat.elf.reading import elf_facts


@derived
def platforms(world: World) -> tuple[Platform, ...]:
    """The image's own platform, then the others that the image has libraries for, sorted.

    Its own is that of its configuration. Where that has no libraries, and one of the same architecture has, it is that
    one: few builders say which of the two platforms `arm` is meant.
    """
    present = [platform for platform in PLATFORMS if world.rootfs.is_dir(f"/usr/lib/{platform.multiarch}")]
    present += [
        platform
        for platform in PLATFORMS
        if platform not in present and world.rootfs.is_dir(f"/lib/{platform.multiarch}")
    ]
    own = world.platform
    if own not in present:
        own = next((platform for platform in present if platform.oci == own.oci), own)
    others = (platform for platform in present if platform != own)
    return own, *sorted(others, key=lambda platform: platform.debian)


def platforms_of(entry: Entry, world: World) -> tuple[Platform, ...]:
    """The platforms whose libraries a file may use: the one that its directory or its program code tells, else all."""
    candidates = platforms(world)
    if len(candidates) == 1:
        return candidates
    named = tuple(platform for platform in candidates if f"/{platform.multiarch}/" in entry.path)
    if named:
        return named
    facts = elf_facts(world.rootfs, entry.path) if entry.is_file else None
    return candidates if facts is None or facts.platform is None else (facts.platform,)


def multiarchs_of(world: World) -> tuple[str, ...]:
    """The names of the multi-arch directories of an image's platforms, its own first."""
    return tuple(platform.multiarch for platform in platforms(world))
