"""The application shipped as Debian packages: the author's own `.deb`, or one from a vendor's repository.

What such a package brings is the application, although dpkg owns it: templates, late imports, helpers, translations,
its directory in /etc. So rules see it as files of no package (`closing`), and it is whole, less
documentation and development files. The package database of the minimal image still tells whose the files are.

No package of Debian's archive puts a file below /opt, /srv, /home or /usr/local (FHS 3.0; Debian policy 9.1.1, 9.1.2),
is without /usr/share/doc/NAME and a changelog in it (12.5, 12.7), or has the fields of other makers of packages.
A package counts once the Dockerfile asks for it, a recorded program used it, or another that counts depends on it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from msgspec.structs import replace

from debloat.closure import Rule, World, derived, derived_of_image
from debloat.core.model import Op, Want
from debloat.debian.documentation import is_documentation
from debloat.debian.dpkg import ADMIN, Database
from debloat.rules.application.build import asked_packages

OWN_GROUND = ("/opt/", "/srv/", "/home/", "/usr/local/")

_MAKER = re.compile(rb"^(?:Vendor|License|Origin):[ \t]*(?!Debian\b|Ubuntu\b)\S", re.MULTILINE)
"""Fields that fpm, nfpm and vendors write. Debian's binary packages have none of them."""

_MAINTAINER = re.compile(rb"^Maintainer:[^\n]*(?:@|\.)(?:debian\.org|ubuntu\.com|canonical\.com)>", re.MULTILINE)
_LOCAL = re.compile(r"([\w.+~-]+?)(?:_[^/\s'\"]*)?\.deb\b")

UNUSED = re.compile(r"(?:/usr)?/include/.*|.*/lib/(?:.*/)?[^/]+\.(?:a|la|pc)")
"""Files of a package that are for compilers only."""


@derived_of_image
def foreign_packages(world: World) -> Mapping[str, str]:
    """The packages that are none of Debian's archive: dpkg name -> what shows it, for people."""
    database = world.packages
    if not isinstance(database, Database):
        return {}
    local = _local_files(world.history)
    return {name: why for name in database.names() if (why := _foreign(database, name, local))}


@derived
def shipped(world: World) -> Mapping[str, str]:
    """The packages that are the application's: dpkg name -> what shows it, for people; sorted."""
    database, foreign = world.packages, foreign_packages(world)
    if not foreign or not isinstance(database, Database):
        return {}
    local = _local_files(world.history)
    requested = {*asked_packages(world), *(name for bare in local for name in database.providers(bare))}
    todo = [name for name in foreign if name in requested or name in _used(world)]
    names: set[str] = set()
    while todo:
        name = todo.pop()
        if name in names:
            continue
        names.add(name)
        package = database.get(name)
        bares = {bare for group in (package.depends if package else ()) for bare in group}
        todo += [provider for bare in bares for provider in database.providers(bare) if provider in foreign]
    return {name: foreign[name] for name in sorted(names)}


@derived
def closing(world: World) -> World:
    """The world as rules look at it: the application's files belong to no package, shipped in one or not."""
    names = shipped(world)
    if not names or not isinstance(world.packages, Database):
        return world
    return replace(world, packages=world.packages.disowning(names))


class ShippedPackages(Rule):
    """All of the packages that the application is shipped in, less documentation."""

    name: ClassVar[str] = "application.package"

    def initial_wants(self, world: World) -> Iterator[Want]:
        for name, why in shipped(world).items():
            for path in world.packages.files(name):
                if not is_documentation(path) and not UNUSED.fullmatch(path):
                    yield Want(path, self.name, f"package:{name}", why, follow=False)


def _foreign(database: Database, name: str, local: frozenset[str]) -> str:
    """What shows that Debian's archive has no such package; "" where nothing does."""
    record = database.records[name]
    if record.origin != f"{ADMIN}/status":
        return ""
    lines = database.listed(name)
    bare = record.package.package
    for line in lines:
        if line.startswith(OWN_GROUND) and (entry := database.rootfs.get(line)) is not None and not entry.is_dir:
            return f"{name} has {line}, where no package of Debian has files"
    if maker := _MAKER.search(record.stanza.raw):
        return f"{name} says {maker[0].partition(b':')[0].decode()} of itself, which no package of Debian does"
    if bare in local and not _MAINTAINER.search(record.stanza.raw):
        return f"the Dockerfile installs {name} from a file"
    if len(lines) <= 1:
        return ""
    documents = f"/usr/share/doc/{bare}/"
    if not any(line.startswith("/usr/share/doc/") for line in lines):
        return f"{name} has no /usr/share/doc, as all packages of Debian do"
    own = [line for line in lines if line.startswith(documents)]
    if own and not any("change" in line[len(documents) :].lower() for line in own):
        return f"{name} has no changelog, as all packages of Debian do"
    return ""


def _local_files(history: Iterable[str]) -> frozenset[str]:
    """Bare names of packages that were installed from files: `dpkg -i acme_1.0_amd64.deb`, `COPY acme.deb /tmp/`."""
    return frozenset(posixpath.basename(name) for text in history for name in _LOCAL.findall(text))


@derived
def _used(world: World) -> frozenset[str]:
    """Packages of which a recorded program opened or ran a file."""
    database, resolve = world.packages, world.rootfs.resolve
    assert isinstance(database, Database)
    paths = {a.path for a in world.trace.accesses if a.op in (Op.OPEN, Op.EXEC)}
    return frozenset(name for path in paths if (real := resolve(path).path) for name in database.brought(real))


RULES: tuple[Rule, ...] = (ShippedPackages(),)
