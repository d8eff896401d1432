"""Perl: modules that kept code uses, with their XS parts, and what perl loads by itself.

The standard library is kept as far as it is reached; a Debian package of Perl modules, or a distribution
installed by CPAN, is a unit: one module used keeps its siblings, since such packages load them by made-up names.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.model import Entry, Level, Want
from debloat.rules.application.survey import UNITS
from debloat.rules.commands import inert, scripts
from debloat.rules.languages.perl import source as perlparse
from debloat.rules.languages.perl.source import MAX_SOURCE, Facts

SUFFIXES = (".pm", ".pl", ".al", ".psgi", ".cgi", ".fcgi", ".ph")

SCRIPTS = (".sh", ".bash", ".py", ".rb", ".php", ".js", ".mjs", ".cjs", ".ts", ".R", ".lua", ".tcl", "Makefile")
"""Files of an application that may run perl with a program on the command line."""

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

CORE = re.compile(r"perl|perl-base|perl-modules-[\d.]+|libperl[\d.]+(?:t64)?")
"""Debian's packages of perl itself."""

IMPLICIT = (
    # Loaded by the interpreter without a `use`: I/O layers (PerlIO(3perl)), %+ %- %! (perlvar(1)), <*.c> and glob,
    # methods on handles, attributes, -M-less diagnostics.
    *("PerlIO.pm", "PerlIO/encoding.pm", "PerlIO/scalar.pm", "PerlIO/via.pm", "Tie/Hash/NamedCapture.pm", "Errno.pm"),
    *("File/Glob.pm", "IO/File.pm", "attributes.pm", "utf8.pm"),
    *("feature.pm", "mro.pm", "re.pm", "overloading.pm", "strict.pm", "warnings.pm", "Carp.pm", "version.pm"),
    *("Config.pm", "Config_heavy.pl", "bytes_heavy.pl", "warnings/register.pm", "XSLoader.pm", "DynaLoader.pm"),
)

NAMES_OF_CHARACTERS = ("_charnames.pm", "charnames.pm", "unicore/Name.pl", "unicore/Name.pm")
r"""Loaded by `\N{...}` (charnames(3perl)): for applications; a package's scripts say `use charnames`."""

EAST_ASIA = tuple(f"Encode/{name}.pm" for name in ("CN", "JP", "KR", "TW"))
"""Encode's large tables, 2 MB each (Encode::Supported(3perl))."""

LOADED_BY = {
    # Modules of the core that load files whose names they make: what belongs to them, relative to @INC.
    "AnyDBM_File.pm": ("*DB*_File.pm",),
    "Digest.pm": ("Digest/**",),
    "Encode.pm": ("Encode/[!CJKT]*", "Encode/Config.pm", "Encode/MIME/**", "Encode/Unicode/**"),
    "IO/Uncompress/AnyUncompress.pm": ("IO/Uncompress/**",),
    "Math/BigInt.pm": ("Math/BigInt/**",),
    "Unicode/Collate.pm": ("Unicode/Collate/**",),
    "Template/Plugins.pm": ("Template/Plugin/**",),
    "Unicode/UCD.pm": ("unicore/**",),
}

_INTERPRETER = re.compile(r"(?:/usr(?:/local)?|/opt/[^/]+)?/bin/perl(?:5[\d.]*)?(?:-[\w-]+)?")
_INLINE = re.compile(rb"\bperl[\"',\s]{1,9}-")
_RUN = re.compile(rb"\bperl[\"',\s]{1,9}-[^\n]{1,400}")
_OPTION_M = re.compile(rb"[\"'\s]-[a-zA-Z]{0,6}?[Mm][ \t]?-?([A-Z]\w*(?:::\w+)*)")
_OWN_BUILD = re.compile(r"(?:/usr/local|/opt/[^/]+)/lib/perl5/5[\d.]*/")
_MODULE_FILES = (".pm", ".pl", ".al", ".ix", ".so", ".bs")
_DOCUMENTATION = (".pod", ".h", ".a", ".c", ".xs", "typemap", ".packlist")


def inc(world: World) -> tuple[str, ...]:
    """The directories of @INC that the image has: PERL5LIB, then those of its perl."""
    own = [d for d in world.config.env.get("PERL5LIB", "").split(":") if d.startswith("/")]
    own.append(posixpath.join(world.config.workdir, "local/lib/perl5"))
    found: dict[str, str] = {}
    for pattern in (*own, *INC):
        for path in world.rootfs.glob(pattern):
            machine = world.rootfs.glob(f"{path}/*-linux*") if "perl5" in path else ()
            for directory in (path, *machine):
                real = world.rootfs.resolve(directory).path
                if real is None or not world.rootfs.is_dir(real):
                    continue
                # perl knows its directories by the names of the links, 5.36, not 5.36.0.
                if real not in found or found[real] == real:
                    found[real] = directory
    return tuple(found.values())


def _roots(world: World) -> tuple[str, ...]:
    """Real paths of the directories of @INC, each with a slash after it; the longer ones first."""
    reals = {world.rootfs.resolve(d).path or d for d in world.derived(inc)}
    return tuple(sorted((f"{r}/" for r in reals), key=lambda r: (-len(r), r)))


def _library(world: World) -> dict[str, str]:
    """What `require` finds in @INC, by name relative to it; the first directory wins."""
    found: dict[str, str] = {}
    for directory in world.derived(inc):
        real = world.rootfs.resolve(directory).path or directory
        for entry in world.rootfs.walk(real):
            if not entry.is_dir and entry.path.endswith(_MODULE_FILES):
                relative = entry.path[len(real) + 1 :]
                found.setdefault(relative, f"{directory}/{relative}")
    return found


def facts_of(entry: Entry, world: World) -> Facts | None:
    """What a Perl file says; None for any other file."""
    if not entry.is_file or not 0 < entry.size <= MAX_SOURCE:
        return None
    named = entry.path.endswith(SUFFIXES)
    if not named and not (
        entry.executable and perlparse.is_perl(world.rootfs.read(entry.path, 512)) and not inert(world, entry.path)
    ):
        return None
    return perlparse.parse(world.rootfs.read(entry.path), _application(entry.path, world))


def _application(path: str, world: World) -> bool:
    """Whether a file is the application's: neither a package's nor a library of a perl built from source."""
    return not world.packages.owners(path) and not _root_of(path, world)


class _Search:
    """Where a file's modules are looked for."""

    def __init__(self, entry: Entry, facts: Facts, world: World) -> None:
        self.rootfs = world.rootfs
        here = posixpath.dirname(entry.path)
        self.places = (here, world.config.workdir)
        roots = [posixpath.normpath(p) for text in facts.libs for p in self._placed(text)]
        if facts.package and (root := _root(entry.path, facts.package)):
            roots.append(root)
        # Applications keep modules in `lib` beside or above the script, and say so in ways too many to read.
        if _application(entry.path, world):
            roots += [f"{here}/lib", posixpath.normpath(f"{here}/../lib"), f"{world.config.workdir.rstrip('/')}/lib"]
        known = world.derived(inc)
        self._library = world.derived(_library)
        reals = world.derived(_roots)
        self._own = tuple(d for d in dict.fromkeys(roots) if f"{d}/" not in reals and self.rootfs.is_dir(d))
        self.directories = (*self._own, *known)

    def _placed(self, text: str) -> Iterator[str]:
        if text.startswith("/"):
            yield text
        else:
            yield from (f"{place}/{text}" for place in self.places)

    def module(self, name: str) -> str | None:
        return self.file(name.replace("::", "/").replace("'", "/") + ".pm")

    def file(self, relative: str) -> str | None:
        if relative.startswith("/"):
            return relative if self.rootfs.is_file(relative) else None
        if relative.endswith(_MODULE_FILES):
            own = next((p for d in self._own if self.rootfs.is_file(p := f"{d}/{relative}")), None)
            return own or self._library.get(relative)
        return next((p for d in self.directories if self.rootfs.is_file(p := f"{d}/{relative}")), None)

    def beside(self, relative: str) -> str | None:
        return next((p for d in self.places if self.rootfs.is_file(p := f"{d}/{relative}")), None)


def _root(path: str, package: str) -> str | None:
    """The directory that a module's own name is relative to."""
    tail = "/" + package.replace("::", "/") + ".pm"
    return path[: -len(tail)] if path.endswith(tail) else None


def _root_of(path: str, world: World) -> str:
    return next((root for root in world.derived(_roots) if path.startswith(root)), "")


class PerlUse(Rule):
    """The modules and files that a kept Perl file loads, and the namespaces that it picks modules from."""

    name = "perl.use"
    level = Level.SAFE

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        facts = facts_of(entry, world)
        if facts is None:
            return
        owners = world.packages.owners(entry.path)
        search = _Search(entry, facts, world)
        for path, detail in self._loaded(facts, search):
            # perl-base depends on nothing beyond itself; what it would load from the full perl, it does without.
            if "perl-base" not in owners or "perl-base" in world.packages.owners(world.rootfs.resolve(path).path or ""):
                yield self.want(path, entry.path, detail)
        if facts.dynamic:
            yield from self._namespaces(entry, facts, search, not _core(entry.path, owners))
        if not _core(entry.path, owners) and perlparse.names_encodings(world.rootfs.read(entry.path)):
            for name in EAST_ASIA:
                if table := search.file(name):
                    yield self.want(table, entry.path, "names encodings at run time")

    @staticmethod
    def _loaded(facts: Facts, search: _Search) -> Iterator[tuple[str, str]]:
        for line, module in (*facts.modules, *facts.names):
            if found := search.module(module):
                yield found, f"{module}, line {line}"
        for line, file in facts.files:
            if found := search.file(file) or search.beside(file):
                yield found, f"{file}, line {line}"

    def _namespaces(self, entry: Entry, facts: Facts, search: _Search, own: bool) -> Iterator[Want]:
        """Code that makes up module names: all modules right below the names that it starts from."""
        named = (facts.package, *facts.namespaces) if own else facts.namespaces if "::" in facts.package else ()
        for namespace in dict.fromkeys(named):
            below = namespace.replace("::", "/")
            for directory in search.directories if below else ():
                for path in search.rootfs.glob(f"{directory}/{below}/*.pm"):
                    yield self.want(path, entry.path, f"loads {namespace}:: by made-up names")


def _core(path: str, owners: Iterable[str]) -> bool:
    return _OWN_BUILD.match(path) is not None or any(CORE.fullmatch(owner.partition(":")[0]) for owner in owners)


class PerlParts(Rule):
    """What belongs to a kept module: its XS and autoloaded parts, and what core modules load by made-up names."""

    name = "perl.parts"
    level = Level.SAFE

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.is_file or not entry.path.endswith(".pm"):
            return
        root = _root_of(entry.path, world)
        if root:
            yield from self._parts(entry, root, world)

    def _parts(self, entry: Entry, root: str, world: World) -> Iterator[Want]:
        """XSLoader(3perl) looks beside the module first; `do` and `require` take what @INC has first."""
        relative = entry.path[len(root) :]
        directories = tuple(f"{world.rootfs.resolve(d).path or d}/" for d in world.derived(inc))
        compiled = (f"auto/{relative.removesuffix('.pm')}/*",)
        for path in self._first(compiled, (root, *directories), world):
            yield self.want(path, entry.path, "its compiled or autoloaded part")
        for path in self._first(LOADED_BY.get(relative, ()), directories, world):
            yield self.want(path, entry.path, "loads it by a made-up name")

    @staticmethod
    def _first(patterns: Iterable[str], directories: Iterable[str], world: World) -> Iterator[str]:
        """The files that match below any of the directories, of those with the same name there the first."""
        seen = set[str]()
        for directory in directories:
            for pattern in patterns:
                for path in world.rootfs.glob(directory + pattern):
                    name = path[len(directory) :]
                    if name not in seen and world.rootfs.is_file(path) and not path.endswith(_DOCUMENTATION):
                        seen.add(name)
                        yield path


def _files_of(owner: str, world: World) -> tuple[str, tuple[str, ...]]:
    """The first module of a package that is no link, and all of its files that belong to the unit; remembered."""
    memory = world.derived(_memory)
    if owner not in memory:
        roots = world.derived(_roots)
        files = [p for p in world.packages.files(owner) if p.startswith(roots) and not p.endswith(_DOCUMENTATION)]
        modules = (e for p in files if p.endswith((".pm", ".so")) and (e := world.rootfs.get(p)) is not None)
        first = next((e.path for e in modules if e.is_file), "")
        memory[owner] = first, (*files, *scripts(world, owner, b"perl"))
    return memory[owner]


def _memory(world: World) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {}


class PerlUnit(Rule):
    """A package of Perl modules is kept whole, less documentation, once a module of it is kept; its programs too.

    `plackup`, `hypnotoad` or `dancer2` start, test and administer the applications that use these modules.
    """

    name = "perl.unit"
    level = Level.SAFE

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.is_file or not entry.path.endswith((".pm", ".so")):
            return
        root = _root_of(entry.path, world)
        if not root:
            return
        owners = world.packages.owners(entry.path)
        for owner in owners:
            if not CORE.fullmatch(owner.partition(":")[0]):
                yield from self._package(entry, owner, world)
        if not owners:
            yield from self._cpan(entry, root, world)

    def _package(self, entry: Entry, owner: str, world: World) -> Iterator[Want]:
        """All of the package follows from its first module, and that one from every other: few claims."""
        first, files = _files_of(owner, world)
        first = first or entry.path
        for path in files if first == entry.path else (first,):
            if world.rootfs.is_file(path):
                yield self.want(path, entry.path, f"of the same package {owner}")

    def _cpan(self, entry: Entry, root: str, world: World) -> Iterator[Want]:
        """The files of the CPAN distribution, from its .packlist (ExtUtils::Packlist)."""
        parts = entry.path[len(root) :].removesuffix(".pm").split("/")
        for length in range(len(parts), 0, -1):
            for directory in world.derived(_roots):
                listing = f"{directory}auto/{'/'.join(parts[:length])}/.packlist"
                if world.rootfs.is_file(listing):
                    yield from self._listed(entry, listing, world)
                    return

    def _listed(self, entry: Entry, listing: str, world: World) -> Iterator[Want]:
        for line in world.rootfs.text(listing).splitlines():
            path = line.split(" type=")[0]
            if not path.endswith((".3pm", ".1p", ".pod", ".1", ".3")):
                yield self.want(path, entry.path, f"listed in {listing}")


class PerlRuntime(Rule):
    """What perl loads by itself; with an application that runs perl, perl-base, which scripts may take for granted.

    Debian policy 3.8. A package's scripts are read as they are, and need what they name.
    """

    name = "perl.runtime"
    level = Level.SAFE

    def initial_wants(self, world: World) -> Iterable[Want]:
        config = world.config
        lines = {"Entrypoint": config.entrypoint, "Cmd": config.cmd, "Healthcheck": config.healthcheck}
        for field, words in lines.items():
            if any("perl" in word for word in words):
                yield from self._base(f"config:{field}", world)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.executable and _INTERPRETER.fullmatch(entry.path):
            yield from self._files(IMPLICIT, entry.path, world, "loaded by perl itself")
        elif self._runs_perl(entry, world):
            yield from self._base(entry.path, world)
            yield from self._inline(entry, world)

    @staticmethod
    def _runs_perl(entry: Entry, world: World) -> bool:
        """Whether a file of the application is Perl, or a script that gives perl options: `perl -pe PROGRAM`.

        Packages of pip and npm speak of perl where they highlight, translate or build other people's code.
        """
        if not entry.is_file or not 0 < entry.size <= MAX_SOURCE or world.packages.owners(entry.path):
            return False
        if not UNITS.isdisjoint(entry.path.split("/")):
            return False
        if entry.path.endswith(SUFFIXES):
            return True
        if not entry.executable and not entry.path.endswith(SCRIPTS):
            return False
        source = world.rootfs.read(entry.path)
        return b"perl" in source and b"\0" not in source[:1024] and _INLINE.search(source) is not None

    def _inline(self, entry: Entry, world: World) -> Iterator[Want]:
        """The modules of programs on the command line: `perl -MJSON::PP -e 'use POSIX; ...'` (perlrun(1))."""
        source = world.rootfs.read(entry.path)
        if b"\0" in source[:1024]:
            return
        names = {match[1].decode() for line in _RUN.findall(source) for match in _OPTION_M.finditer(line)}
        search = _Search(entry, Facts(), world)
        found = {f"-M{name}": search.module(name) for name in names}
        if not entry.path.endswith(SUFFIXES):
            # The shell's quotes around a program are none of Perl's.
            plain = source.replace(b"'", b"\n").replace(b'"', b"\n")
            found |= {name: search.module(name) for _, name in perlparse.parse(plain).modules}
        for detail, path in sorted(found.items()):
            if path is not None:
                yield self.want(path, entry.path, detail)

    def _base(self, source: str, world: World) -> Iterator[Want]:
        for path in world.rootfs.glob("/usr/lib/*/perl-base/**"):
            if world.rootfs.is_file(path):
                yield self.want(path, source, "perl-base")
        yield from self._files(NAMES_OF_CHARACTERS, source, world, "loaded by perl itself")

    def _files(self, names: Iterable[str], source: str, world: World, detail: str) -> Iterator[Want]:
        for relative in names:
            places = (f"{directory}/{relative}" for directory in world.derived(inc))
            if path := next(filter(world.rootfs.is_file, places), None):
                yield self.want(path, source, detail)


RULES: tuple[Rule, ...] = (PerlUse(), PerlParts(), PerlUnit(), PerlRuntime())
