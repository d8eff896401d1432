"""Distributions that were installed by name, not as what others need: pip marks them (PEP 376, REQUESTED)."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from debloat.closure import World
from debloat.rules.language import Installed
from debloat.rules.languages.python.packages import distribution, units


def installed(world: World) -> Iterator[Installed]:
    """The distributions that were asked for, sorted by where their metadata lies.

    Their commands stay with them: a container is operated with `uvicorn`, `celery`, `flask`, whatever was recorded.
    """
    for path in sorted(world.rootfs.named("REQUESTED")):
        metadata = posixpath.dirname(path)
        unit = units(world).by_name.get(distribution(metadata))
        if not metadata.endswith(".dist-info") or unit is None or world.packages.owners(path):
            continue
        programs = tuple(file for file in unit.files if "/bin/" in file)
        # Programs that look for plug-ins read everyone's metadata.
        code = tuple(file for file in unit.files if ".dist-info/" not in file)
        yield Installed(unit.name, (unit.anchor, *programs), code, programs)
