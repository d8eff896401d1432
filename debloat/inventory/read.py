"""The inventory of a root file system."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Iterator
from types import MappingProxyType

from msgspec.structs import replace

from debloat.debian.documentation import copyright_file
from debloat.debian.packages import Packages
from debloat.image.rootfs import Rootfs
from debloat.inventory import binaries
from debloat.inventory.languages import READERS
from debloat.inventory.licences import MAX_COPYRIGHT, of_copyright, with_expressions
from debloat.inventory.model import Component, Inventory, Licence


def read(rootfs: Rootfs, packages: Packages, *, files: bool = True) -> Inventory:
    """The inventory of an image, with the digests of its files if `files`.

    A package that a Debian package brought is that package, and not named again.
    """
    regular = [entry.path for entry in rootfs.entries() if entry.is_file]
    if files:
        rootfs.fetch(regular)
    installed = list(_debian(rootfs, packages))
    theirs = frozenset(path for component in installed for path in component.files)
    others = [
        replace(c, licences=with_expressions(c.licences))
        for reader in READERS
        for c in reader(rootfs)
        if not theirs.intersection(c.places)
    ]
    programs = [
        p for p in regular if p not in theirs and (e := rootfs.get(p)) is not None and _may_be_linked(e.mode, p)
    ]
    rootfs.fetch(programs)
    others += binaries.linked(rootfs, programs)
    found = (replace(c, files=tuple(f for f in c.files if f not in theirs)) for c in others)
    return Inventory(
        merged((*installed, *found)),
        distribution(rootfs.text("/etc/os-release") or rootfs.text("/usr/lib/os-release")),
        MappingProxyType({path: digests(rootfs.chunks(path)) for path in regular} if files else {}),
    )


def _may_be_linked(mode: int, path: str) -> bool:
    """Whether a file can be a program or a library of which a compiler says what is in it."""
    return bool(mode & 0o111) or path.endswith(".so")


def merged(components: Iterable[Component]) -> tuple[Component, ...]:
    """Each package once, sorted: the places and files of those that are the same package together."""
    found: dict[tuple[str, ...], Component] = {}
    for component in components:
        known = found.get(component.key)
        if known is not None:
            component = replace(
                known,
                places=tuple(sorted({*known.places, *component.places})),
                files=tuple(sorted({*known.files, *component.files})),
                licences=known.licences or component.licences,
            )
        found[component.key] = component
    return tuple(found[key] for key in sorted(found))


def _debian(rootfs: Rootfs, packages: Packages) -> Iterator[Component]:
    known = [p for name in packages.names() if (p := packages.get(name)) is not None and p.installed]
    rootfs.fetch(real.path for p in known if (real := rootfs.lookup(copyright_file(p.package))) is not None)
    for package in known:
        own = (path for path in packages.files(package.name) if (e := rootfs.get(path)) is not None and e.is_file)
        yield Component(
            "deb",
            package.package,
            package.version,
            ("/var/lib/dpkg/status",),
            tuple(own),
            _copyright(rootfs, package.package),
            package.architecture,
            package.source or package.package,
            package.source_version,
        )


def _copyright(rootfs: Rootfs, package: str) -> tuple[Licence, ...]:
    path = copyright_file(package)
    if not rootfs.is_file(path):
        return ()
    return of_copyright(rootfs.read(path, MAX_COPYRIGHT).decode("utf-8", "replace"))


def digests(pieces: Iterable[bytes]) -> tuple[str, str]:
    """The SHA-1 and the SHA-256 of a content, in hexadecimal; SPDX wants the first, everybody else the second."""
    one, two = hashlib.sha1(usedforsecurity=False), hashlib.sha256()
    for piece in pieces:
        one.update(piece)
        two.update(piece)
    return one.hexdigest(), two.hexdigest()


def distribution(text: str) -> str:
    """`ID-VERSION_ID` of os-release(5); `debian` where it says nothing."""
    values: dict[str, str] = {}
    for line in text.splitlines()[:200]:
        key, equals, value = line.partition("=")
        if equals and key in ("ID", "VERSION_ID"):
            try:
                values[key] = "".join(shlex.split(value)[:1])
            except ValueError:
                continue
    return "-".join(filter(None, (values.get("ID", "debian"), values.get("VERSION_ID", ""))))
