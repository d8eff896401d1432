"""What the author asked for by name: packages that the Dockerfile installs, and whether for the build or for service.

A name on an install line is a request, and so is what apt's own records say that somebody asked for: the history does
not tell of a name in a file, or in a line that the builder lost. A request was made for the build where the Dockerfile
itself shows so: the package holds nothing but build tools and development files, or a RUN instruction runs one of its
programs and nothing that was recorded touched it. Every other request was made for the running container. `[packages]`
in debloat.toml overrules.

A request for a metapackage is one for what it depends on. In a toolbox, an image whose command is a bare shell, there
is no service to tell the build from, and every request stands.
"""

from __future__ import annotations

import enum
import posixpath
import re
from collections.abc import Container, Iterable, Mapping

from msgspec import Struct

from debloat.closure import World, derived
from debloat.core.model import Level, Op
from debloat.core.shells import is_bare_shell
from debloat.debian.documentation import is_documentation
from debloat.debian.packages import Package
from debloat.debian.prune import PackageShare
from debloat.rules.application.build import asked_packages, build
from debloat.rules.commands import on_path, optional_interpreter
from debloat.rules.programs import BUILD_TIME, DIRECTORIES
from debloat.rules.recorded.sweeps import is_outside_image

PROGRAM_DIRECTORIES = (*DIRECTORIES, "/usr/games/")

BUILD_SECTIONS = frozenset({"devel", "libdevel", "debug"})
"""Sections of packages for builders (Debian policy 2.4). In `doc` are documents, and programs that show them: man."""

BUILDERS = re.compile(
    r".+-(?:dev|dbg|dbgsym|doc|jdk|jdk-headless)|maven\d?|ant|gradle|sbt|npm|yarnpkg|node-gyp|cargo(?:-.+)?|rustc(?:-.+)?"
    r"|golang(?:-.+)?|gcc(?:-.+)?|g\+\+(?:-.+)?|clang(?:-.+)?|bundler|ruby-bundler|composer|cpanminus|cython3"
    r"|python3-(?:pip|setuptools|wheel|venv|distutils|build|virtualenv)|python3\.\d+-venv|virtualenv|pipx|luarocks"
)
"""Names of packages for builders (Debian policy 8.4), of compilers, and of the package managers of languages."""

NO_USE = frozenset({"--version", "-V", "-v", "--help", "-h", "version", "help"})
"""Arguments that only see whether a program is there: `gosu nobody true` is used, `gosu --version` is looked at."""


class Purpose(enum.StrEnum):
    """What a package was asked for."""

    RUN = "run"
    BUILD = "build"


class Request(Struct, frozen=True):
    """A package that was asked for by name: its dpkg name, the purpose, and what shows it, for people."""

    package: str
    purpose: Purpose
    evidence: str


@derived
def requests(world: World) -> Mapping[str, Request]:
    """The requests by dpkg name, sorted."""
    chosen = dict(world.policy.packages)
    by_name: dict[str, Request] = {}
    for name, reason in asked_packages(world).items():
        for real in _behind(world, name):
            if real not in by_name:
                by_name[real] = _judge(world, real, reason)
    for bare, purpose in sorted(chosen.items()):
        for name in world.packages.providers(bare):
            for real in _behind(world, name):
                by_name[real] = Request(real, Purpose(purpose), f'[packages] says "{Purpose(purpose)}" of {bare}')
    return dict(sorted(by_name.items()))


@derived
def for_service(world: World) -> Mapping[str, Request]:
    """The requests that were made for the running container."""
    return {name: r for name, r in requests(world).items() if r.purpose is Purpose.RUN}


@derived
def is_toolbox(world: World) -> bool:
    """Whether the image's command is a bare shell."""
    return not world.config.ports and is_bare_shell((*world.config.entrypoint, *world.config.cmd))


def dropped_requests(world: World, shares: Iterable[PackageShare], purpose: Purpose) -> tuple[str, ...]:
    """Names of packages that were asked for, for a purpose, and are gone whole, sorted: what a user may miss.

    Builders are not named. At the level `exact`, where whatever was not touched goes, none is.
    """
    if world.policy.level < Level.SAFE:
        return ()
    asked = {name for name, request in requests(world).items() if request.purpose is purpose}
    dropped = (world.packages.get(share.name) for share in shares if share.state == "gone" and share.name in asked)
    for_users = (p for p in dropped if p is not None and not _is_for_builds(p, programs_of(world, p.name)))
    return tuple(sorted({package.package for package in for_users}))


def scripts_left_out(world: World, kept: Container[str]) -> tuple[str, ...]:
    """Programs of packages that were asked for the running container, sorted: scripts that are not kept, for a language
    that their package does not depend on, though the image has it. None at the level `exact`.
    """
    if world.policy.level < Level.SAFE:
        return ()
    gone = set[str]()
    for name in for_service(world):
        for path in programs_of(world, name).values():
            entry = world.rootfs.lookup(path)
            if entry is not None and entry.path not in kept and optional_interpreter(entry, name, world):
                gone.add(path)
    return tuple(sorted(gone))


def programs_of(world: World, name: str) -> dict[str, str]:
    """The programs of a package: name -> path, links included."""
    programs = {}
    for path in world.packages.files(name):
        if path.startswith(PROGRAM_DIRECTORIES) and (entry := world.rootfs.lookup(path)) and entry.executable:
            programs[posixpath.basename(path)] = path
    return programs


def is_metapackage(world: World, name: str) -> bool:
    """Whether a package has no file but documentation, and so is what it depends on."""
    rootfs = world.rootfs
    return all(is_documentation(p) or ((e := rootfs.get(p)) is None or e.is_dir) for p in world.packages.files(name))


def _behind(world: World, name: str) -> tuple[str, ...]:
    """A package, or what a metapackage depends on."""
    names: list[str] = []
    visited, todo = {name}, [name]
    while todo:
        current = todo.pop()
        if not is_metapackage(world, current):
            names.append(current)
            continue
        package = world.packages.get(current)
        for bare in (bare for group in (package.depends if package else ()) for bare in group):
            for provider in world.packages.providers(bare):
                if provider not in visited:
                    visited.add(provider)
                    todo.append(provider)
    return tuple(sorted(names))


def _judge(world: World, name: str, reason: str) -> Request:
    package = world.packages.get(name)
    if is_toolbox(world):
        return Request(name, Purpose.RUN, "asked for in an image whose command is a bare shell")
    builds = package is not None and _is_for_builds(package, programs_of(world, name))
    if name in (_ran if builds else _touched)(world):
        return Request(name, Purpose.RUN, "asked for, and used while recorded")
    if builds:
        return Request(name, Purpose.BUILD, "a package for builds, and nothing of it was used while recorded")
    if (used := _used_in_builds(world).get(name)) is not None:
        return Request(name, Purpose.BUILD, f"{used}, and nothing of it was used while recorded")
    return Request(name, Purpose.RUN, f"asked for {reason}")


def _is_for_builds(package: Package, programs: Mapping[str, str]) -> bool:
    section = package.section.rpartition("/")[2]
    if BUILDERS.fullmatch(package.package) or section in BUILD_SECTIONS:
        return True
    return BUILD_TIME.issuperset(programs) if programs else section == "doc"


@derived
def _ran(world: World) -> frozenset[str]:
    """The packages of which a program ran while recording."""
    ran = {real for a in world.trace.accesses if a.op is Op.EXEC and (real := world.rootfs.resolve(a.path).path)}
    return frozenset(owner for path in ran for owner in world.packages.owners(path))


@derived
def _touched(world: World) -> frozenset[str]:
    """The packages of which a recorded program opened or ran a file."""
    return frozenset(owner for path in touched_files(world) for owner in world.packages.owners(path))


@derived
def touched_files(world: World) -> frozenset[str]:
    """Real paths of the image's files that a recorded program opened or ran, without documentation."""
    paths = set[str]()
    for path in {a.path for a in world.trace.accesses if a.op in (Op.OPEN, Op.EXEC)}:
        real = world.rootfs.resolve(path).path
        if real is not None and not is_outside_image(real) and not is_documentation(real):
            entry = world.rootfs.get(real)
            if entry is not None and not entry.is_dir:
                paths.add(real)
    return frozenset(paths)


@derived
def _used_in_builds(world: World) -> Mapping[str, str]:
    """The packages of which a RUN instruction runs a program: dpkg name -> what it runs, for people."""
    by_package: dict[str, str] = {}
    for path, description in ran_in_builds(world).items():
        for owner in world.packages.owners(path):
            by_package.setdefault(owner, description)
    return by_package


@derived
def ran_in_builds(world: World) -> Mapping[str, str]:
    """The programs that RUN instructions run: paths, as they are found and real -> what runs them, for people.

    A program in sbin configures its package: `update-ca-certificates` and `a2enmod` make it ready for service.
    """
    by_path: dict[str, str] = {}
    image_build = build(world)
    for run in image_build.runs:
        for program, *arguments in run.commands:
            path = on_path(world, program) if NO_USE.isdisjoint(arguments) else None
            if path is None or "/sbin/" in path:
                continue
            description = f"{_excerpt(image_build.instructions[run.number].text)} runs {posixpath.basename(program)}"
            by_path.setdefault(path, description)
            by_path.setdefault(world.rootfs.resolve(path).path or path, description)
    return by_path


def _excerpt(text: str, limit: int = 60) -> str:
    line = " ".join(text.split())
    return f"RUN {line[:limit]}{'...' if len(line) > limit else ''}"
