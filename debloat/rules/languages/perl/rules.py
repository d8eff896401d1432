"""Perl: modules that kept code uses, with their XS parts, and what perl loads by itself.

Of the standard library, what is reached is kept; a Debian package of Perl modules, or a distribution
installed by CPAN, is a unit: one module used keeps its siblings, since such packages load them by made-up names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from debloat.closure import Rule, World
from debloat.core.model import Entry, Level, Want
from debloat.rules import languages
from debloat.rules.application.survey import PACKAGE_DIRECTORIES
from debloat.rules.commands import is_template
from debloat.rules.interpreters import is_script_of, script_head, sources_of
from debloat.rules.languages.perl.language import LANGUAGE
from debloat.rules.languages.perl.packages import (
    CORE,
    DOCUMENTATION,
    Search,
    embedded_inc,
    files_of,
    inc,
    is_core,
    is_embedded,
    is_nowhere,
    of_application,
    root_of,
    roots,
)
from debloat.rules.languages.perl.source import MAX_SOURCE, Facts, names_encodings, parse
from debloat.selector import FILES, Selector

SCRIPTS = (
    *(
        suffix
        for other in languages.known()
        if not other.compiled and other is not LANGUAGE
        for suffix in other.suffixes
    ),
    "Makefile",
)
"""Ends of the names of an application's files that may run perl with a program on the command line."""

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
    "File/Spec.pm": ("File/Spec/Unix.pm",),
    "Net/FTP.pm": ("Net/FTP/*.pm",),
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


def facts_of(entry: Entry, world: World) -> Facts | None:
    """What a Perl file says; None for any other file."""
    if not entry.is_file or not 0 < entry.size <= MAX_SOURCE:
        return None
    named = entry.path.endswith(LANGUAGE.suffixes)
    if not named and not (is_script_of(LANGUAGE, script_head(entry, world)) and not is_template(world, entry.path)):
        return None
    return parse(world.rootfs.read(entry.path), of_application(entry.path, world))


class PerlUse(Rule):
    """The modules and files that a kept Perl file loads, and the namespaces that it picks modules from."""

    name = "perl.use"
    level = Level.SAFE
    selector = sources_of(LANGUAGE)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        facts = facts_of(entry, world)
        if facts is None:
            return
        owners = world.packages.owners(entry.path)
        if entry.executable and owners and any(is_nowhere(module, world) for module in facts.needed):
            return  # it does not begin in this image: git's gitweb without CGI
        search = Search(entry, facts, world)
        for path, detail in self._loaded(facts, search):
            # perl-base depends on nothing beyond itself; what it would load from the full perl, it does without.
            if "perl-base" not in owners or "perl-base" in world.packages.owners(world.rootfs.resolve(path).path or ""):
                yield self.want(path, entry.path, detail)
        if facts.dynamic and entry.path[len(root_of(entry.path, world)) :] not in LOADED_BY:
            yield from self._namespaces(entry, facts, search, not is_core(entry.path, owners))
        if not is_core(entry.path, owners) and names_encodings(world.rootfs.read(entry.path)):
            for name in EAST_ASIA:
                if table := search.file(name):
                    yield self.want(table, entry.path, "names encodings at run time")

    @staticmethod
    def _loaded(facts: Facts, search: Search) -> Iterator[tuple[str, str]]:
        for line, module in (*facts.modules, *facts.names):
            if path := search.module(module):
                yield path, f"{module}, line {line}"
        for line, file in facts.files:
            if path := search.file(file) or search.beside(file):
                yield path, f"{file}, line {line}"

    def _namespaces(self, entry: Entry, facts: Facts, search: Search, own: bool) -> Iterator[Want]:
        """Code that makes up module names: all modules right below the names that it starts from."""
        named = (facts.package, *facts.namespaces) if own else facts.namespaces if "::" in facts.package else ()
        for namespace in dict.fromkeys(named):
            below = namespace.replace("::", "/")
            for directory in search.directories if below else ():
                for path in search.rootfs.glob(f"{directory}/{below}/*.pm"):
                    yield self.want(path, entry.path, f"loads {namespace}:: by made-up names")


class PerlParts(Rule):
    """What belongs to a kept module: its XS and autoloaded parts, and what core modules load by made-up names."""

    name = "perl.parts"
    level = Level.SAFE
    selector = Selector(FILES, endings=(".pm",))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        root = root_of(entry.path, world)
        if root:
            yield from self._parts(entry, root, world)

    def _parts(self, entry: Entry, root: str, world: World) -> Iterator[Want]:
        """XSLoader(3perl) looks beside the module first; `do` and `require` take what @INC has first."""
        relative = entry.path[len(root) :]
        directories = tuple(f"{world.rootfs.resolve(d).path or d}/" for d in inc(world))
        compiled = (f"auto/{relative.removesuffix('.pm')}/*",)
        for path in self._first(compiled, (root, *directories), world):
            yield self.want(path, entry.path, "its compiled or autoloaded part")
        for path in self._first(LOADED_BY.get(relative, ()), directories, world):
            yield self.want(path, entry.path, "loads it by a made-up name")

    @staticmethod
    def _first(patterns: Iterable[str], directories: Iterable[str], world: World) -> Iterator[str]:
        """The files that match below any of the directories, of those with the same name there the first."""
        names = set[str]()
        for directory in directories:
            for pattern in patterns:
                for path in world.rootfs.glob(directory + pattern):
                    name = path[len(directory) :]
                    if name not in names and world.rootfs.is_file(path) and not path.endswith(DOCUMENTATION):
                        names.add(name)
                        yield path


class PerlUnit(Rule):
    """A package of Perl modules is kept whole, less documentation, once a module of it is kept; its programs too.

    `plackup`, `hypnotoad` or `dancer2` start, test and administer the applications that use these modules.
    """

    name = "perl.unit"
    level = Level.SAFE
    selector = Selector(FILES, endings=(".pm", ".so"))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        root = root_of(entry.path, world)
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
        first, files = files_of(world, owner)
        first = first or entry.path
        for path in files if first == entry.path else (first,):
            if world.rootfs.is_file(path):
                yield self.want(path, entry.path, f"of the same package {owner}")

    def _cpan(self, entry: Entry, root: str, world: World) -> Iterator[Want]:
        """The files of the CPAN distribution, from its .packlist (ExtUtils::Packlist)."""
        parts = entry.path[len(root) :].removesuffix(".pm").split("/")
        for length in range(len(parts), 0, -1):
            for directory in roots(world):
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
    selector = Selector(FILES, endings=(*LANGUAGE.suffixes, *SCRIPTS), executable=True)

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
        if not 0 < entry.size <= MAX_SOURCE or world.packages.owners(entry.path):
            return False
        if not PACKAGE_DIRECTORIES.isdisjoint(entry.path.split("/")):
            return False
        if entry.path.endswith(LANGUAGE.suffixes):
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
        search = Search(entry, Facts(), world)
        paths = {f"-M{name}": search.module(name) for name in names}
        if not entry.path.endswith(LANGUAGE.suffixes):
            # Quotes around the program are the shell's, not Perl's.
            plain = source.replace(b"'", b"\n").replace(b'"', b"\n")
            paths |= {name: search.module(name) for _, name in parse(plain).modules}
        for detail, path in sorted(paths.items()):
            if path is not None:
                yield self.want(path, entry.path, detail)

    def _base(self, source: str, world: World) -> Iterator[Want]:
        for path in world.rootfs.glob("/usr/lib/*/perl-base/**"):
            if world.rootfs.is_file(path):
                yield self.want(path, source, "perl-base")
        yield from self._files(NAMES_OF_CHARACTERS, source, world, "loaded by perl itself")

    def _files(self, names: Iterable[str], source: str, world: World, detail: str) -> Iterator[Want]:
        for relative in names:
            if path := _first_of(relative, inc(world), world):
                yield self.want(path, source, detail)


class PerlEmbedded(Rule):
    """What a perl within another program finds of the files that are perl-base's: the same of the full perl.

    mod_perl, PL/Perl, FreeRADIUS's rlm_perl and others load libperl, whose @INC has no perl-base, and from which
    /usr/bin/perl would have taken them first.
    """

    name = "perl.embedded"
    level = Level.SAFE
    selector = Selector(FILES, beginnings=("libperl.so.",), within=("/perl-base/",))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        names: tuple[str, ...] = ()
        if entry.name.startswith("libperl.so."):
            names = IMPLICIT
        elif is_embedded(world):
            names = (entry.path.partition("/perl-base/")[2],)
        for relative in names:
            if path := _first_of(relative, embedded_inc(world), world):
                yield self.want(path, entry.path, "perl within another program looks there")


def _first_of(relative: str, directories: Iterable[str], world: World) -> str | None:
    """The first file of that name in some directories."""
    return next(filter(world.rootfs.is_file, (f"{directory}/{relative}" for directory in directories)), None)


RULES: tuple[Rule, ...] = (PerlUse(), PerlParts(), PerlUnit(), PerlRuntime(), PerlEmbedded())
