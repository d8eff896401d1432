"""Shell: the commands and files that kept scripts name, in all their branches."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from debloat.closure import Rule, World, derived
from debloat.core.model import Entry, Level, Op, Want
from debloat.elf.facts import MAGIC
from debloat.rules import languages
from debloat.rules.commands import assumed_packages, command, executed, is_template, on_path, runnable
from debloat.rules.interpreters import HEAD, SHELL, interpreter, sources_of
from debloat.rules.knowledge.plugins import SHARED_DIRECTORY
from debloat.rules.languages.shell import source as shellparse
from debloat.rules.languages.shell.evaluate import BUILTINS, SHELLS, UNKNOWN, Evaluator, Use
from debloat.rules.languages.shell.language import LANGUAGE
from debloat.rules.languages.shell.source import MAX_SCRIPT
from debloat.rules.languages.shell.wrappers import names
from debloat.rules.programs import BUILD_TIME
from debloat.selector import Selector

INTERACTIVE = re.compile(
    r"/etc/(?:profile|profile\.d/.*|bash\.bashrc|bash_completion.*|skel/.*|zsh/.*)|.*/\.(?:bash|zsh|k?sh)?(?:rc|profile|login)"
    r"|.*/\.(?:bash_|z)(?:profile|login|logout)|/usr/share/(?:bash-completion|zsh|fish)/.*"
)
"""Read by shells with a user in front (bash(1), INVOCATION): nothing that runs by itself needs their commands."""

BUILD_SCRIPTS = names(
    "configure config.guess config.sub config.status install-sh ltmain.sh depcomp missing mkinstalldirs autogen.sh "
    "bootstrap.sh compile test-driver ylwrap libtool"
)
"""Scripts of the GNU build system, shipped within source trees."""

_THIRD_PARTY = {name for language in languages.known() for name in (*language.package_directories, *language.vendored)}

DEPENDENCIES = re.compile(f"/(?:{'|'.join(sorted(_THIRD_PARTY))})/(?!.*bin/[^/]+$)")
"""Directories of third-party code: its scripts, apart from those in a `bin`, are its developers' tools."""

MAX_SOURCED = 6
MAX_PATHS = 2000
MIN_KNOWN_CHARS = 3
"""Known characters that a command's name must have for the rest to be matched."""
MAX_MATCHES = 32
"""Programs that may match such a name; where more do, none is kept for it."""

_PIECES = re.compile(r"[\s=:,;\"'()<>|&]+")


def is_shell(path: str, head: bytes) -> bool:
    """Whether a file is a shell script: by its `#!` line, without one by its name."""
    if head.startswith(b"#!"):
        return interpreter(head)[0] == SHELL
    return path.endswith(LANGUAGE.suffixes) and b"\0" not in head


class _Scope(Struct, frozen=True):
    """What a script may reach: everything for the application's, for a package's what it may assume."""

    world: World
    packages: frozenset[str] | None
    build_tools: bool

    def allows(self, path: str) -> bool:
        """Whether the script may reach what a path leads to."""
        real = self.world.rootfs.resolve(path).path
        if real is None:
            return False
        if not self.build_tools and path.rpartition("/")[2] in BUILD_TIME:
            return False
        if self.packages is None:
            return True
        owners = self.world.packages.owners(real)
        return not owners or not self.packages.isdisjoint(owners)


class _Reading(Struct):
    """One script being read, with those that it sources."""

    scope: _Scope
    rule: str
    visited: set[str] = set()

    def wants(self, source: bytes, path: str, outer: Evaluator | None = None, depth: int = 0) -> Iterator[Want]:
        """Claims of a script; `path` is the file it is in, or a root such as `config:Cmd`."""
        script = shellparse.parse(source)
        evaluator = Evaluator(script, self.scope.world.config, path if path.startswith("/") else "", outer)
        for use in evaluator.uses():
            if use.kind == "command":
                yield from self._command(use, path, evaluator)
            elif use.kind in ("source", "script"):
                yield from self._sourced(use, path, evaluator, depth)
            else:
                yield from self._paths(use, path, evaluator)

    def _want(self, target: str, path: str, use: Use) -> Iterator[Want]:
        if self.scope.allows(target):
            yield Want(target, self.rule, path, f"{use.value[:80]}, line {use.line}")

    def _command(self, use: Use, path: str, evaluator: Evaluator) -> Iterator[Want]:
        """Claims on the program of a command word: the one it names by its path, else the first on PATH."""
        world, word = self.scope.world, use.value
        if word.startswith("/"):
            yield from self._paths(use, path, evaluator)
            return
        program = on_path(world, word) if "/" not in word else None
        candidates = [program] if program else []
        if not program and UNKNOWN not in word:
            bases = evaluator.directories if "/" in word else evaluator.path_directories()
            candidates = [c for base in bases if (c := command(world, f"{base.rstrip('/')}/{word}"))]
        if UNKNOWN in word and "/" not in word:
            for target in _matching_programs(world, word):
                yield from self._want(target, path, use)
        for target in candidates[:1]:
            yield from self._want(target, path, use)

    def _sourced(self, use: Use, path: str, evaluator: Evaluator, depth: int) -> Iterator[Want]:
        """Claims on a script that this one sources or hands to a shell, and on what that script uses in turn."""
        for target in self._files(use.value, evaluator):
            if not self.scope.allows(target):
                continue
            real = self.scope.world.rootfs.resolve(target).path
            yield from self._want(target, path, use)
            if use.kind == "script" and real and not _reads_as_shell(real, self.scope.world):
                continue
            if real and real not in self.visited and depth < MAX_SOURCED and _readable(real, self.scope.world):
                self.visited.add(real)
                source = self.scope.world.rootfs.read(real)
                if use.kind == "source":
                    evaluator.absorb(shellparse.parse(source))
                # A shell of its own shares nothing with this one.
                yield from self.wants(source, real, evaluator if use.kind == "source" else None, depth + 1)

    def _files(self, value: str, evaluator: Evaluator) -> list[str]:
        rootfs = self.scope.world.rootfs
        if value.startswith("/"):
            return [p for p in _expand(value, rootfs.glob) if rootfs.is_file(p)]
        bases = (*evaluator.directories, *self.scope.world.config.path)
        places = (f"{base.rstrip('/')}/{value}" for base in bases)
        return [p for p in places if rootfs.is_file(p)][:1] if UNKNOWN not in value and value else []

    def _paths(self, use: Use, path: str, evaluator: Evaluator) -> Iterator[Want]:
        rootfs = self.scope.world.rootfs
        pieces = [use.value] if use.kind == "command" else dict.fromkeys((use.value, *_PIECES.split(use.value)))
        for piece in pieces:
            if piece.startswith("/") and piece.strip("/").count("/") >= 1 and len(piece) < 4096:
                for target in _expand(piece, rootfs.glob):
                    if use.kind == "command" and not runnable(self.scope.world, target):
                        continue
                    yield from self._want(target, path, use)
                    if use.kind == "tree" and rootfs.is_dir(target) and target.strip("/").count("/") >= 2:
                        yield from self._tree(target, path, use)

    def _tree(self, directory: str, path: str, use: Use) -> Iterator[Want]:
        for number, entry in enumerate(self.scope.world.rootfs.walk(directory)):
            if number >= MAX_PATHS:
                return
            yield from self._want(entry.path, path, use)


def _matching_programs(world: World, word: str) -> tuple[str, ...]:
    """The programs on PATH that match a word with unknown parts: `${algorithm}sum`, `mkfs.$type`."""
    if len(word.replace(UNKNOWN, "")) < MIN_KNOWN_CHARS or any(c in word for c in "*?[ "):
        return ()
    pattern = re.compile(".+".join(re.escape(part) for part in word.split(UNKNOWN)))
    directories = dict.fromkeys(real for d in world.config.path if (real := world.rootfs.resolve(d).path))
    programs = {
        name: path
        for directory in reversed(directories)
        for name in world.rootfs.names(directory)
        if pattern.fullmatch(name) and runnable(world, path := f"{directory.rstrip('/')}/{name}")
    }
    return tuple(programs[name] for name in sorted(programs)) if len(programs) <= MAX_MATCHES else ()


def _expand(path: str, glob: object) -> tuple[str, ...]:
    """The path, or what it matches where it is a pattern or has unknown parts."""
    if UNKNOWN in path:
        prefix = path.partition(UNKNOWN)[0]
        # The root's own directories are no place to guess in.
        if prefix.count("/") < 3 or "*" in path:
            return ()
        # Nor are the directories that all packages share, for an unknown name.
        if any(not part.strip(UNKNOWN) and SHARED_DIRECTORY.fullmatch(above) for above, part in _steps(path)):
            return ()
        path = re.sub("[*?[]", "?", path).replace(UNKNOWN, "*")
    elif not any(c in path for c in "*?["):
        return (path,)
    if "**" in path:
        path = re.sub(r"\*+", "*", path)
    assert callable(glob)
    paths = tuple(glob(path))
    return paths if len(paths) <= MAX_PATHS else ()


def _steps(path: str) -> Iterator[tuple[str, str]]:
    """The components of an absolute path, each with the directory that it is in."""
    parts = path.split("/")
    return (("/".join(parts[:at]) or "/", part) for at, part in enumerate(parts) if part)


def _reads_as_shell(path: str, world: World) -> bool:
    """Whether a file that a shell is given is a script: a `#!` line with another interpreter speaks against it."""
    head = world.rootfs.read(path, HEAD) if _readable(path, world) else b"\0"
    return b"\0" not in head and (not head.startswith(b"#!") or interpreter(head)[0] in ("", SHELL))


def _readable(path: str, world: World) -> bool:
    entry = world.rootfs.get(path)
    return entry is not None and entry.is_file and entry.size <= MAX_SCRIPT


@derived
def _traced_files(world: World) -> frozenset[str]:
    """Real paths that were opened or executed while recording."""
    resolve = world.rootfs.resolve
    touched = {a.path for a in world.trace.accesses if a.op in (Op.OPEN, Op.EXEC)}
    return frozenset(real for path in touched if (real := resolve(path).path))


@derived
def _read_by_shells(world: World) -> frozenset[str]:
    """Real paths of what shells opened while recording: `. FILE`, `sh FILE`, `sh <FILE`, and what they redirect."""
    resolve = world.rootfs.resolve
    opened = {
        a.path
        for a in world.trace.accesses
        if a.op is Op.OPEN and posixpath.basename(a.program) in SHELLS and "c" not in a.flags
    }
    return frozenset(real for path in opened if (real := resolve(path).path))


_KEYWORDS = names("if for while until case { ( function select")
_FIRST = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*([^\s;&|<>()\"'$`]+)([ \t]*\([ \t]*\))?")


def _without_a_line(entry: Entry, world: World) -> bool:
    """Whether a file without a `#!` line is a shell script all the same.

    execvp(3) and shells hand what the kernel does not know (ENOEXEC) to a shell. It was run while recording; or it
    begins with a command, and was read by a shell, or may be executed and has no suffix of something else. A shell
    reads /etc/passwd and tables as well.
    """
    head = world.rootfs.read(entry.path, HEAD)
    if head.startswith((b"#!", MAGIC)) or b"\0" in head or not head.strip():
        return False
    if entry.path in executed(world):
        return True
    read = entry.path in _read_by_shells(world)
    first = _FIRST.match(head)
    if first is None or not (read or (entry.executable and "." not in entry.name)):
        return False
    word = first[1].decode("utf-8", "surrogateescape")
    assigned = re.match(r"[A-Za-z_]\w*=", word) is not None
    return bool(first[2]) or assigned or word in BUILTINS | _KEYWORDS or on_path(world, word) is not None


class ShellScripts(Rule):
    """The commands that a kept shell script runs, the files it sources, and the paths it names.

    A script of the application is followed wherever it leads; one of a Debian package to that package, its
    Depends and the Essential packages.
    """

    name = "shell.script"
    level = Level.SAFE

    def select(self, world: World) -> Selector:
        run = executed(world) | _read_by_shells(world)
        return replace(sources_of(LANGUAGE), executable=True, paths=run)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not 0 < entry.size <= MAX_SCRIPT or not self._follow(entry, world):
            return
        owners = world.packages.owners(entry.path)
        if not is_shell(entry.path, world.rootfs.read(entry.path, HEAD)):
            if owners or not _without_a_line(entry, world):
                return
            if (shell := on_path(world, "sh")) and entry.executable:
                yield self.want(shell, entry.path, "no #! line: whoever cannot execute it hands it to a shell")
        traced = entry.path in _traced_files(world)
        own = bool(owners) and not world.packages.modified(entry.path)
        scope = _Scope(world, assumed_packages(world, owners) if own else None, traced or own)
        reading = _Reading(scope, self.name, {entry.path})
        yield from _unique(reading.wants(world.rootfs.read(entry.path), entry.path))

    @staticmethod
    def _follow(entry: Entry, world: World) -> bool:
        path = entry.path
        if entry.name in BUILD_SCRIPTS or DEPENDENCIES.search(path):
            return path in _traced_files(world)
        if is_template(world, path):
            return False
        named = "." in entry.name or not world.packages.owners(path)
        return entry.executable or (named and not INTERACTIVE.fullmatch(path))


class ShellConfig(Rule):
    """What ENTRYPOINT, CMD and HEALTHCHECK name: programs behind wrappers, and all of a `sh -c` line."""

    name = "shell.config"
    level = Level.SAFE

    def initial_wants(self, world: World) -> Iterable[Want]:
        config = world.config
        health = config.healthcheck
        shell = on_path(world, config.shell[0]) if health[:1] == ("CMD-SHELL",) else None
        if shell:
            yield self.want(shell, "config:Healthcheck", "runs the HEALTHCHECK line")
        lines = {
            "config:Entrypoint": _quote((*config.entrypoint, *config.cmd)) if config.entrypoint else b"",
            "config:Cmd": _quote(config.cmd),
            "config:Healthcheck": _bytes(health[1]) if health[:1] == ("CMD-SHELL",) and health[1:] else b"",
            "config:Healthcheck.Test": _quote(health[1:]) if health[:1] == ("CMD",) else b"",
        }
        for source, line in lines.items():
            reading = _Reading(_Scope(world, None, True), self.name)
            yield from _unique(reading.wants(line, source.removesuffix(".Test")))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _quote(words: Iterable[str]) -> bytes:
    """A command line that a shell reads back as these words."""
    return _bytes(" ".join("'" + w.replace("'", "'\\''") + "'" for w in words))


def _unique(wants: Iterable[Want]) -> Iterator[Want]:
    """The first claim on each path: a script may name `cat` a hundred times."""
    claimed = set[tuple[str, str]]()
    for want in wants:
        if (want.path, want.source) not in claimed:
            claimed.add((want.path, want.source))
            yield want


RULES: tuple[Rule, ...] = (ShellScripts(), ShellConfig())
