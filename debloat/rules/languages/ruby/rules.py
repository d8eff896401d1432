"""Ruby: what kept code requires, gems as units, and the standard library.

The standard library is kept whole with a Ruby, less its tools (rdoc, irb, bundler, mkmf), which follow from who
requires them: it loads parts by made-up names, and without the tools it is small. Gems, and Debian's packages of
them, are units: one file used keeps the gem, its specification, and the gems that it depends on.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from debloat.closure import Rule, World, derived, derived_by
from debloat.core.globs import matcher
from debloat.core.model import Entry, Level, Want
from debloat.rules.commands import scripts
from debloat.rules.interpreters import is_script_of, script_head, sources_of
from debloat.rules.languages.ruby.language import LANGUAGE
from debloat.rules.languages.ruby.packages import Gem, Library, library
from debloat.rules.languages.ruby.source import MAX_SOURCE, bundled, parse
from debloat.selector import FILES, Selector

TEMPLATES = (".erb",)
"""Files with code between marks (ERB)."""

LOCKS = frozenset(("Gemfile.lock", "gems.locked"))

TOOLS = (
    "rdoc",
    "irb",
    "bundler",
    "mkmf",
    "un",
    "debug",
    "rbs",
    "typeprof",
    "syntax_suggest",
    "ruby_vm/rjit",
    "rubygems",
)
"""Of the standard library: not kept with it, but where required, with all below the name."""

CORE = re.compile(r"ruby|ruby[\d.]+|libruby[\d.]*(?:t64)?|ruby-rubygems|rubygems(?:-integration)?")
"""Debian's packages of Ruby itself."""

UNUSED = matcher(
    (
        *("/test", "/tests", "/spec", "/specs", "/features", "/doc", "/docs", "/example", "/examples", "/benchmark"),
        *("/benchmarks", "/.github", "/.git", "/ext/**/*.[chox]", "/ext/**/*.cc", "/ext/**/*.cpp", "/ext/**/Makefile"),
        *("/ext/**/*.java", "/ext/**/*.so", "/**/*.gem", "/sig", "/Gemfile*", "/gemfiles", "/Rakefile"),
        *("/CHANGELOG*", "/CHANGES*", "/History*", "/HISTORY*", "/CONTRIBUTING*", "/gem_make.out", "/mkmf.log"),
    )
)
"""Of a gem's directory, what is for its developers and its build."""

MARK = "gem.build_complete"
"""RubyGems looks at this file of every gem at its start (Gem::BasicSpecification#missing_extensions?)."""

_INTERPRETER = re.compile(r".*/bin/ruby[\d.]*|.*/libruby[-\d.]*\.so[\d.]*")
_PRELOADED = re.compile(r"(?:^|\s)-r\s*(\S+)")


class RubyRequire(Rule):
    """The features that a kept Ruby file requires, autoloads or loads, in the load path and in gems."""

    name = "ruby.require"
    level = Level.SAFE
    selector = replace(sources_of(LANGUAGE), names=LANGUAGE.file_names)

    def initial_wants(self, world: World) -> Iterable[Want]:
        for name in _PRELOADED.findall(world.config.env.get("RUBYOPT", "")):
            for path in library(world).feature(name):
                yield self.want(path, "config:Env", f"RUBYOPT -r{name}")

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not self._is_ruby(entry, world):
            return
        ruby = library(world)
        added = "/vendor_ruby/" in entry.path or "/site_ruby/" in entry.path
        if _standard(entry.path, ruby) and not added and not _tool(entry.path, ruby):
            return
        facts = parse(world.rootfs.read(entry.path), entry.path.endswith(TEMPLATES))
        directory = posixpath.dirname(entry.path)
        inside = _tool(entry.path, ruby)
        text = world.rootfs.read(entry.path).split(b"\n") if inside or added else []
        for line, name in facts.features:
            # One tool requires another for commands of its own: gem the documentation's, bundle a console. The console
            # cannot do without what it requires when it is loaded, which is rdoc.
            within = (inside or added) and not ("/irb" in entry.path and text[line - 1].startswith(b"require"))
            if not (within and name.split("/")[0] in (*TOOLS, "rake")):
                for path in self._feature(name, directory, ruby, world):
                    yield self.want(path, entry.path, f'require "{name}", line {line}')
        for line, name in facts.relative:
            for path in _files(posixpath.normpath(f"{directory}/{name}"), world):
                yield self.want(path, entry.path, f'"{name}", line {line}')
        for line, name in facts.gems if not inside else ():
            for gem in ruby.gems.get(name, ()):
                for path in use(gem, world):
                    yield self.want(path, entry.path, f"gem {name}, line {line}")
        if stub := _STUB.search(world.rootfs.read(entry.path)):
            for path in _programs(stub[1].decode(), stub[2].decode(), ruby, world):
                yield self.want(path, entry.path, f"the program {stub[2].decode()} of gem {stub[1].decode()}")
        for line, prefix in facts.made:
            for name in (n for n in ruby.features if n.startswith(prefix)):
                for path in ruby.features[name]:
                    yield self.want(path, entry.path, f"{prefix}* by made-up names, line {line}")

    @staticmethod
    def _is_ruby(entry: Entry, world: World) -> bool:
        if not entry.is_file or not 0 < entry.size <= MAX_SOURCE:
            return False
        if entry.path.endswith(LANGUAGE.suffixes) or (
            entry.name in LANGUAGE.file_names and not library(world).gem_of(entry.path)
        ):
            return True
        return is_script_of(LANGUAGE, script_head(entry, world))

    @staticmethod
    def _feature(name: str, directory: str, ruby: Library, world: World) -> Iterator[str]:
        if name.startswith(("/", "./", "../")):
            base = name if name.startswith("/") else posixpath.join(world.config.workdir, name)
            yield from _files(posixpath.normpath(base), world)
            return
        yield from ruby.feature(name)
        # `-I lib`, and $LOAD_PATH changed in ways too many to read.
        for base in (f"{world.config.workdir.rstrip('/')}/lib", f"{directory}/lib", directory):
            yield from _files(f"{base}/{name}", world)


def _files(path: str, world: World) -> Iterator[str]:
    yield from (p for p in (path, f"{path}.rb", f"{path}.so") if world.rootfs.is_file(p))


def _standard(path: str, ruby: Library) -> str:
    """The directory of the load path that a file is in and which is not one of gems, "" for any other file."""
    return next((d for d in ruby.load_path if path.startswith(d + "/") and "/gems/" not in path), "")


def _tool(path: str, ruby: Library) -> str:
    """The tool of the standard library that a file is a part of."""
    directory = max((d for d in ruby.load_path if path.startswith(d + "/")), key=len, default="")
    relative = path[len(directory) + 1 :] if directory else ""
    return next((t for t in TOOLS if relative == f"{t}.rb" or relative.startswith(f"{t}/")), "")


class RubyRuntime(Rule):
    """The standard library with the interpreter, less the tools; and a tool with all its parts once it is required."""

    name = "ruby.runtime"
    level = Level.SAFE
    selector = Selector(FILES, beginnings=("ruby", "libruby"), endings=(".rb",))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if _INTERPRETER.fullmatch(entry.path):
            ruby = library(world)
            for path in self._standard_library(ruby, world):
                yield self.want(path, entry.path, "standard library")
            for path in ruby.feature("rubygems"):
                yield self.want(path, entry.path, "loaded by ruby at its start")
            for gem in (g for gems in ruby.gems.values() for g in gems if g.default):
                yield self.want(gem.specification, entry.path, "says which default gem this Ruby has")
        elif entry.path.endswith(".rb"):
            ruby = library(world)
            tool = _tool(entry.path, ruby)
            if tool and _standard(entry.path, ruby) and entry.path.endswith(f"/{tool}.rb"):
                for directory in ruby.load_path:
                    for below in world.rootfs.walk(f"{directory}/{tool}"):
                        if below.is_file and (directory == posixpath.dirname(entry.path) or "defaults" in below.path):
                            yield self.want(below.path, entry.path, f"part of {tool}")

    @staticmethod
    def _standard_library(ruby: Library, world: World) -> Iterator[str]:
        """Version directories only: vendor_ruby and site_ruby hold what was added."""
        for directory in ruby.load_path:
            if not re.search(r"/ruby/\d[\d.]*(?:/[^/]*-linux[^/]*)?$", directory):
                continue
            for entry in world.rootfs.walk(directory):
                if not entry.is_dir and not _tool(entry.path, ruby) and not entry.path.endswith((".h", ".a", ".ri")):
                    yield entry.path


class RubyGem(Rule):
    """A gem is whole once a file of its code is kept, less tests and sources, with the gems that it depends on.

    Its specification is no sign of use: RubyGems opens those of all gems to look for one.
    """

    name = "ruby.gem"
    level = Level.SAFE

    def select(self, world: World) -> Selector:
        within = ("/gems/", "/extensions/", "/vendor_ruby/", "/rubygems-integration/", "/usr/share/ruby-")
        return Selector(FILES, beginnings=("ruby-",), within=within, paths=_by_anchor(world))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        path = entry.path
        ruby = library(world)
        gem = ruby.gem_of(path)
        if gem:
            yield self.want(gem.specification, path, f"of gem {gem.name} {gem.version}")
            if entry.name != MARK and not _unused(path, gem):
                yield from (self.want(p, path, f"of gem {gem.name} {gem.version}") for p in _anchors(gem, world))
        for gem in _by_anchor(world).get(path, ()):
            yield from self._whole(gem, entry, ruby, world)
        if _vendored(path) and not path.endswith(".gemspec"):
            yield from self._package(entry, world)

    def _whole(self, gem: Gem, entry: Entry, ruby: Library, world: World) -> Iterator[Want]:
        yield self.want(gem.specification, entry.path, f"of gem {gem.name} {gem.version}")
        for directory in gem.directories:
            for below in world.rootfs.walk(directory):
                if not below.is_dir and not UNUSED(below.path[len(directory) :]):
                    yield self.want(below.path, entry.path, f"of gem {gem.name} {gem.version}")
        for path in stubs(world).get(gem.name, ()):
            yield self.want(path, entry.path, f"program of gem {gem.name}")
        for name in gem.depends:
            for other in ruby.gems.get(name, ()):
                for path in use(other, world):
                    yield self.want(path, entry.path, f"gem {gem.name} depends on {name}")

    def _package(self, entry: Entry, world: World) -> Iterator[Want]:
        """Debian's packages put libraries into vendor_ruby; all of one follows from its first file."""
        for owner in world.packages.owners(entry.path):
            if CORE.fullmatch(owner.partition(":")[0]):
                continue
            first, files = _files_of(world, owner)
            first = first or entry.path
            for path in files if first == entry.path else (first,):
                yield self.want(path, entry.path, f"of the same package {owner}")


@derived_by
def _files_of(world: World, owner: str) -> tuple[str, tuple[str, ...]]:
    """The first file of code of a package, and all of its files that belong to the unit."""
    gem_of = library(world).gem_of
    files = [
        path
        for path in world.packages.files(owner)
        if _vendored(path) and world.rootfs.is_file(path) and not ((gem := gem_of(path)) and _unused(path, gem))
    ]
    first = next((p for p in files if not p.endswith(".gemspec")), "")
    return first, (*files, *scripts(world, owner, b"ruby"))


_STUB = re.compile(rb"(?:activate_bin_path|bin_path)\(['\"]([\w.-]+)['\"]\s*,\s*['\"]([\w.-]+)['\"]")


def _programs(gem: str, name: str, ruby: Library, world: World) -> Iterator[str]:
    """The programs of that name in a gem's own directories: all that a part of the standard library has there."""
    for known in ruby.gems.get(gem, ()):
        for directory in known.directories:
            for below in world.rootfs.walk(directory):
                if below.name == name and below.is_file and posixpath.dirname(below.path) in _bins(directory):
                    yield below.path


def _bins(directory: str) -> tuple[str, ...]:
    """Where a gem's programs are: `exe` and `bin` by convention, `libexec` in Ruby's (Gem::Specification#bindir)."""
    return tuple(f"{directory}/{name}" for name in ("exe", "bin", "libexec"))


@derived
def stubs(world: World) -> dict[str, tuple[str, ...]]:
    """Gem -> the programs on PATH that RubyGems made for it (Gem::Installer), whatever they are called."""
    by_gem: dict[str, list[str]] = {}
    rootfs = world.rootfs
    places = [d for d in world.config.path if d.startswith("/") and rootfs.is_dir(d)]
    small = [c for d in places for c in rootfs.children(d) if c.executable and c.size < 4096]
    rootfs.fetch(entry.path for entry in small if not world.packages.owners(entry.path))
    for entry in small:
        if not world.packages.owners(entry.path) and (match := _STUB.search(rootfs.read(entry.path))):
            by_gem.setdefault(match[1].decode(), []).append(entry.path)
    return {name: tuple(paths) for name, paths in by_gem.items()}


def _unused(path: str, gem: Gem) -> bool:
    """Whether a file in a gem's directories is for its developers and its build."""
    return any(path.startswith(d + "/") and UNUSED(path[len(d) :]) for d in gem.directories)


def use(gem: Gem, world: World) -> tuple[str, ...]:
    """What to claim where a gem is asked for by its name."""
    return gem.specification, *_anchors(gem, world)


def _anchors(gem: Gem, world: World) -> tuple[str, ...]:
    """The files that stand for a gem in use: the first of its code; for one that has none, its specification.

    Of a gem in a Debian package the code may be in vendor_ruby. A part of the standard library has none of its own.
    """
    return () if gem.default else _anchors_of_gems(world).get(gem.specification, ())


@derived
def _anchors_of_gems(world: World) -> dict[str, tuple[str, ...]]:
    return {g.specification: _first_code(g, world) for gems in library(world).gems.values() for g in gems}


def _first_code(gem: Gem, world: World) -> tuple[str, ...]:
    real = world.rootfs.resolve(gem.specification).path or gem.specification
    for directory in gem.directories:
        for below in world.rootfs.walk(directory):
            if below.is_file and not UNUSED(below.path[len(directory) :]):
                return (below.path,)
    for owner in world.packages.owners(real):
        for path in world.packages.files(owner):
            if _vendored(path) and not path.endswith(".gemspec") and world.rootfs.is_file(path):
                return (path,)
    return (real,)


@derived
def _by_anchor(world: World) -> dict[str, tuple[Gem, ...]]:
    """The gems that a file stands for; a package may have several."""
    by_path: dict[str, list[Gem]] = {}
    for gems in library(world).gems.values():
        for gem in gems:
            for path in _anchors(gem, world):
                by_path.setdefault(path, []).append(gem)
    return {path: tuple(gems) for path, gems in by_path.items()}


def _vendored(path: str) -> bool:
    if path.startswith("/usr/include/"):
        return False
    return "/vendor_ruby/" in path or "/rubygems-integration/" in path or "/usr/share/ruby-" in path


class RubyBundle(Rule):
    """The gems that a kept Gemfile.lock names, less those of the groups `development` and `test`."""

    name = "ruby.bundle"
    level = Level.SAFE
    selector = Selector(FILES, names=LOCKS)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.size > MAX_SOURCE:
            return
        ruby = library(world)
        gemfile = world.rootfs.text(entry.path.replace("Gemfile.lock", "Gemfile").replace("gems.locked", "gems.rb"))
        for name, version in bundled(world.rootfs.text(entry.path), gemfile):
            gems = ruby.gems.get(name, ())
            exact = [g for g in gems if g.version == version or g.version.startswith(f"{version}-")]
            for gem in exact or gems:
                for path in use(gem, world):
                    yield self.want(path, entry.path, f"{name} {version}")


RULES: tuple[Rule, ...] = (RubyRequire(), RubyRuntime(), RubyGem(), RubyBundle())
