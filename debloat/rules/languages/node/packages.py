"""Node's packages in an image: where a specifier leads, which directory is a package, what of it runs.

After "Modules: CommonJS modules" and "Modules: Packages" of Node's documentation (node_modules in each directory
upwards, then NODE_PATH), and Debian's JavaScript policy (/usr/share/nodejs, /usr/lib/nodejs, the multi-arch one).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from debloat.closure import World, derived
from debloat.core.platform import PLATFORMS
from debloat.image.rootfs import Rootfs
from debloat.rules.platforms import platforms

DEBIAN = (
    "/usr/share/nodejs",
    "/usr/lib/nodejs",
    *(f"/usr/lib/{platform.multiarch}/nodejs" for platform in PLATFORMS),
)
MAX_MANIFEST = 4 << 20
"""Bytes read of a package.json; the largest real ones have a tenth of one MiB."""

NEEDS = ("dependencies", "optionalDependencies", "peerDependencies")
SUFFIXES = ("", ".js", ".json", ".node", ".mjs", ".cjs", ".ts", ".jsx", ".tsx")

_BARE = re.compile(
    r"(@[A-Za-z0-9._~-]{1,100}/[A-Za-z0-9._~-]{1,200}|[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,200})(?:/.*)?", re.DOTALL
)
_LICENCE = re.compile(r"(?:licen[cs]e|copying|notice|copyright)", re.IGNORECASE)
_LEFTOVER = re.compile(r"\.(?:md|markdown|o|a|c|cc|cpp|h|hpp|gyp|gypi|vcxproj|tsbuildinfo)")
_DEVELOPMENT = frozenset({"test", "tests", "__tests__", "bench", "benchmark", "benchmarks"})

BUILT_IN = frozenset(
    f"{stem}{suffix}"
    for suffix, stems in {
        "": "assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel dns "
        "domain events fs http http2 https inspector module net os path perf_hooks process punycode querystring "
        "readline repl stream string_decoder sys timers tls trace_events tty url util v8 vm wasi worker_threads zlib",
        "/promises": "dns fs inspector readline stream timers",
        "/posix": "path",
        "/win32": "path",
        "/strict": "assert",
        "/types": "util",
        "/web": "stream",
        "/consumers": "stream",
    }.items()
    for stem in stems.split()
)
"""Modules of Node itself (`module.builtinModules`), which no installed package overrides."""

_NAMES_PLATFORM = re.compile(r"[a-z]+-(?P<architectures>[a-z0-9]+(?:\+[a-z0-9]+)*)(?![a-z0-9])")
"""`linux-x64`, `linux-x64-musl`, `darwin-x64+arm64`: a directory of prebuilt modules (prebuildify, node-gyp-build)."""


def bare(specifier: str) -> str | None:
    """The package that a specifier names: `@scope/name/deep` gives `@scope/name`; None for paths, URLs
    and Node's own modules."""
    match = _BARE.fullmatch(specifier)
    return match[1] if match and ":" not in specifier and specifier not in BUILT_IN else None


@derived
def roots(world: World) -> tuple[str, ...]:
    """Directories of packages that are no node_modules: NODE_PATH and Debian's, as real paths."""
    named = [d for d in world.config.env.get("NODE_PATH", "").split(":") if d.startswith("/")]
    directories = (world.rootfs.resolve(d).path for d in (*named, *DEBIAN))
    return tuple(dict.fromkeys(d for d in directories if d is not None))


def package_of(world: World, path: str) -> str | None:
    """The directory of the installed package that holds a real path; None for an application's own files."""
    head, separator, rest = path.rpartition("/node_modules/")
    base = f"{head}/node_modules" if separator else ""
    if not base:
        base = next((root for root in roots(world) if path.startswith(root + "/")), "")
        rest = path[len(base) + 1 :]
    names = rest.split("/")[: 2 if rest.startswith("@") else 1]
    directory = "/".join([base, *names])
    if not base or names[0].startswith(".") or not world.rootfs.is_dir(directory):
        return None
    return directory


def find(world: World, directory: str, name: str) -> str | None:
    """Where `require` in a real directory finds a package: the first place upwards, links in it not followed."""
    current = directory
    while True:
        if not current.endswith("/node_modules"):
            place = f"{current.rstrip('/')}/node_modules/{name}"
            if world.rootfs.is_dir(place) or world.rootfs.is_file(f"{place}.js"):
                return place
        if current in ("/", ""):
            break
        current = current.rpartition("/")[0] or "/"
    return next((f"{root}/{name}" for root in roots(world) if world.rootfs.is_dir(f"{root}/{name}")), None)


def local(rootfs: Rootfs, path: str) -> str | None:
    """The file that a path in `require` means: itself, with a suffix, or the main module of a directory."""
    for suffix in SUFFIXES:
        if rootfs.is_file(path + suffix):
            return path + suffix
    if not rootfs.is_dir(path):
        return None
    main = manifest(rootfs, f"{path}/package.json").get("main")
    tries = [posixpath.normpath(f"{path}/{main}")] if isinstance(main, str) else []
    for stem in (*tries, *(f"{t}/index" for t in tries), f"{path}/index"):
        for suffix in SUFFIXES:
            if rootfs.is_file(stem + suffix):
                return stem + suffix
    return None


def manifest(rootfs: Rootfs, path: str) -> Mapping[str, Any]:
    """A package.json as a mapping; empty for any other text."""
    if not rootfs.is_file(path):
        return {}
    try:
        data = json.loads(rootfs.read(path, MAX_MANIFEST))
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def needs(package: Mapping[str, Any]) -> tuple[str, ...]:
    """The packages that a manifest asks for at run time, sorted."""
    tables = (package.get(key) for key in NEEDS)
    return tuple(
        sorted({name for table in tables if isinstance(table, dict) for name in table if _BARE.fullmatch(name)})
    )


def files(world: World, directory: str) -> Iterator[str]:
    """What of a package may run: all but nested packages, tests, benchmarks, documentation and build leftovers.

    Type declarations and source maps go where the file that they describe is beside them.
    """
    rootfs = world.rootfs
    for entry in rootfs.children(directory):
        if entry.is_dir:
            if entry.name != "node_modules" and not _idle_directory(world, entry.path):
                yield from files(world, entry.path)
        elif not _idle_file(rootfs, entry.path):
            yield entry.path


def _idle_directory(world: World, path: str) -> bool:
    parent, _, name = path.rpartition("/")
    if parent.endswith("/prebuilds"):
        return "-" in name and not _runs_here(world, name)
    return name in _DEVELOPMENT or name.startswith(".git") or name == "obj.target"


def _runs_here(world: World, name: str) -> bool:
    """Whether modules in a directory of this name run on a platform of the image."""
    match = _NAMES_PLATFORM.match(name)
    if match is None or not name.startswith("linux-"):
        return False
    return not {platform.node for platform in platforms(world)}.isdisjoint(match["architectures"].split("+"))


def _idle_file(rootfs: Rootfs, path: str) -> bool:
    directory, _, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if name.endswith((".d.ts", ".d.mts", ".d.cts")):
        base = f"{directory}/{stem[:-2]}"
        return f"{base}.{suffix.replace('ts', 'js')}" in rootfs or f"{base}.js" in rootfs
    if suffix == "map":
        return f"{directory}/{stem}" in rootfs
    return _LEFTOVER.fullmatch(dot + suffix.lower()) is not None and not _LICENCE.match(name)
