"""What tells of a language's package that it is there, for each of which code stays: scanners see nothing else of it.

As the package database is, this is no matter of what a program touches. It follows from what stays and nothing follows
from it: a `package.json` that is kept for the scanners' sake does not bring the dependencies that it declares.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from debloat.core.model import Closure, Evidence
from debloat.debian.documentation import is_documentation
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs
from debloat.inventory.languages import READERS

RULE = "package.named"


def named(rootfs: Rootfs, packages: Packages, closure: Closure, dropped: Callable[[str], bool]) -> Closure:
    """The closure with the metadata of each package of a language of which it has code, but what is `dropped` by
    hand."""
    more: dict[str, tuple[Evidence, ...]] = {}
    for reader in READERS:
        for component in reader(rootfs):
            (place,) = component.places
            if place in closure or dropped(place) or packages.owners(place):
                continue
            code = next((path for path in component.files if path in closure and is_code(path, place)), None)
            if code is None:
                continue
            more[place] = (Evidence(RULE, code, f"says which {component.kind} package this is"),)
            parent, below = place.rpartition("/")[0] or "/", place
            while parent not in closure and parent not in more:
                more[parent] = (Evidence("parent", below),)
                parent, below = parent.rpartition("/")[0] or "/", parent
    if not more:
        return closure
    return Closure(MappingProxyType(dict(sorted({**closure.evidence, **more}.items()))))


def is_code(path: str, place: str) -> bool:
    """Whether a file of a package that is told of at `place` is not only about the package."""
    about = place.rpartition("/")[0] + "/"
    beside = about.endswith((".dist-info/", ".egg-info/")) and path.startswith(about)
    return path != place and not beside and not is_documentation(path)
