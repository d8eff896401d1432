"""Distributions as units: what pip or a Debian package put into a site directory, kept or dropped together.

A unit is a wheel's RECORD (PEP 376, PEP 427), a Debian package's files, or, for what neither knows, one top-level
name of a site directory. Its tests and bytecode caches are not part of it.
"""

from __future__ import annotations

import configparser
import posixpath
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from debloat.closure import World, derived
from debloat.core.model import Entry
from debloat.image.rootfs import Rootfs
from debloat.rules.languages.python.layout import layout
from debloat.rules.languages.python.requirements import normalised, requirements

MAX_METADATA = 4 << 20
"""Bytes read of RECORD or METADATA; the largest real ones have about one."""

_METADATA = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._]*?)(?:-[^/]*)?\.(?:dist-info|egg-info)")
_READ = ("RECORD", "METADATA", "entry_points.txt", "requires.txt", "top_level.txt")
_SCRIPT_GROUPS = frozenset({"console_scripts", "gui_scripts"})
_DOCUMENTATION = tuple(f"/usr/share/{name}/" for name in ("doc", "man", "info", "lintian", "doc-base"))


class Unit(Struct, frozen=True):
    """A distribution: `anchor` is the file that stands for it, `files` all that belongs to it, sorted.

    `members` is the same as a set, `tops` are its top-level module names, `requires` the normalised names of the
    distributions that it needs.
    """

    name: str
    anchor: str
    files: tuple[str, ...]
    tops: frozenset[str]
    requires: tuple[str, ...] = ()
    members: frozenset[str] = frozenset()


class Units(Struct, frozen=True):
    """All distributions of an image. `groups` maps an entry-point group to (module, unit's anchor) pairs."""

    of_path: Mapping[str, Unit]
    by_anchor: Mapping[str, Unit]
    by_name: Mapping[str, Unit]
    groups: Mapping[str, tuple[tuple[str, str], ...]]


class _Draft(Struct):
    """A unit while its files are being gathered."""

    files: set[str] = set()
    metadata: list[str] = []
    tops: set[str] = set()


@derived
def units(world: World) -> Units:
    """The distributions of an image."""
    rootfs, sites = world.rootfs, layout(world).sites
    metadata = [f"{site}/{name}" for site in sites for name in rootfs.names(site) if _METADATA.fullmatch(name)]
    rootfs.fetch(f"{m}/{n}" for m in metadata for n in (_READ))
    recorded = {path: m for m in metadata for path in (_record(rootfs, m) or _top_level(rootfs, m))}
    drafts: dict[str, _Draft] = {}
    for site in sites:
        owner_of_top = _owners_of_tops(recorded, site)
        for entry in rootfs.walk(site):
            if not entry.is_dir and (layout(world).site_of(entry.path) == site):
                _assign(world, site, entry, recorded, owner_of_top, drafts)
    for path, key in recorded.items():
        if key in drafts and not world.packages.owners(path):
            drafts[key].files.add(path)
    return _finish(world, drafts)


def _record(rootfs: Rootfs, metadata: str) -> list[str]:
    """The files that a RECORD lists and that exist; scripts in `../../../bin` are among them."""
    path = f"{metadata}/RECORD"
    if not rootfs.is_file(path):
        return []
    site = metadata.rpartition("/")[0]
    paths = []
    for line in rootfs.read(path, MAX_METADATA).decode("utf-8", "replace").splitlines():
        name = line[1:].partition('"')[0] if line.startswith('"') else line.partition(",")[0]
        real = rootfs.resolve(posixpath.normpath(posixpath.join(site, name)), follow=False).path if name else None
        if real is not None and not rootfs.is_dir(real):
            paths.append(real)
    return paths


def _top_level(rootfs: Rootfs, metadata: str) -> list[str]:
    """For metadata without a RECORD (setuptools' own installs): itself and the modules in its top_level.txt."""
    site = metadata.rpartition("/")[0]
    paths = [entry.path for entry in rootfs.walk(metadata)] or [metadata]
    for line in _read(rootfs, f"{metadata}/top_level.txt").split():
        if line.isidentifier():
            paths += [entry.path for entry in rootfs.walk(f"{site}/{line}")]
            paths += rootfs.glob(f"{site}/{line}.*")
    return [path for path in paths if not rootfs.is_dir(path)]


def _owners_of_tops(recorded: Mapping[str, str], site: str) -> dict[str, set[str]]:
    """Top-level name in a site directory -> the wheels that have files under it."""
    owners: dict[str, set[str]] = {}
    for path, key in recorded.items():
        if path.startswith(site + "/"):
            owners.setdefault(path[len(site) + 1 :].partition("/")[0], set()).add(key)
    return owners


def _assign(
    world: World,
    site: str,
    entry: Entry,
    recorded: Mapping[str, str],
    owner_of_top: Mapping[str, set[str]],
    drafts: dict[str, _Draft],
) -> None:
    """Put a file into the unit of its Debian package, of its wheel, of its directory's one wheel, or its own."""
    path = entry.path
    top = path[len(site) + 1 :].partition("/")[0]
    packages = world.packages.owners(path)
    of_top = owner_of_top.get(top, set())
    if packages:
        key = f"dpkg:{packages[0]}"
    elif path in recorded:
        key = recorded[path]
    else:
        key = next(iter(of_top)) if len(of_top) == 1 else f"{site}/{top}"
    draft = drafts.setdefault(key, _Draft())
    draft.files.add(path)
    if _METADATA.fullmatch(top):
        if f"{site}/{top}" not in draft.metadata:
            draft.metadata.append(f"{site}/{top}")
    else:
        draft.tops.add(re.split(r"[.]", top, maxsplit=1)[0])


def _finish(world: World, drafts: Mapping[str, _Draft]) -> Units:
    """The units that drafts come to, without idle tests, with the entry points of each group."""
    of_path: dict[str, Unit] = {}
    by_anchor: dict[str, Unit] = {}
    by_name: dict[str, Unit] = {}
    groups: dict[str, list[tuple[str, str]]] = {}
    tests = TestDirectories(world.rootfs)
    sites = layout(world).sites
    for key, draft in sorted(drafts.items()):
        if key.startswith("dpkg:"):
            draft.files.update(_package_files(world, key[5:]))
        files = tuple(sorted(path for path in draft.files if not tests.idle(path, layout(world).site_of(path))))
        if not files:
            continue
        names = [distribution(m) for m in draft.metadata] or [key.rpartition("/")[2].removeprefix("dpkg:")]
        needs = {need for m in draft.metadata for need in _requires(world.rootfs, m)}
        anchor = _anchor(sites, draft.metadata, files)
        unit = Unit(names[0], anchor, files, frozenset(draft.tops), tuple(sorted(needs)), frozenset(files))
        of_path.update(dict.fromkeys(draft.files, unit))
        by_anchor[unit.anchor] = unit
        for name in names:
            by_name.setdefault(name, unit)
        for m in draft.metadata:
            for group, module in entry_points(_read(world.rootfs, f"{m}/entry_points.txt")):
                if group not in _SCRIPT_GROUPS:
                    groups.setdefault(group, []).append((module, unit.anchor))
    return Units(of_path, by_anchor, by_name, {g: tuple(sorted(set(modules))) for g, modules in groups.items()})


def _package_files(world: World, package: str) -> Iterator[str]:
    """What else the Debian package of a unit brings: its data, its programs; no documentation."""
    for path in world.packages.files(package):
        if not path.startswith(_DOCUMENTATION) and not world.rootfs.is_dir(path):
            yield path


def _anchor(sites: tuple[str, ...], metadata: list[str], files: tuple[str, ...]) -> str:
    """Its topmost module. Metadata cannot stand for it: programs that look for plug-ins read everyone's."""
    about = tuple(f"{m}/" for m in metadata)
    modules = [f for f in files if f.startswith(tuple(f"{s}/" for s in sites)) and not f.startswith(about)]
    public = [f for f in modules if not any(f.startswith(f"{site}/_") for site in sites)]
    inits = [f for f in public if f.endswith("/__init__.py")]
    return min(inits or public or modules or files, key=lambda f: (f.count("/"), f))


def distribution(metadata: str) -> str:
    """The normalised name (PEP 503) of a .dist-info or .egg-info path."""
    match = _METADATA.fullmatch(metadata.rpartition("/")[2])
    return normalised(match["name"]) if match else ""


def _read(rootfs: Rootfs, path: str) -> str:
    return rootfs.read(path, MAX_METADATA).decode("utf-8", "replace") if rootfs.is_file(path) else ""


def _requires(rootfs: Rootfs, metadata: str) -> Iterator[str]:
    """What a distribution needs without extras."""
    header = _read(rootfs, f"{metadata}/METADATA").partition("\n\n")[0]
    lines = [line[14:] for line in header.splitlines() if line.startswith("Requires-Dist:")]
    for line in _read(rootfs, f"{metadata}/requires.txt").splitlines():
        if line.startswith("["):
            break
        lines.append(line)
    yield from requirements(lines)


def entry_points(text: str) -> Iterator[tuple[str, str]]:
    """(group, module) pairs of an entry_points.txt; nothing for any other text."""
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False, interpolation=None, allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for group in parser.sections():
        for _, value in parser.items(group):
            module = (value or "").partition(":")[0].partition("[")[0].strip()
            if module:
                yield group, module


class TestDirectories:
    """Which directories of a unit are test suites: called so, and with a file that test runners collect."""

    __test__ = False

    def __init__(self, rootfs: Rootfs) -> None:
        self._rootfs = rootfs
        self._known: dict[str, bool] = {}

    def idle(self, path: str, site: str | None) -> bool:
        """Whether a path below a site directory is part of a test suite or a cache, or a catalogue's source."""
        if "/__pycache__/" in path or (path.endswith(".po") and f"{path[:-3]}.mo" in self._rootfs):
            return True
        if site is None or "/test" not in path[len(site) :]:
            return False
        directory = site
        for name in path[len(site) + 1 :].split("/")[:-1]:
            directory = f"{directory}/{name}"
            if name in ("test", "tests") and self._suite(directory):
                return True
        return False

    def _suite(self, directory: str) -> bool:
        is_suite = self._known.get(directory)
        if is_suite is None:
            is_suite = any(_collected(entry.name) for entry in self._rootfs.walk(directory))
            self._known[directory] = is_suite
        return is_suite


def _collected(name: str) -> bool:
    return name == "conftest.py" or (name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py")))


def wheel_is_installed(world: World, name: str) -> bool:
    """Whether the distribution that a wheel's file name tells is installed in just that version.

    `NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl` (packaging.python.org: binary distribution format).
    """
    parts = name.split("-")
    return len(parts) >= 5 and (normalised(parts[0]), parts[1].lower()) in _installed(world)


@derived
def _installed(world: World) -> frozenset[tuple[str, str]]:
    """Names and versions of what is installed anywhere, by the names of `NAME-VERSION.dist-info` (PEP 376)."""
    directories = (posixpath.basename(posixpath.dirname(path)) for path in world.rootfs.named("METADATA"))
    stems = (name.removesuffix(".dist-info").rpartition("-") for name in directories if name.endswith(".dist-info"))
    return frozenset((normalised(name), version.lower()) for name, _, version in stems)


def recorded_outside(world: World) -> Iterator[str]:
    """Real paths of files that RECORDs (PEP 376) list outside of the site directory: scripts and data."""
    rootfs = world.rootfs
    recorded = (path for path in rootfs.named("RECORD") if path.endswith(".dist-info/RECORD"))
    records = [path for path in recorded if not world.packages.owners(path)]
    rootfs.fetch(records)
    for record in records:
        site = posixpath.dirname(posixpath.dirname(record))
        for line in rootfs.text(record).split("\n"):
            if line.startswith(("../", '"../')):
                listed = line[1:].partition('"')[0] if line[0] == '"' else line.partition(",")[0]
                real = rootfs.resolve(f"{site}/{listed}", follow=False).path
                if real is not None:
                    yield real
