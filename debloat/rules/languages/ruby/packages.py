"""Where an image's Ruby finds what is required: load path, installed gems, and the features in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from debloat.closure import World, derived
from debloat.core.model import Entry

LOAD_PATH = (
    # In the order of $LOAD_PATH; Debian's directories, then those of a Ruby built from source.
    "/usr/local/lib/site_ruby/[0-9]*",
    "/usr/local/lib/*/site_ruby",
    "/usr/local/lib/site_ruby",
    "/usr/lib/ruby/vendor_ruby/[0-9]*",
    "/usr/lib/*/ruby/vendor_ruby/[0-9]*",
    "/usr/lib/ruby/vendor_ruby",
    "/usr/lib/ruby/[0-9]*",
    "/usr/lib/*/ruby/[0-9]*",
)
BUILT_LOAD_PATH = ("site_ruby/[0-9]*", "vendor_ruby/[0-9]*", "[0-9]*")
BUILT = ("/usr/local/lib/ruby", "/opt/*/lib/ruby")

GEM_PATH = (
    *("/var/lib/gems/*", "/usr/local/lib/ruby/gems/*", "/usr/lib/ruby/gems/*", "/usr/lib/*/ruby/gems/*"),
    *(
        "/usr/share/rubygems-integration/*",
        "/usr/lib/*/rubygems-integration/*",
        "/usr/local/bundle",
        "/opt/*/lib/ruby/gems/*",
    ),
    *("/usr/local/bundle/ruby/*", "/root/.gem/ruby/*", "/root/.local/share/gem/ruby/*", "/home/*/.gem/ruby/*"),
    "/home/*/.local/share/gem/ruby/*",
)

MAX_SPECIFICATION = 1 << 20

_FULL_NAME = re.compile(r"(.+?)-(\d[\w.]*(?:-[\w.-]+)?)\.gemspec")
_DEPENDENCY = re.compile(r"\.add_(?:runtime_)?dependency\(?\s*(?:%q<|[\"'])([\w.-]+)")
_DEVELOPMENT = re.compile(r"\.add_development_dependency\(?\s*(?:%q<|[\"'])([\w.-]+)")
_REQUIRE_PATHS = re.compile(r"\.require_paths\s*=\s*\[([^\]]*)\]")
_QUOTED = re.compile(r"[\"']([^\"'\n]+)[\"']")


class Gem(Struct, frozen=True):
    """An installed gem: its specification's path, and the directories with its files that exist."""

    name: str
    version: str
    specification: str
    directories: tuple[str, ...]
    require_paths: tuple[str, ...]
    depends: tuple[str, ...]

    @property
    def default(self) -> bool:
        """Whether it is a part of the standard library that has a specification only."""
        return "/specifications/default/" in self.specification


class Library(Struct, frozen=True):
    """All that can be required. `features` are names without suffix, each with the files that may answer."""

    load_path: tuple[str, ...]
    gems: dict[str, tuple[Gem, ...]]
    by_directory: dict[str, Gem]
    features: dict[str, tuple[str, ...]]

    def feature(self, name: str) -> tuple[str, ...]:
        """The files that may answer `require` of a name, with or without its suffix; () where none does."""
        for suffix in (".rb", ".so", ".o"):
            name = name.removesuffix(suffix)
        return self.features.get(name, ())

    def gem_of(self, path: str) -> Gem | None:
        """The gem in whose directories a real path is."""
        for mark, depth in (("/gems/", 1), ("/extensions/", 3)):
            at = path.rfind(mark)
            while at >= 0:
                directory = "/".join(path[at + len(mark) :].split("/")[:depth])
                gem = self.by_directory.get(path[: at + len(mark)] + directory)
                if gem:
                    return gem
                at = path.rfind(mark, 0, at)
        return None


@derived
def library(world: World) -> Library:
    """What the image's Ruby can load."""
    path = tuple(_load_path(world))
    gems: dict[str, list[Gem]] = {}
    for gem in _gems(world):
        gems.setdefault(gem.name, []).append(gem)
    directories = {d: gem for versions in gems.values() for gem in versions for d in gem.directories}
    features: dict[str, list[str]] = {}
    for directory in path:
        for name, file in _features(world, directory):
            providers = features.setdefault(name, [])
            # Of the load path the first wins; a compiled part of the same name is another answer.
            if not any(k.endswith(file[-3:]) for k in providers):
                providers.append(file)
    for directory, gem in sorted(directories.items()):
        tails = gem.require_paths if directory.rpartition("/")[0].endswith("/gems") else ("",)
        for tail in tails:
            for name, file in _features(world, f"{directory}/{tail}".rstrip("/")):
                features.setdefault(name, []).append(file)
    return Library(
        path,
        {name: tuple(versions) for name, versions in sorted(gems.items())},
        directories,
        {name: tuple(files) for name, files in features.items()},
    )


def _load_path(world: World) -> Iterator[str]:
    patterns = [d for d in world.config.env.get("RUBYLIB", "").split(":") if d.startswith("/")]
    patterns += LOAD_PATH
    patterns += (f"{base}/{tail}" for base in BUILT for tail in BUILT_LOAD_PATH)
    visited = set[str]()
    for pattern in patterns:
        for path in world.rootfs.glob(pattern):
            for directory in (path, *world.rootfs.glob(f"{path}/*-linux*")):
                real = world.rootfs.resolve(directory).path
                if real and real not in visited and world.rootfs.is_dir(real):
                    visited.add(real)
                    yield real


def _features(world: World, directory: str) -> Iterator[tuple[str, str]]:
    real = world.rootfs.resolve(directory).path
    if real is None or not world.rootfs.is_dir(real):
        return
    for entry in world.rootfs.walk(real):
        if not entry.is_dir and entry.path.endswith((".rb", ".so")):
            yield entry.path[len(real) + 1 : -3], entry.path


def _gems(world: World) -> Iterator[Gem]:
    """The gems of the environment, of bundles and of the system, each directory of them read once."""
    env, rootfs = world.config.env, world.rootfs
    own = [env.get("GEM_HOME", ""), *env.get("GEM_PATH", "").split(":")]
    bundle = env.get("BUNDLE_PATH", "")
    places = (bundle, f"{bundle}/ruby/*", f"{world.config.workdir.rstrip('/')}/vendor/bundle/ruby/*")
    visited = set[str]()
    for pattern in (*own, *(p for p in places if bundle or "vendor" in p), *GEM_PATH):
        for root in rootfs.glob(pattern) if pattern.startswith("/") else ():
            real = rootfs.resolve(root).path
            if real is None or real in visited:
                continue
            visited.add(real)
            specifications = [*rootfs.glob(f"{real}/specifications/*.gemspec")]
            specifications += rootfs.glob(f"{real}/specifications/default/*.gemspec")
            rootfs.fetch(specifications)
            yield from filter(None, (_gem(world, real, path) for path in specifications))


def _gem(world: World, root: str, specification: str) -> Gem | None:
    """The gem of a specification; None where the file cannot be one, by its name or its size."""
    match = _FULL_NAME.fullmatch(specification.rpartition("/")[2])
    entry = world.rootfs.lookup(specification)
    if not match or entry is None or not entry.is_file or entry.size > MAX_SPECIFICATION:
        return None
    text = world.rootfs.text(specification)
    full = f"{match[1]}-{match[2]}"
    places = (f"{root}/gems/{full}", *world.rootfs.glob(f"{root}/extensions/*/*/{full}"))
    development = set(_DEVELOPMENT.findall(text))
    depends = (d for d in dict.fromkeys(_DEPENDENCY.findall(text)) if d not in development)
    paths = _REQUIRE_PATHS.search(text)
    return Gem(
        match[1],
        match[2],
        specification,
        tuple(p for p in places if world.rootfs.is_dir(p)),
        tuple(_QUOTED.findall(paths[1])) if paths else ("lib",),
        tuple(depends),
    )


def gem_is_installed(world: World, name: str) -> bool:
    """Whether the gem that the name of its archive tells is installed in just that version.

    `NAME-VERSION[-PLATFORM].gem` (Gem::BasicSpecification).
    """
    return f"{name}spec" in _specifications(world)


@derived
def _specifications(world: World) -> frozenset[str]:
    """The names of the specifications in gem homes."""
    return frozenset(name for home in world.rootfs.named("specifications") for name in world.rootfs.names(home))


def stubs_outside(world: World) -> Iterator[str]:
    """Programs that RubyGems made for those of gems, and which say so (Gem::Installer)."""
    rootfs = world.rootfs
    specifications = (entry.path for home in rootfs.named("specifications") for entry in rootfs.walk(home))
    if any(path.endswith(".gemspec") for path in specifications):
        stubs = [e.path for e in rootfs.entries() if _is_stub(e) and not world.packages.owners(e.path)]
        rootfs.fetch(stubs)
        yield from (path for path in stubs if b"generated by RubyGems" in rootfs.read(path, 512))


def _is_stub(entry: Entry) -> bool:
    return entry.executable and entry.size < 4096 and "/bin/" in entry.path
