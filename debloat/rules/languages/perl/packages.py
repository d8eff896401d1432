"""Where an image's Perl finds modules: @INC, the directories that code adds to it, and units of modules."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from debloat.closure import World, derived, derived_by, derived_of_image
from debloat.core.model import Entry
from debloat.rules.commands import scripts
from debloat.rules.languages.perl.source import Facts

INC = (
    # perlrun(1), Debian's perl policy 2.3, and perl's own layout under a prefix; in the order of @INC.
    "/etc/perl",
    "/usr/local/lib/*/perl/[0-9]*",
    "/usr/local/share/perl/[0-9]*",
    "/usr/lib/*/perl5/[0-9]*",
    "/usr/share/perl5",
    "/usr/lib/*/perl-base",
    "/usr/lib/*/perl/[0-9]*",
    "/usr/share/perl/[0-9]*",
    "/usr/local/lib/site_perl",
    "/usr/local/lib/perl5/site_perl/[0-9]*",
    "/usr/local/lib/perl5/vendor_perl/[0-9]*",
    "/usr/local/lib/perl5/[0-9]*",
)

_LIBRARY = re.compile(r"libperl[\d.]+(?:t64)?")
CORE = re.compile(rf"perl|perl-base|perl-modules-[\d.]+|{_LIBRARY.pattern}")
"""Debian's packages of perl itself."""

_OWN_BUILD = re.compile(r"(?:/usr/local|/opt/[^/]+)/lib/perl5/5[\d.]*/")
_MODULE_FILES = (".pm", ".pl", ".al", ".ix", ".so", ".bs")
DOCUMENTATION = (".pod", ".h", ".a", ".c", ".xs", "typemap", ".packlist")
"""Ends of names of what is for readers and builders of modules."""


@derived
def inc(world: World) -> tuple[str, ...]:
    """The directories of @INC that the image has: PERL5LIB, then those of its perl."""
    own = [d for d in world.config.env.get("PERL5LIB", "").split(":") if d.startswith("/")]
    own.append(posixpath.join(world.config.workdir, "local/lib/perl5"))
    directory_of: dict[str, str] = {}
    for pattern in (*own, *INC):
        for path in world.rootfs.glob(pattern):
            machine = world.rootfs.glob(f"{path}/*-linux*") if "perl5" in path else ()
            for directory in (path, *machine):
                real = world.rootfs.resolve(directory).path
                if real is None or not world.rootfs.is_dir(real):
                    continue
                # perl knows its directories by the names of the links, 5.36, not 5.36.0.
                if real not in directory_of or directory_of[real] == real:
                    directory_of[real] = directory
    return tuple(directory_of.values())


def embedded_inc(world: World) -> tuple[str, ...]:
    """The directories of @INC of a perl in another program: Debian's libperl looks for nothing in perl-base's."""
    return tuple(directory for directory in inc(world) if not directory.endswith("/perl-base"))


@derived
def is_embedded(world: World) -> bool:
    """Whether another program than perl may run Perl in itself.

    It is of a package that depends on libperl (dpkg-shlibdeps(1) sees to that), or loaded it while recorded.
    """
    packages = (package for name in world.packages.names() if (package := world.packages.get(name)) is not None)
    others = (package for package in packages if not CORE.fullmatch(package.package))
    if any(_LIBRARY.fullmatch(bare) for package in others for group in package.depends for bare in group):
        return True
    return any("/libperl.so" in access.path for access in world.trace.accesses)


@derived
def roots(world: World) -> tuple[str, ...]:
    """Real paths of the directories of @INC, each with a slash after it; the longer ones first."""
    reals = {world.rootfs.resolve(d).path or d for d in inc(world)}
    return tuple(sorted((f"{r}/" for r in reals), key=lambda r: (-len(r), r)))


@derived_of_image
def _module_names(world: World) -> frozenset[str]:
    """Names of all modules in the image, wherever they are: `Util.pm`."""
    return frozenset(entry.name for entry in world.rootfs.entries() if entry.name.endswith(".pm"))


def is_nowhere(module: str, world: World) -> bool:
    """Whether no file of the image can be a module, in whatever directory it is looked for."""
    return f"{module.rpartition('::')[2]}.pm" not in _module_names(world)


@derived
def library(world: World) -> dict[str, str]:
    """What `require` finds in @INC, by name relative to it; the first directory wins."""
    files: dict[str, str] = {}
    for directory in inc(world):
        real = world.rootfs.resolve(directory).path or directory
        for entry in world.rootfs.walk(real):
            if not entry.is_dir and entry.path.endswith(_MODULE_FILES):
                relative = entry.path[len(real) + 1 :]
                files.setdefault(relative, f"{directory}/{relative}")
    return files


def of_application(path: str, world: World) -> bool:
    """Whether a file is the application's: neither a package's nor a library of a perl built from source."""
    return not world.packages.owners(path) and not root_of(path, world)


class Search:
    """Where a file's modules are looked for."""

    def __init__(self, entry: Entry, facts: Facts, world: World) -> None:
        self.rootfs = world.rootfs
        directory = posixpath.dirname(entry.path)
        self.places = (directory, world.config.workdir)
        added = [posixpath.normpath(p) for text in facts.libs for p in self._placed(text)]
        if facts.package and (root := _root(entry.path, facts.package)):
            added.append(root)
        # Applications keep modules in `lib` beside or above the script, and say so in ways too many to read.
        if of_application(entry.path, world):
            added += [
                f"{directory}/lib",
                posixpath.normpath(f"{directory}/../lib"),
                f"{world.config.workdir.rstrip('/')}/lib",
            ]
        self._library = library(world)
        standard = roots(world)
        self._own = tuple(d for d in dict.fromkeys(added) if f"{d}/" not in standard and self.rootfs.is_dir(d))
        self.directories = (*self._own, *inc(world))

    def _placed(self, text: str) -> Iterator[str]:
        if text.startswith("/"):
            yield text
        else:
            yield from (f"{place}/{text}" for place in self.places)

    def module(self, name: str) -> str | None:
        """The file of a module, `A::B`."""
        return self.file(name.replace("::", "/").replace("'", "/") + ".pm")

    def file(self, relative: str) -> str | None:
        """What `require` finds under a name with slashes."""
        if relative.startswith("/"):
            return relative if self.rootfs.is_file(relative) else None
        if relative.endswith(_MODULE_FILES):
            own = next((p for d in self._own if self.rootfs.is_file(p := f"{d}/{relative}")), None)
            return own or self._library.get(relative)
        return next((p for d in self.directories if self.rootfs.is_file(p := f"{d}/{relative}")), None)

    def beside(self, relative: str) -> str | None:
        """A file beside the program, or below the working directory: what `do` finds."""
        return next((p for d in self.places if self.rootfs.is_file(p := f"{d}/{relative}")), None)


def _root(path: str, package: str) -> str | None:
    """The directory that a module's own name is relative to."""
    tail = "/" + package.replace("::", "/") + ".pm"
    return path[: -len(tail)] if path.endswith(tail) else None


def root_of(path: str, world: World) -> str:
    """The directory of @INC that holds a real path, with a slash after it; "" where none does."""
    return next((root for root in roots(world) if path.startswith(root)), "")


def is_core(path: str, owners: Iterable[str]) -> bool:
    """Whether a file is perl's own: of Debian's packages of it, or of a perl built from source."""
    return _OWN_BUILD.match(path) is not None or any(CORE.fullmatch(owner.partition(":")[0]) for owner in owners)


@derived_by
def files_of(world: World, owner: str) -> tuple[str, tuple[str, ...]]:
    """The first module of a package that is no link, and all of its files that belong to the unit."""
    below = roots(world)
    files = [p for p in world.packages.files(owner) if p.startswith(below) and not p.endswith(DOCUMENTATION)]
    modules = (e for p in files if p.endswith((".pm", ".so")) and (e := world.rootfs.get(p)) is not None)
    first = next((e.path for e in modules if e.is_file), "")
    return first, (*files, *scripts(world, owner, b"perl"))
