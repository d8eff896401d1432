"""A language as a record: what the rules that serve all languages have to know of one.

Each package or module below `rules/languages/` has one, `LANGUAGE`, and `languages.known()` collects them. A record is
data and cheap to import; what a language can do beyond it (its rules, its readers) is imported when it is asked for.

Regular expressions are texts here, compiled by whoever searches with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from debloat.closure import World

NEVER = r"(?!)"
"""Matches nothing."""

TEXT = r"(?:\"((?:[^\"\\\n]|\\.){1,1000})\"|'((?:[^'\\\n]|\\.){1,1000})')"
"""A literal text in quotation marks of either kind: what stands in the first is the group 1, in the second 2."""

BACKTICKS = r"`([^`\n]{1,1000})`"


class Runtime(Struct, frozen=True):
    """How a runtime that was built from source into a prefix is known, and what it consists of.

    `directory` matches the directory of a file that only such a runtime has, relative to the prefix, and `landmarks`
    are the names of that file. `needs` and `parts` are globs relative to the prefix: one of each group of `needs` must
    exist, `parts` are what is the runtime's.
    """

    name: str
    directory: str
    landmarks: tuple[str, ...]
    needs: tuple[tuple[str, ...], ...]
    parts: tuple[str, ...]


class Calls(Struct, frozen=True):
    """Calls that start programs: their pattern, and words of which a file with such a call has at least one.

    The pattern's groups 1 and 2 are those of `TEXT`. `not_after` matches what the character before a call must not be:
    it stands apart, for a pattern that begins with what can be searched for costs a fifth of one that looks back first.
    """

    words: tuple[str, ...]
    pattern: str
    not_after: str = NEVER


def calls(words: str, names: str, between: str = "", not_after: str = "", modules: str = "") -> Calls:
    """Calls of functions whose first argument, after what may stand before it, is a literal text.

    `names` are alternatives, each with one of `modules` before it or none.
    """
    heads = "|".join(module + name for module in (*modules.split(), "") for name in names.split("|"))
    pattern = rf"(?:{heads})[ \t]*(?:\([ \t\n]*)?(?:{between})(?:\[|c\(|array\()?[ \t\n]*{TEXT}"
    return Calls(tuple(words.split()), pattern, rf"[\w$@%&>:{not_after}-]")


class CommandLines(Struct, frozen=True):
    """How source starts programs: words of which such a file has at least one, the calls, and quoted command lines.

    `suffixes` are of files that hold such code beside the language's own. Group 1 of a pattern in `quotes` is a line
    for a shell.
    """

    words: tuple[bytes, ...]
    calls: tuple[Calls, ...] = ()
    quotes: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()


class Leftovers(Struct, frozen=True):
    """What the language's tools leave behind, and no program reads at run time.

    `caches`, `credentials` and `build_files` are names of files or directories wherever they stand; `places` real paths
    and `globs` of absolute paths, each with the reason. Where a file called one of `build_marks` lies, something was
    built, and files that end in `build_suffixes` are on the way to it. `skeleton` are directories that installing the
    language makes and that mean nothing by themselves.
    """

    caches: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    build_files: tuple[str, ...] = ()
    build_marks: tuple[str, ...] = ()
    build_suffixes: tuple[str, ...] = ()
    places: Mapping[str, str] = MappingProxyType({})
    globs: tuple[tuple[str, str], ...] = ()
    skeleton: tuple[str, ...] = ()


class PackageHome(Struct, frozen=True):
    """A directory in which a package manager keeps all: known by `marks` that lie in it, it may have all of `names`."""

    marks: tuple[str, ...]
    names: frozenset[str]


class Importer(Struct, frozen=True):
    """A loader of modules that lists directories to find them, and does not read the names for their own sake.

    `directories` matches the end of a directory of modules, `program` a program's path that lists the directory of its
    own script too, and `libraries` the name of a shared object that only this loader opens.
    """

    directories: str
    program: str = NEVER
    libraries: str = NEVER


class Installed(Struct, frozen=True):
    """A package that somebody had a language's own package manager install by name, not as what others need.

    `name` is as the manager writes it. `wanted` are the paths to claim so that the language's rules keep it whole, its
    programs among them; `code` files or directories of which only a use of the package opens something; `programs`
    where its commands lie.
    """

    name: str
    wanted: tuple[str, ...]
    code: tuple[str, ...]
    programs: tuple[str, ...] = ()


class Language(Struct, frozen=True):
    """What all rules share about one language. Everything but the name may be left out.

    suffixes, file_names
        Source files, by how their names end and by their whole names.
    interpreters
        A regular expression of the programs, by the beginning of their names, that run such files; `polyglot` says that
        a script may begin as a shell's and hand itself over (`exec perl -x "$0"`).
    shell_words
        Those of the interpreters' names that mean nothing else where they stand in a shell script.
    compiled
        The source is made to machine code, and nothing opens it when the program runs.
    command_lines
        How the source starts programs; None where the language's own rules read that.
    configures
        Suffixes of files in this language that are the configuration of services written in another.
    runtimes
        What a build from source leaves in a prefix.
    package_directories
        Names of the directories in which each entry is a package, kept or dropped by the language's rules.
    package_homes
        Directories of a package manager that are known by what lies in them.
    vendored
        Further names of directories with other people's code.
    stores
        Regular expressions of further directories that are imported from: nothing in them, nor below, is a choice of
        the program that opened its neighbour.
    bytecode
        Name of a directory of compiled modules, and the suffix of the source that each needs beside the directory.
    importer
        How modules are looked for.
    package_managers, build_programs
        Programs that install packages, and that build.
    registry
        The package manager by the one name that its packages are told apart by, such as `npm`.
    requested
        The module beside the record that exports `installed`: World -> the packages that were installed by name.
    builders
        Names of packages that install and build others.
    leftovers
        What these leave behind.
    archives
        Suffix of a package's archive -> whether the package that a file's name tells is installed in that version.
    scripts_outside
        The real paths of files that packages put outside of their own directories.
    library
        Globs of the standard library and the language's own tools: whole where the image is an interpreter and no more.
    rules
        Modules beside the record that export `RULES`.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    file_names: frozenset[str] = frozenset()
    interpreters: str = ""
    polyglot: bool = False
    shell_words: tuple[str, ...] = ()
    compiled: bool = False
    command_lines: CommandLines | None = None
    configures: tuple[str, ...] = ()
    runtimes: tuple[Runtime, ...] = ()
    package_directories: tuple[str, ...] = ()
    package_homes: tuple[PackageHome, ...] = ()
    vendored: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    bytecode: tuple[str, str] | None = None
    importer: Importer | None = None
    package_managers: tuple[str, ...] = ()
    build_programs: tuple[str, ...] = ()
    registry: str = ""
    requested: str = ""
    builders: frozenset[str] = frozenset()
    leftovers: Leftovers = Leftovers()
    archives: Mapping[str, Callable[[World, str], bool]] = MappingProxyType({})
    scripts_outside: Callable[[World], Iterable[str]] | None = None
    library: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def handed(self) -> str:
        """A regular expression of how a shell's script begins that hands itself over to this language."""
        if not self.interpreters:
            return NEVER
        return rf"#![^\n]*sh\b[^\n]*\n(?:[^\n]*\n){{0,4}}[^\n]*\bexec\b[^\n]*\b(?:{self.interpreters})(?![a-z])"


def in_library(name: str) -> str:
    """A store: what a regular expression names right below a directory of libraries or data (hier(7))."""
    return rf"/(?:usr/(?:local/)?)?(?:lib|share)/(?:[a-z0-9_]+-linux-gnu/)?(?:{name})"
