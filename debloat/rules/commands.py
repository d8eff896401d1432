"""Command words of scripts and programs, resolved as execvp(3) resolves them: through the image's PATH."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from debloat.closure import World, derived
from debloat.core.model import Entry, Op
from debloat.core.shells import POSIX_SHELLS
from debloat.rules.interpreters import env_command, shebang

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Searched after the image's PATH: scripts that run as root (cron, init, `su -`) get these directories."""

TEMPLATES = re.compile(r".*\.(?:sample|example|dist|disabled|orig|bak|dpkg-(?:old|new|dist|tmp)|ucf-(?:old|dist))")
"""Names under which a script waits to be renamed: templates, examples, backups. Nothing runs it as it is."""

MAX_WORD = 4096
"""Longer words are no path (PATH_MAX, limits.h)."""


def on_path(world: World, word: str) -> str | None:
    """The path of the program that `word` runs, links in it not followed; None where the image has none.

    A word with a slash is a path by itself, and must be absolute; any other is looked up in the directories of
    PATH, then in the system's.
    """
    return command(world, word, cwd=None)


def command(world: World, word: str, cwd: str | None = "/") -> str | None:
    """As `on_path`; a word with a slash that is not absolute is taken relative to `cwd`."""
    if not word or len(word) > MAX_WORD or "\0" in word or word.endswith("/"):
        return None
    if "/" in word:
        if not word.startswith("/"):
            if cwd is None:
                return None
            word = f"{cwd.rstrip('/')}/{word}"
        return word if runnable(world, word) else None
    return next((path for path in _candidates(world, word) if runnable(world, path)), None)


def reachable_program(world: World, word: str, source: str) -> str | None:
    """The program that `word` runs when it stands in the file `source`, where `source` may take it for granted.

    The application's files may name any program, a package's those of its `assumed_packages`.
    """
    path = on_path(world, word)
    owners = world.packages.owners(source)
    if path is None or not owners or world.packages.modified(source):
        return path
    theirs = world.packages.owners(world.rootfs.resolve(path).path or path)
    return path if not theirs or not assumed_packages(world, owners).isdisjoint(theirs) else None


def assumed_packages(world: World, owners: Iterable[str]) -> frozenset[str]:
    """The packages that a package's files may assume: itself, its Depends, Essential ones and theirs.

    Debian policy 3.5 and 3.8; awk is there because base-files depends on one. Programs that are only recommended or
    suggested are not followed.
    """
    return with_dependencies(world, owners) | essential(world)


def with_dependencies(world: World, owners: Iterable[str]) -> frozenset[str]:
    """Some packages, and the installed ones that they depend on by name."""
    names = set(owners)
    for owner in tuple(names):
        package = world.packages.get(owner)
        for alternatives in package.depends if package else ():
            for name in alternatives:
                names.update(world.packages.providers(name))
    return frozenset(names)


def interpreter_of(world: World, line: tuple[str, str]) -> str | None:
    """The program that a `#!` line leads to, as written, or as `env` finds it; None where that finds none."""
    if line[0].rpartition("/")[2] != "env":
        return line[0]
    word = env_command(line[1], world.config.env)
    return on_path(world, word) if word else None


MODULE_SECTIONS = frozenset({"gnu-r", "java", "javascript", "lisp", "perl", "php", "python", "ruby"})
"""Sections of a language's modules (Debian policy 2.4): what depends on such a one is written in that language."""


def optional_interpreter(entry: Entry, owner: str, world: World) -> str:
    """The interpreter of a script, other than a shell, on which its package does not depend; "" where there is none.

    perl-base is Essential, and installation scripts use it: only who depends on Perl is taken to need it in service.
    What other Essential packages interpret (awk, sed) is there for everybody.
    """
    if not entry.executable:
        return ""
    line = shebang(world.rootfs.read(entry.path, 256))
    if line is None:
        return ""
    program = interpreter_of(world, line)
    if program is None or program.rpartition("/")[2] in POSIX_SHELLS:
        return ""
    real = world.rootfs.resolve(program).path
    languages = {name for path in (program, real) if path for name in world.packages.owners(path)}
    if languages <= essential(world) - {"perl-base"}:
        return ""
    return program if not _depends_on_language(world, owner, languages) else ""


def _depends_on_language(world: World, owner: str, languages: Iterable[str]) -> bool:
    """Whether a package depends on an interpreter's package, on another of its source, or on modules for it.

    /usr/bin/perl is perl-base's, and programs depend on perl; /usr/bin/python3.11 is python3.11-minimal's, to which
    python3-minimal's link leads, and they depend on python3 (Debian Perl policy 5.2).
    """
    get = world.packages.get
    sources = {package.source for package in map(get, languages) if package is not None}
    names = with_dependencies(world, (owner,))
    modules = {n for n in names if (p := get(n)) is not None and p.section.rpartition("/")[2] in MODULE_SECTIONS}
    names |= with_dependencies(world, modules)
    return any((package := get(name)) is not None and package.source in sources for name in names)


@derived
def essential(world: World) -> frozenset[str]:
    """What every image has: Essential packages, and what these depend on."""
    names = world.packages.names()
    return with_dependencies(world, (n for n in names if (p := world.packages.get(n)) is not None and p.essential))


def runnable(world: World, path: str) -> bool:
    """Whether `path` leads to a regular file that someone may execute."""
    entry = world.rootfs.lookup(path)
    return entry is not None and entry.executable


def scripts(world: World, package: str, language: bytes) -> list[str]:
    """The programs of a package that are written in a language whose interpreter's name begins so."""
    rootfs = world.rootfs
    paths = [p for p in world.packages.files(package) if p.startswith(("/usr/bin/", "/usr/sbin/"))]
    paths = [p for p in paths if (entry := rootfs.get(p)) is not None and entry.executable]
    rootfs.fetch(paths)
    interpreter = re.compile(rb"#![^\n]*[/ ]" + language)
    return [p for p in paths if interpreter.match(rootfs.read(p, 256))]


def is_template(world: World, path: str) -> bool:
    """Whether a script is there to be read or copied, not to be run under its name: by the name, unless it ran."""
    return TEMPLATES.fullmatch(path) is not None and path not in executed(world)


@derived
def executed(world: World) -> frozenset[str]:
    """Real paths of what was executed while recording."""
    resolve = world.rootfs.resolve
    return frozenset(real for a in world.trace.accesses if a.op is Op.EXEC and (real := resolve(a.path).path))


def _candidates(world: World, word: str) -> Iterator[str]:
    for directory in dict.fromkeys((*world.config.path, *SYSTEM_PATH)):
        if directory.startswith("/"):
            yield f"{directory.rstrip('/')}/{word}"
