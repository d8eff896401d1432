"""Level `package`: whole packages, and the packages with code that they depend on; `--keep-package`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from debloat.closure import Rule, World, derived_by
from debloat.core.model import Entry, Level, Want
from debloat.debian.documentation import is_documentation
from debloat.debian.packages import Packages
from debloat.elf.facts import MAGIC
from debloat.selector import NO_DIRECTORIES, Selector

LOOKED_AT = 8
"""Files of a package whose first bytes are read to see whether it carries code: the smallest ones."""


class WholePackage(Rule):
    """A package with a kept file stays whole, less documentation, and so do those that its code needs.

    Of its Depends and Pre-Depends, all installed alternatives and providers follow that own a program or a library
    (an ELF file); those of scripts only serve maintainer scripts as a rule, and what a kept script calls is reached
    by the rules of its language. A package without files of its own (a metapackage) is looked through.

    A package's first file stands for it: any kept file claims that one, and that one claims all others, so that the
    work grows with the number of files and not with its square.
    """

    name: ClassVar[str] = "package"
    level: ClassVar[Level] = Level.PACKAGE
    selector: ClassVar[Selector] = Selector(NO_DIRECTORIES)

    def wants(self, entry: Entry, world: World) -> Iterator[Want]:
        if is_documentation(entry.path):
            return
        for name in world.packages.owners(entry.path):
            first = _first(world, name)
            if first and entry.path != first:
                yield self.want(first, entry.path, f"{name} stays whole")
            if entry.path == first or world.policy.levels:
                yield from self._all(world, name, entry.path)

    def _all(self, world: World, name: str, source: str) -> Iterator[Want]:
        for path in _contents(world, name):
            if path != source:
                yield Want(path, self.name, source, f"{name} stays whole", follow=False)
        for dependency, why in _needed(world, name):
            first = _first(world, dependency)
            if first:
                yield Want(first, "package.depends", source, why)


class KeepPackage(Rule):
    """`--keep-package NAME`: all files of a package, at every level."""

    name: ClassVar[str] = "keep-package"
    level: ClassVar[Level] = Level.EXACT

    def initial_wants(self, world: World) -> Iterator[Want]:
        for package_name in world.policy.keep_packages:
            for name in _called(world.packages, package_name):
                for path in world.packages.files(name):
                    yield Want(path, self.name, f"keep-package:{package_name}", f"file of {name}", follow=False)


def unknown_packages(world: World) -> tuple[str, ...]:
    """The names in `policy.keep_packages` that no installed package has, sorted. The caller makes it a UsageError."""
    return tuple(sorted(name for name in set(world.policy.keep_packages) if not _called(world.packages, name)))


def _called(packages: Packages, package_name: str) -> tuple[str, ...]:
    """The dpkg names that a user's `libc6` or `libc6:amd64` means; `libssl3` is `libssl3t64` where that is installed.

    Debian 13 renamed libraries whose interface has a time in it, and they provide their old names.
    """
    names = {package_name} | ({f"{package_name}t64"} if packages.providers(package_name) else set())
    installed = ((name, package) for name in packages.names() if (package := packages.get(name)) is not None)
    return tuple(name for name, package in installed if name in names or package.package in names)


def _contents(world: World, name: str) -> tuple[str, ...]:
    """What a whole package is: its files and directories that are no documentation."""
    return tuple(path for path in world.packages.files(name) if not is_documentation(path))


@derived_by
def _first(world: World, name: str) -> str:
    """The file that stands for a package; "" where it has none but documentation."""
    return next((p for p in _contents(world, name) if _is_file_of(world, p)), "")


def _is_file_of(world: World, path: str) -> bool:
    entry = world.rootfs.get(path)
    return entry is not None and not entry.is_dir


def _needed(world: World, name: str) -> tuple[tuple[str, str], ...]:
    """The packages with code that a package depends on, metapackages looked through, each with the reason."""
    reasons: dict[str, str] = {}
    visited, todo = {name}, [name]
    while todo:
        current = todo.pop()
        package = world.packages.get(current)
        for bare in sorted({bare for group in (package.depends if package is not None else ()) for bare in group}):
            for provider in world.packages.providers(bare):
                if provider in visited:
                    continue
                visited.add(provider)
                if not _first(world, provider):
                    todo.append(provider)
                elif _carries_code(world, provider):
                    reasons[provider] = f"{current} depends on {bare}"
    return tuple(sorted(reasons.items()))


@derived_by
def _carries_code(world: World, name: str) -> bool:
    """Whether a package owns an ELF file: a program, an interpreter, a library."""
    entries = (world.rootfs.get(path) for path in _contents(world, name))
    files = [e for e in entries if e is not None and e.is_file and (e.executable or ".so" in e.name)]
    files.sort(key=lambda e: (".so" not in e.name, e.size, e.path))
    world.rootfs.fetch(e.path for e in files[:LOOKED_AT])
    return any(world.rootfs.read(e.path, 4) == MAGIC for e in files[:LOOKED_AT])


RULES: tuple[Rule, ...] = (WholePackage(), KeepPackage())
