"""Node's rules of level safe: modules, packages, dependencies, commands."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from debloat.closure import Rule, World, derived, derived_by
from debloat.core.model import Entry, Want
from debloat.rules.cmdline import words_of
from debloat.rules.commands import reachable_program
from debloat.rules.interpreters import is_script_of, script_head, sources_of
from debloat.rules.languages.node import packages
from debloat.rules.languages.node.language import LANGUAGE
from debloat.rules.languages.node.source import References, references, specifiers
from debloat.selector import FILES, NO_DIRECTORIES, Selector

_START = ("prestart", "start", "poststart")
_RUNTIME = re.compile(r"node(?:js)?|libnode\.so\.\d+")
_RUNTIMES = ("node", "nodejs", "bun", "deno", "electron", "app.asar")
"""Node and what runs its programs; an Electron program has any name, but its code in one archive."""


@derived_by
def _references(world: World, path: str) -> References:
    return references(world.rootfs.read(path), _has_runtime(world))


@derived
def _has_runtime(world: World) -> bool:
    """Whether the image has a program that runs JavaScript outside of a browser."""
    return any(map(world.rootfs.is_file, world.rootfs.named(*_RUNTIMES)))


def is_source(entry: Entry, world: World) -> bool:
    """Whether an entry is a JavaScript program or module: by its suffix, or by the interpreter on its first line."""
    if not entry.is_file or entry.name.endswith((".d.ts", ".d.mts", ".d.cts")):
        return False
    if entry.name.endswith(LANGUAGE.suffixes):
        return True
    return is_script_of(LANGUAGE, script_head(entry, world))


class Modules(Rule):
    """A kept script brings the files and packages that it requires or imports by a literal name.

    A package's own file is scanned for other packages that its manifest does not declare and for files among its
    tests; the rest of it stays with the package.
    """

    name = "node.import"
    selector = sources_of(LANGUAGE)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not is_source(entry, world):
            return
        home = packages.package_of(world, entry.path)
        declared = _declared(world, home) if home is not None else frozenset()
        if home is not None and not _foreign(world, declared, entry.path):
            return
        for specifier in sorted(_references(world, entry.path).modules):
            if packages.bare(specifier) in declared:
                continue
            for path in _resolve(world, entry.path, specifier):
                yield self.want(path, entry.path, f"import {specifier}")


def _declared(world: World, home: str) -> frozenset[str]:
    """A package, what it needs, and what only its developers need: its test and build scripts import that."""
    manifest = _manifest(world, home)
    development = manifest.get("devDependencies")
    names = development if isinstance(development, dict) else ()
    return frozenset({home.rpartition("/node_modules/")[2], *packages.needs(manifest), *names})


def _foreign(world: World, declared: frozenset[str], path: str) -> bool:
    """Whether a package's file seems to name what neither the package nor its dependencies hold."""
    for specifier in specifiers(world.rootfs.read(path)):
        name = packages.bare(specifier)
        if name is None:
            if "test" in specifier:
                return True
        elif name not in declared and packages.find(world, path.rpartition("/")[0], name) is not None:
            return True
    return False


@derived_by
def _manifest(world: World, home: str) -> Mapping[str, object]:
    return packages.manifest(world.rootfs, f"{home}/package.json")


def _resolve(world: World, path: str, specifier: str) -> Iterator[str]:
    directory = path.rpartition("/")[0] or "/"
    if specifier.startswith(("./", "../", "/")) or specifier in (".", ".."):
        file = packages.local(world.rootfs, posixpath.normpath(posixpath.join(directory, specifier)))
        if file is not None:
            yield file
        return
    name = packages.bare(specifier)
    place = packages.find(world, directory, name) if name else None
    if place is not None:
        yield from claims(world, place)


def claims(world: World, place: str) -> Iterator[str]:
    """What to claim so that the package at a place, maybe behind a link, stays whole."""
    rootfs = world.rootfs
    if rootfs.is_file(f"{place}.js") and not rootfs.is_dir(place):
        yield f"{place}.js"
        return
    real = rootfs.resolve(place).path or place
    yield place
    manifest = f"{place}/package.json"
    if rootfs.is_file(manifest):
        yield manifest
    if packages.package_of(world, real) != real or not rootfs.is_file(manifest):
        yield from packages.files(world, real)


class PackageUnits(Rule):
    """An installed package with a used file stays whole, without tests, documentation and build leftovers."""

    name = "node.package"

    def select(self, world: World) -> Selector:
        roots = (f"{root}/" for root in packages.roots(world))
        return Selector(NO_DIRECTORIES, within=("/node_modules/", *roots))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        home = packages.package_of(world, entry.path)
        if home is None:
            return
        anchor = f"{home}/package.json"
        if entry.path == anchor or anchor not in world.rootfs:
            if entry.path == anchor or entry.path == next(packages.files(world, home), ""):
                for path in packages.files(world, home):
                    yield Want(path, self.name, entry.path, home, follow=False)
                    yield self.want(path, entry.path, home)
                yield from self._programs(world, home, entry.path)
            else:
                yield self.want(next(packages.files(world, home), entry.path), entry.path)
        else:
            yield self.want(anchor, entry.path)

    def _programs(self, world: World, home: str, source: str) -> Iterator[Want]:
        """The links in node_modules/.bin that npm makes for a package's programs."""
        base = home.rpartition("/node_modules/")[0]
        programs = _manifest(world, home).get("bin")
        names = programs if isinstance(programs, dict) else [home.rpartition("/")[2]] if programs else []
        for name in sorted(str(n) for n in names):
            yield self.want(f"{base}/node_modules/.bin/{name}", source, "program")


class Dependencies(Rule):
    """A kept package.json brings the dependencies that it declares for run time, where they are installed.

    Modules are required by names computed at run time (drivers, loaders, plug-ins), but not beyond what is declared.
    """

    name = "node.dependency"
    selector = Selector(FILES, names=("package.json",))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        directory = entry.path.rpartition("/")[0]
        package = _manifest(world, directory)
        for name in packages.needs(package):
            place = packages.find(world, directory or "/", name)
            if place is not None:
                for path in claims(world, place):
                    yield self.want(path, entry.path, name)
        if packages.package_of(world, entry.path) is None:
            yield from self._start(world, directory, package, entry.path)

    def _start(self, world: World, directory: str, package: Mapping[str, object], source: str) -> Iterator[Want]:
        """The programs that `npm start` runs, which finds them in node_modules/.bin first."""
        scripts = package.get("scripts")
        lines = [scripts.get(name) for name in _START] if isinstance(scripts, dict) else []
        for line in lines:
            for word in re.split(r"[\s;&|]+", line)[:200] if isinstance(line, str) else ():
                program = f"{directory}/node_modules/.bin/{word}"
                if word and "/" not in word and world.rootfs.is_file(program):
                    yield self.want(program, source, line if isinstance(line, str) else "")


class ChildProcesses(Rule):
    """Programs that a script starts by a literal name, through PATH."""

    name = "node.child_process"
    selector = sources_of(LANGUAGE)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not is_source(entry, world):
            return
        if packages.package_of(world, entry.path) and b"child_process" not in world.rootfs.read(entry.path):
            return
        for word in sorted(_references(world, entry.path).commands):
            path = reachable_program(world, word, entry.path)
            if path is not None:
                yield self.want(path, entry.path, word)


class Runtime(Rule):
    """Debian's Node reads some of its built-in modules from packages of their own (undici, cjs-module-lexer, acorn).

    The package of the runtime depends on them by name.
    """

    name = "node.runtime"
    selector = Selector(FILES, beginnings=("node", "libnode"))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not _RUNTIME.fullmatch(entry.name):
            return
        for owner in world.packages.owners(entry.path):
            package = world.packages.get(owner)
            for alternatives in package.depends if package is not None else ():
                for bare in alternatives:
                    if bare.startswith("node-"):
                        for provider in world.packages.providers(bare):
                            for path in world.packages.files(provider):
                                home = packages.package_of(world, path)
                                if home is not None and path == f"{home}/package.json":
                                    yield self.want(path, entry.path, bare)


class CommandLine(Rule):
    """Packages that the image's command line or NODE_OPTIONS names: `-r dotenv/config`, `--import tsx`, `npx serve`."""

    name = "node.command_line"

    def initial_wants(self, world: World) -> Iterable[Want]:
        config = world.config
        fields = {"Entrypoint": config.entrypoint, "Cmd": config.cmd, "Healthcheck": config.healthcheck}
        fields["Env"] = (config.env.get("NODE_OPTIONS", ""),)
        start = world.rootfs.resolve(config.workdir).path or "/"
        for label, words in fields.items():
            for word in words_of(words):
                name = packages.bare(word.rpartition("=")[2])
                place = packages.find(world, start, name) if name else None
                if place is not None and "/node_modules/" in place:
                    for path in claims(world, place):
                        yield self.want(path, f"config:{label}", word)


RULES: tuple[Rule, ...] = (
    Modules(),
    PackageUnits(),
    Dependencies(),
    ChildProcesses(),
    Runtime(),
    CommandLine(),
)
