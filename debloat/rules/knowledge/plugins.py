"""Plug-in directories, recognised by what the recorded programs did, and the private directories of those programs.

A program that opened one library from a directory that ld.so does not search, or listed a directory and then opened
a file in it, chose that file by configuration, request or name, and may choose its neighbours next time. Neighbours
are files of the same Debian package (or, like the opened one, of none). What interpreters import is the business of
the rules for their languages, and a sweep's openings say nothing. What a family leaves out on purpose stays out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

from msgspec import Struct

from debloat.closure import Rule, World, derived, derived_of_image
from debloat.core.model import Entry, Level, Op, Want
from debloat.elf.reading import elf_facts
from debloat.rules import languages
from debloat.rules.application.build import asked_packages
from debloat.rules.commands import optional_interpreter
from debloat.rules.knowledge.families import chosen, left_out
from debloat.rules.language import NEVER
from debloat.rules.platforms import multiarchs_of
from debloat.rules.recorded.sweeps import Sweep, is_outside_image, sweeps_in_trace
from debloat.selector import ELF, FILES, Selector

MAX_PLUGIN_DIR_ENTRIES = 2_000
"""A directory with more names is a store of data, not one of plug-ins."""

MAX_PRIVATE_BYTES, MAX_BYTES_OF_LARGER = 4 << 20, 1 << 20
"""A package's private directories are kept up to this size; of a larger package the smallest, up to the second.

Beyond, the trace and the families decide.
"""

MAX_REQUESTED_BYTES = 32 << 20
"""The same for a program whose package the Dockerfile asks for by name: it is what the image is there for."""

MAX_PROGRAM = 64 << 20
"""Bytes of a program or library that are searched for the names of directories."""

SHARED_DIRECTORY = re.compile(
    r"/|/boot|/home|/media|/mnt|/opt|/root|/run|/srv|/tmp|/var|/var/lib|/var/cache|/var/tmp|/etc|/usr|/usr/share"
    r"|/(?:usr/(?:local/)?)?(?:s?bin|games|include|lib(?:exec|32|64|x32)?)"
    r"(?:/[a-z0-9_]+-linux-gnu[a-z0-9]*)?(?:/glibc-hwcaps(?:/[\w.-]+)?)?"
)
"""Directories in which all packages have files: to list one says nothing on its other files."""

STORES = re.compile(
    "(?:{})(?:/.*)?".format(
        "|".join(
            (
                *("/var/lib/(?:dpkg|apt)", "/usr/share/(?:doc|man|info|locale|lintian|bug|i18n)"),
                f".*/(?:{'|'.join(name for language in languages.known() for name in language.package_directories)})",
                *(store for language in languages.known() for store in language.stores),
            )
        )
    ),
)
"""The package manager's own data, documentation, and the trees that interpreters import from."""

PROGRAMS = re.compile(r".*/s?bin")
"""Programs are run by their names; interpreters list the directory of a script to look for modules."""

IMPORTED = re.compile(
    "|".join(language.importer.libraries for language in languages.known() if language.importer) or NEVER
)
"""Names of libraries that only the importer of a language opens: who imports them is known to its rules."""

LIBRARY = re.compile(r".+\.so(?:\.[\w.]+)?")
_VERSION = re.compile(r"(?:\.\d+)+$")


class PluginUse(Struct, frozen=True):
    """A file that a program chose from a directory: its path, the suffix of what else could be chosen, and the sign.

    `suffix` is None where any file of the directory could be; `how` says by what it was recognised.
    """

    path: str
    suffix: str | None
    how: str

    @property
    def directory(self) -> str:
        """The directory that the file was chosen from."""
        return self.path.rpartition("/")[0] or "/"


class PluginDirectories(Rule):
    """Neighbours of a library that was loaded by name, and of a file that was opened from a listed directory."""

    name = "plugin.directory"
    level = Level.SAFE

    def initial_wants(self, world: World) -> Iterable[Want]:
        by_directory: dict[str, list[PluginUse]] = defaultdict(list)
        for choice in _plugin_uses(world):
            by_directory[choice.directory].append(choice)
        possible = {d: choices for d, choices in sorted(by_directory.items()) if _may_hold_plugins(d, world)}
        libraries = {c.path for choices in possible.values() for c in choices if c.suffix is not None}
        linked = _linked_names(libraries, world)
        for directory, choices in possible.items():
            chosen = [c for c in choices if c.suffix is None or c.path.rpartition("/")[2] not in linked]
            yield from self._neighbours(directory, chosen, world)

    def _neighbours(self, directory: str, choices: list[PluginUse], world: World) -> Iterator[Want]:
        """One claim on each neighbour, from the first choice that it goes with."""
        first: dict[tuple[str, str | None], PluginUse] = {}
        for choice in sorted(choices, key=lambda c: (c.path, c.how, c.suffix or "")):
            for owner in world.packages.owners(choice.path) or ("",):
                first.setdefault((owner, choice.suffix), choice)
        unwanted = left_out(world)
        for child in world.rootfs.children(directory):
            if child.is_dir or unwanted(child.path):
                continue
            for owner in world.packages.owners(child.path) or ("",):
                use = first.get((owner, suffix_of(child.name))) or first.get((owner, None))
                if use is not None and use.path != child.path:
                    yield self.want(child.path, use.path, f"{use.how}; from the same directory and package")


class PrivateDirectories(Rule):
    """Files of a package's own in directories named after it, when one of its programs was run.

    Helpers and data in /usr/lib/NAME, /usr/libexec/NAME, /usr/share/NAME and /etc/NAME are found by these paths,
    compiled into the program (Filesystem Hierarchy Standard, 4.6 and 4.11); NAME is that of the package, its
    source or the program. A script for an interpreter that the package only recommends is left out.

    What other packages have there are its modules and helpers: those that were built from the same source, and those
    that the Dockerfile asks for.
    """

    name = "package.private"
    level = Level.SAFE

    def initial_wants(self, world: World) -> Iterable[Want]:
        unwanted = left_out(world)
        for program in sorted(executed_programs(world)):
            for owner in world.packages.owners(program):
                most = MAX_REQUESTED_BYTES if owner in asked_packages(world) else MAX_PRIVATE_BYTES
                for package in (owner, *companions(owner, world)):
                    for entry in _within_limit(tuple(_private_files(program, owner, package, world)), most):
                        if package == owner or not unwanted(entry.path):
                            yield self.want(entry.path, program, f"private to {owner}, which was run")


class NamedDirectories(Rule):
    """Libraries in a directory that a kept program or library of the same source package names in its text.

    Who names such a directory makes the names in it at run time, as libaprutil those of its drivers for databases.
    Where the loader searches (RUNPATH), nothing is chosen; what a family knows is the family's to choose.
    """

    name = "plugin.named"
    level = Level.SAFE
    selector = Selector(FILES, formats=ELF)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not (entry.executable or ".so" in entry.name):
            return
        own = private_directories(world)
        directories = {d: files for owner in world.packages.owners(entry.path) for d, files in own.get(owner, ())}
        if not directories or entry.path.rpartition("/")[0] in directories:
            return
        facts = elf_facts(world.rootfs, entry.path)
        if facts is None:
            return
        searched = f"{facts.rpath}:{facts.runpath}".split(":")
        text = world.rootfs.read(entry.path, MAX_PROGRAM)
        for directory, files in directories.items():
            if directory not in searched and _names(text, directory):
                for path in files:
                    yield self.want(path, entry.path, f"names {directory}")


def _names(text: bytes, directory: str) -> bool:
    """Whether a directory is named, by its path in a merged /usr or in one that is not."""
    for name in (directory, directory.removeprefix("/usr")):
        at = text.find(name.encode("utf-8", "surrogateescape"))
        if at >= 0 and text[at + len(name) : at + len(name) + 1] in (b"\0", b"/", b":"):
            return True
    return False


@derived_of_image
def private_directories(world: World) -> dict[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    """Package -> private directories of its source package, each with the libraries that may be plug-ins there."""
    sources = {name: source for source, names in _sources(world).items() for name in names}
    in_family, unwanted = chosen(world), left_out(world)
    by_source: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    # What a family knows of a directory, it knows of all of it.
    decided = set[str]()
    for name, source in sources.items():
        for path in world.packages.files(name):
            if path.startswith(("/usr/lib/", "/lib/")) and LIBRARY.fullmatch(path):
                entry, directory = world.rootfs.get(path), path.rpartition("/")[0]
                if in_family(path) or unwanted(path):
                    decided.add(directory)
                elif entry is not None and entry.is_file and _may_hold_plugins(directory, world):
                    by_source[source][directory].append(entry)
    small = {
        source: tuple(
            (directory, tuple(e.path for e in entries))
            for directory, entries in sorted(directories.items())
            if directory not in decided and sum(e.size for e in entries) <= MAX_PRIVATE_BYTES
        )
        for source, directories in by_source.items()
    }
    return {name: small[source] for name, source in sources.items() if source in small}


def suffix_of(name: str) -> str:
    """What names of one kind have in common: the suffix, versions of a library left out; empty without one."""
    stem = _VERSION.sub("", name) if ".so." in name else name
    return stem[stem.rfind(".") :] if "." in stem.lstrip(".") else ""


def _plugin_uses(world: World) -> Iterator[PluginUse]:
    """Files that programs chose from directories, with repetitions."""
    listed: dict[tuple[str, str], set[str]] = defaultdict(set)
    opened: dict[tuple[str, str], set[str]] = defaultdict(set)
    for access in world.trace.accesses:
        if access.op not in (Op.OPEN, Op.LIST, Op.EXEC):
            continue
        path = world.rootfs.resolve(access.path).path
        if path is None or is_outside_image(path):
            continue
        group = (access.probe, access.program)
        if access.op is Op.LIST:
            listed[group].add(path)
        elif not _is_dir(world, path) and "t" not in access.flags:
            opened[group].add(path)
            if LIBRARY.fullmatch(path) and access.op is Op.OPEN:
                yield PluginUse(path, suffix_of(path.rpartition("/")[2]), "a library loaded by name")
    swept = _swept_directories(sweeps_in_trace(world))
    for group, directories in listed.items():
        for path in opened[group]:
            directory = path.rpartition("/")[0] or "/"
            if directory in directories and directory not in swept.get(group, ()):
                yield PluginUse(path, None, "a file opened from a listed directory")


def _linked_names(libraries: set[str], world: World) -> frozenset[str]:
    """Names under which the dynamic linker itself brought libraries: what the traced programs and libraries need.

    A library in a directory of its own may come through RUNPATH; such a directory holds no choice.
    """
    if not libraries:
        return frozenset()
    opened = {a.path for a in world.trace.accesses if a.op is Op.OPEN and ".so" in a.path}
    paths = sorted({real for p in opened if (real := world.rootfs.resolve(p).path)} | executed_programs(world))
    world.rootfs.fetch(paths)
    names = {name for path in paths if (facts := elf_facts(world.rootfs, path)) for name in facts.needed}
    by_links = {real for p in opened if p.rpartition("/")[2] in names and (real := world.rootfs.resolve(p).path)}
    return frozenset(names | {path.rpartition("/")[2] for path in by_links})


def _swept_directories(sweeps: Iterable[Sweep]) -> dict[tuple[str, str], frozenset[str]]:
    swept: dict[tuple[str, str], frozenset[str]] = {}
    for sweep in sweeps:
        group = (sweep.probe, sweep.program)
        swept[group] = swept.get(group, frozenset()) | sweep.directories
    return swept


def _is_dir(world: World, path: str) -> bool:
    entry = world.rootfs.get(path)
    return entry is None or entry.is_dir


def _may_hold_plugins(directory: str, world: World) -> bool:
    return (
        not SHARED_DIRECTORY.fullmatch(directory)
        and not STORES.fullmatch(directory)
        and not PROGRAMS.fullmatch(directory)
        and len(world.rootfs.names(directory)) <= MAX_PLUGIN_DIR_ENTRIES
        and directory not in _loader_directories(world)
    )


@derived
def _loader_directories(world: World) -> frozenset[str]:
    """Real directories that ld.so searches beyond its defaults (ld.so(8), ldconfig(8)); /etc/ld.so.conf includes."""
    directories = set()
    for path in ("/etc/ld.so.conf", *world.rootfs.glob("/etc/ld.so.conf.d/*.conf")):
        for line in world.rootfs.text(path).splitlines():
            directories.add(line.partition("#")[0].strip())
    directories.update(world.config.env.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":"))
    real = {world.rootfs.resolve(directory).path for directory in directories if directory.startswith("/")}
    return frozenset(path for path in real if path)


@derived
def executed_programs(world: World) -> set[str]:
    """Real paths of the programs that were run."""
    paths: set[str] = {a.program for a in world.trace.accesses}
    paths |= {a.path for a in world.trace.accesses if a.op is Op.EXEC}
    return {
        real for p in paths if p.startswith("/") and not is_outside_image(p) and (real := world.rootfs.resolve(p).path)
    }


def siblings(owner: str, world: World) -> tuple[str, ...]:
    """The other installed packages that were built from the same source, sorted."""
    package = world.packages.get(owner)
    by_source = _sources(world)
    return tuple(name for name in by_source.get(package.source, ()) if name != owner) if package else ()


def companions(owner: str, world: World) -> tuple[str, ...]:
    """The packages that may have modules in another's private directories: its siblings, and what was asked for."""
    requested = asked_packages(world)
    return tuple(dict.fromkeys((*siblings(owner, world), *(name for name in requested if name != owner))))


@derived
def _sources(world: World) -> dict[str, tuple[str, ...]]:
    by_source: dict[str, list[str]] = defaultdict(list)
    for name in world.packages.names():
        if (package := world.packages.get(name)) is not None:
            by_source[package.source].append(name)
    return {source: tuple(names) for source, names in by_source.items()}


def _private_files(program: str, owner: str, holder: str, world: World) -> Iterator[Entry]:
    """The files of a package, the owner of a program or another, in directories that bear the owner's name."""
    package = world.packages.get(owner)
    names = {owner.partition(":")[0], program.rpartition("/")[2], package.source if package else ""} - {""}
    libraries = (f"/usr/lib/{multiarch}" for multiarch in multiarchs_of(world))
    bases = ("/usr/lib", *libraries, "/usr/libexec", "/usr/share", "/etc", "/lib")
    below = tuple(f"{base}/{name}/" for base in bases for name in sorted(names))
    for path in world.packages.files(holder):
        entry = world.rootfs.get(path)
        if entry is not None and not entry.is_dir and path.startswith(below):
            directory = path.rpartition("/")[0]
            if STORES.fullmatch(directory) or IMPORTED.fullmatch(entry.name) or _is_documentation(path):
                continue
            if not optional_interpreter(entry, holder, world):
                yield entry


def _within_limit(files: tuple[Entry, ...], most: int) -> Iterator[Entry]:
    """All of the files, where they are not too large; else those of the smallest directories: modules, not tables."""
    directories: dict[str, list[Entry]] = defaultdict(list)
    for entry in files:
        directories[entry.path.rpartition("/")[0]].append(entry)
    sizes = {directory: sum(entry.size for entry in entries) for directory, entries in directories.items()}
    remaining = most if sum(sizes.values()) <= most else MAX_BYTES_OF_LARGER
    for directory in sorted(sizes, key=lambda directory: (sizes[directory], directory)):
        remaining -= sizes[directory]
        if remaining < 0:
            return
        yield from directories[directory]


NON_DATA_DIRECTORIES = frozenset(
    {"doc", "docs", "examples", "locale", "man", "help", "t", "test", "tests", "testsuite"}
)
"""Directories of a package for its readers and its developers."""


def _is_documentation(path: str) -> bool:
    return not NON_DATA_DIRECTORIES.isdisjoint(path.split("/")[3:])


RULES: tuple[Rule, ...] = (PluginDirectories(), PrivateDirectories(), NamedDirectories())
