"""The application is whole: what no package brought, and what the Dockerfile names, stays without being touched.

Ownership by dpkg tells application from distribution; the layer history tells what COPY, ADD and WORKDIR named.
Three kinds of files follow no package, and are kept only when touched or reached: leftovers and generated files
(`leftovers.py`), runtimes built from source (`runtimes.py`), and packages of pip, npm and gem, which the
rules of their languages reach as units. What lies unowned below a package's own directory, such as a database
cluster or a site's configuration, is that package's data and stays when the package has anything that stays.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from debloat.closure import Rule, World, derived_of_image
from debloat.core.model import Entry, Kind, Want
from debloat.debian.documentation import is_documentation
from debloat.rules import languages
from debloat.rules.application import archives, leftovers
from debloat.rules.application.build import build
from debloat.rules.application.dockerfile import Destination
from debloat.rules.application.runtimes import runtimes
from debloat.selector import EVERYTHING, Selector

PACKAGE_DIRECTORIES = frozenset(name for language in languages.known() for name in language.package_directories)
"""Directories of language packages: kept package by package by the rules of the languages."""

PACKAGE_HOMES = tuple(home for language in languages.known() for home in language.package_homes)
"""Directories of package managers that are known by what lies in them, the same."""

BYTECODE = dict(language.bytecode for language in languages.known() if language.bytecode is not None)
"""Directories of compiled modules, and the suffixes of the sources beside them, without which they count."""

APPLICATION_ROOTS = ("/usr/local", "/opt", "/srv", "/home", "/root", "/var/www")
"""Where a file is the application's even below a directory that a package lists (FHS 3.0: 3.13, 3.17, 4.9)."""

SHARED_DIRECTORIES = frozenset(
    {
        *("/", "/etc", "/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/share", "/usr/games"),
        *("/usr/include", "/var", "/var/lib", "/var/log", "/var/cache", "/var/spool", "/run", "/boot"),
        *(
            f"/etc/{name}"
            for name in ("default", "cron.d", "cron.daily", "logrotate.d", "profile.d", "init.d", "pam.d")
        ),
    }
)
"""Directories that belong to no single package, whichever lists them."""

MAX_OWNERS = 8
"""A directory that more packages than this list is shared as well."""

DISTRIBUTION_ROOTS = ("/usr/", "/etc/", "/var/", "/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/boot/")
"""Where files belong to the distribution in an image that lost its package database."""

MAX_COMPARED_BYTES = 64 << 20
"""Bytes of owned files below COPY's destinations that are compared with what their packages shipped."""


class Survey(Struct, frozen=True):
    """What the files are that no package brought.

    `files`: the application, path -> why. `data`: the first unowned path below a directory of a package -> the
    others there. `followers`: package name -> first paths of such data, and its changed configuration files.
    `leftovers`: what was taken for none of these, or the directory above it -> why (`leftovers.py`).
    """

    files: Mapping[str, str]
    data: Mapping[str, tuple[str, ...]]
    followers: Mapping[str, tuple[str, ...]]
    leftovers: Mapping[str, str]


def leftover_reason(world: World, path: str) -> str:
    """Why a real path that no package brought is not the application's, such as `a cache`; "" where it may be."""
    reasons = survey(world).leftovers
    return next((reasons[p] for p in (path, *_parents(path)) if p in reasons), "")


def application(world: World) -> Mapping[str, str]:
    """The application's paths, sorted, each with the reason: `COPY /app`, `unowned below /srv`."""
    return survey(world).files


def is_application(world: World, path: str) -> bool:
    """Whether a real path is the application's for sure."""
    return path in survey(world).files


@derived_of_image
def survey(world: World) -> Survey:
    """Look at every name of the image once."""
    walk = _Walk(world)
    walk.run()
    followers: dict[str, set[str]] = {}
    data: dict[str, tuple[str, ...]] = {}
    for directory, paths in walk.data.items():
        first, *others = sorted(paths)
        data[first] = tuple(others)
        for name in world.packages.owners(directory):
            followers.setdefault(name, set()).add(first)
    for path in _changed_conffiles(world):
        for name in world.packages.owners(path):
            followers.setdefault(name, set()).add(path)
    files = {**walk.files, **_replaced(world, walk.places)}
    return Survey(
        MappingProxyType({path: files[path] for path in sorted(files)}),
        MappingProxyType(dict(sorted(data.items()))),
        MappingProxyType({name: tuple(sorted(paths)) for name, paths in sorted(followers.items())}),
        MappingProxyType(walk.leftovers),
    )


class Application(Rule):
    """The application's files."""

    name: ClassVar[str] = "application"

    def initial_wants(self, world: World) -> Iterator[Want]:
        for path, why in application(world).items():
            if why.startswith("unowned"):
                yield self.want(path, "image:unowned", f"no package brought it: {why}")
            else:
                yield self.want(path, f"dockerfile:{why}", "the Dockerfile put it there")


class PackageData(Rule):
    """Data and changed configuration of the packages that stay."""

    name: ClassVar[str] = "application.data"

    def select(self, world: World) -> Selector:
        surveyed = survey(world)
        return EVERYTHING if surveyed.followers else Selector(paths=surveyed.data)

    def wants(self, entry: Entry, world: World) -> Iterator[Want]:
        surveyed = survey(world)
        for path in surveyed.data.get(entry.path, ()):
            yield self.want(path, entry.path, "lies beside it in a directory of the same package")
        if entry.is_dir or is_documentation(entry.path):
            return
        for name in world.packages.owners(entry.path):
            for path in surveyed.followers.get(name, ()):
                if path != entry.path:
                    yield self.want(path, entry.path, f"the image's own data and configuration for {name}")


class _Context(Struct, frozen=True):
    """What holds at a place of the walk.

    `why` is the instruction that named it, `sure` that it named this very tree and not just a common directory
    above. `package` is the nearest directory of a package's own, `leftover` why all below is none of the
    application unless named, `top` the topmost unowned directory, `built` that a build was made above.
    """

    why: str = ""
    sure: bool = False
    package: str = ""
    leftover: str = ""
    top: str = ""
    built: bool = False


class _Walk:
    """One walk over the names of an image; collects `files` and `data` of the survey."""

    def __init__(self, world: World) -> None:
        self._world, self.rootfs, self.owners = world, world.rootfs, world.packages.owners
        self.files: dict[str, str] = {}
        self.data: dict[str, list[str]] = {}
        self.leftovers: dict[str, str] = {}
        self.places = tuple(
            replace(place, path=real)
            for place in build(world).destinations
            if (real := world.rootfs.resolve(place.path).path) is not None
            and (place.instruction != "WORKDIR" or real == world.rootfs.resolve(world.config.workdir).path)
        )
        by_weight = sorted(self.places, key=lambda place: place.instruction != "WORKDIR")
        self._named = {path: str(place) for place in by_weight for path in _targets(world, place)}
        self._above = {parent for path in self._named for parent in _parents(path)}
        outside = (language.scripts_outside for language in languages.known())
        self._scripts = frozenset(path for scripts in outside if scripts is not None for path in scripts(world))
        self._runtimes = self._testers(world)
        self._parts: tuple[Callable[[str], bool], ...] = ()
        release = any(world.rootfs.is_file(path) for path in ("/etc/os-release", "/usr/lib/os-release"))
        self._without_database = release and not world.packages.names()

    def _testers(self, world: World) -> dict[str, tuple[Callable[[str], bool], ...]]:
        testers: dict[str, tuple[Callable[[str], bool], ...]] = {}
        for runtime in runtimes(world):
            testers[runtime.prefix] = (*testers.get(runtime.prefix, ()), runtime.tester())
        return testers

    def run(self) -> None:
        """Visit each directory that may hold something of the application or leftovers, from the root down."""
        tree = self.rootfs.tree
        stack: list[tuple[str, _Context, tuple[Callable[[str], bool], ...]]] = [("/", _Context(), ())]
        while stack:
            directory, context, parts = stack.pop()
            names = self.rootfs.names(directory)
            if not context.built and context.top and not leftovers.BUILD_MARKS.isdisjoint(names):
                context = replace(context, built=True)
            self._parts = parts = (*parts, *self._runtimes.get(directory, ()))
            homes = [home.names for home in PACKAGE_HOMES if all(mark in names for mark in home.marks)]
            for name, number in tree.numbered(directory):
                path = f"/{name}" if directory == "/" else f"{directory}/{name}"
                # What is a package's file, as most are, needs no further look.
                package_file = tree.kind(number) is not Kind.DIR and self.owners(path)
                if package_file or (homes and any(name in home for home in homes)):
                    continue
                entry = self.rootfs.get(path)
                if entry is None:
                    continue
                below = self._visit(entry, name, context)
                if below is not None and entry.is_dir:
                    stack.append((path, below, parts))

    def _visit(self, entry: Entry, name: str, context: _Context) -> _Context | None:
        """Judge an entry; what holds below it, or None where nothing below is the application's."""
        path = entry.path
        why = self._named.get(path, "")
        owners = self.owners(path)
        if owners:
            return self._inside_package(path, owners, why, context)
        if why and path not in leftovers.SKELETON and path not in SHARED_DIRECTORIES:
            context = replace(context, why=why, sure=True, leftover="")
        elif why:
            context = replace(context, why=why, sure=False)
        reason = self._unit_or_leftover(entry, name, context, exact=bool(why))
        if not reason and not context.sure:
            reason = context.leftover or leftovers.PLACES.get(path) or self._common_leftover(entry)
        if reason:
            self.leftovers[path] = reason
            return replace(context, why="", sure=False, leftover=reason) if path in self._above else None
        if path in leftovers.SKELETON or (
            entry.is_dir and (path in SHARED_DIRECTORIES or name == ".cache" or name in BYTECODE)
        ):
            return context
        context = context if context.top else replace(context, top=path)
        self._accept(path, context)
        return context

    def _inside_package(self, path: str, owners: tuple[str, ...], why: str, context: _Context) -> _Context:
        leftover = context.leftover or leftovers.PLACES.get(path, "")
        if posixpath.basename(path) in PACKAGE_DIRECTORIES:
            leftover = "packages of a language"
        if _is_common(path, owners):
            return _Context(leftover=leftover)
        package = "" if path.startswith(APPLICATION_ROOTS) else path
        return replace(context, why=why or context.why, sure=False, package=package, top="", leftover=leftover)

    def _accept(self, path: str, context: _Context) -> None:
        if context.why:
            self.files[path] = context.why
        elif context.package and not path.startswith(APPLICATION_ROOTS):
            self.data.setdefault(context.package, []).append(path)
        else:
            below = context.top if path != context.top else posixpath.dirname(path)
            self.files[path] = f"unowned below {below}" if below != "/" else "unowned"

    def _unit_or_leftover(self, entry: Entry, name: str, context: _Context, exact: bool) -> str:
        """Why an entry is never the application's, wherever it stands; "" where it may be."""
        path = entry.path
        if entry.kind is Kind.SOCKET:
            return "a socket, which a program makes anew"
        if name.endswith(archives.SUFFIXES) and entry.is_file and archives.is_installed(self._world, path):
            return leftovers.INSTALLED
        if exact and entry.is_file:
            return ""
        if name in leftovers.NAMES:
            return leftovers.NAMES[name]
        if name in PACKAGE_DIRECTORIES and not entry.is_file:
            return "packages of a language"
        if path in self._scripts or (entry.is_symlink and self._starts_unit(path)):
            return "a part of a language's package"
        if self._parts and any(part(path) for part in self._parts):
            return "a part of a runtime"
        parent, _, above = path[: -len(name) - 1].rpartition("/")
        if above == ".cache" and name not in leftovers.STORES:
            return leftovers.CACHE
        if above in BYTECODE and f"{parent}/{name.partition('.')[0]}{BYTECODE[above]}" not in self.rootfs:
            return leftovers.CACHE
        if entry.is_file and context.built and name.endswith(leftovers.BUILD_SUFFIXES):
            return leftovers.BUILD
        return self._development(entry, name, context)

    def _starts_unit(self, path: str) -> bool:
        """Whether a link is the command of a language's package or runtime, as npm and make install leave them."""
        if posixpath.basename(posixpath.dirname(path)) not in ("bin", "sbin"):
            return False
        real = self.rootfs.resolve(path).path
        return real is not None and (
            not PACKAGE_DIRECTORIES.isdisjoint(real.split("/")) or any(part(real) for part in self._parts)
        )

    def _development(self, entry: Entry, name: str, context: _Context) -> str:
        """Why a file of an installation prefix is for builders or readers only."""
        if entry.is_dir or not (
            name.endswith(leftovers.DEVELOPMENT_ENDS) or "/share/" in entry.path or "/man/" in entry.path
        ):
            return ""
        for directory, ends, reason in leftovers.DEVELOPMENT:
            at = entry.path.find(f"/{directory}/")
            if (
                at > 0
                and name.endswith(ends)
                and not (ends == ("",) and context.sure)
                and self._is_prefix(entry.path[:at])
            ):
                return reason
        return ""

    def _is_prefix(self, directory: str) -> bool:
        names = self.rootfs.names(directory)
        return ("lib" in names or "lib64" in names) and not {"bin", "sbin", "include"}.isdisjoint(names)

    def _common_leftover(self, entry: Entry) -> str:
        path = entry.path
        if self._without_database and path.startswith(DISTRIBUTION_ROOTS) and not path.startswith(APPLICATION_ROOTS):
            return "of a distribution without a package database"
        if path.startswith("/run/") and not entry.is_dir:
            return "state of the build"
        if entry.is_file and (reason := leftovers.mailbox_reason(path)):
            return reason
        return leftovers.log_reason(path, entry.size) or leftovers.glob_reason(path)


def _is_common(path: str, owners: tuple[str, ...]) -> bool:
    return path in SHARED_DIRECTORIES or path in leftovers.SKELETON or len(owners) > MAX_OWNERS


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _targets(world: World, place: Destination) -> Iterator[str]:
    """The real paths that an instruction put something at: its destination, or what it copied into it.

    What was put into a place of leftovers, such as a script for the build into /tmp, is not named by that: BuildKit's
    history alone tells what it was, and the application is the same whoever built the image.
    """
    into = world.rootfs.is_dir(place.path) and place.path not in leftovers.PLACES
    inside = [f"{place.path}/{name}" for name in place.sources] if into else []
    named = [path for path in inside if path in world.rootfs]
    yield from named
    if not named or not (place.path in SHARED_DIRECTORIES or place.path in leftovers.SKELETON):
        yield place.path


def _changed_conffiles(world: World) -> tuple[str, ...]:
    """Configuration files of packages that are not as they were shipped."""
    packages = world.packages
    names = frozenset(packages.names())
    below = (entry.path for entry in world.rootfs.walk("/etc")) if names else ()
    candidates = {p for p in below if packages.conffile(p) and not names.isdisjoint(packages.owners(p))}
    world.rootfs.fetch(candidates)
    return tuple(path for path in sorted(candidates) if packages.modified(path))


def _replaced(world: World, places: Iterable[Destination]) -> dict[str, str]:
    """Owned files that COPY or ADD wrote over: at a destination, or below one that is a package's own directory."""
    candidates: dict[str, str] = {}
    size = 0
    for place in places:
        for path in _targets(world, place):
            common = _is_common(path, world.packages.owners(path))
            entry = world.rootfs.get(path)
            below = () if common or place.instruction == "WORKDIR" else world.rootfs.walk(path)
            for file in (*((entry,) if entry is not None else ()), *below):
                if file.is_file and size < MAX_COMPARED_BYTES and world.packages.owners(file.path):
                    size += file.size
                    candidates[file.path] = str(place)
    world.rootfs.fetch(candidates)
    return {path: why for path, why in candidates.items() if world.packages.modified(path)}


RULES: tuple[Rule, ...] = (Application(), PackageData())
