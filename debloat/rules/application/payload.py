"""What of a package that was asked for by name must stay for it to be usable.

Its programs, its data, its libraries (they may be preloaded or loaded by name) and its configuration; not its
documentation, its development files, nor what registers it with an init system or a desktop. Of the packages that it
depends on: those of the same source, and those that hold data alone (`gdal-data`, `pandoc-data`). The libraries that
its programs link follow by the rules for ELF, and modules of an interpreter by the rules of the language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from debloat.closure import Rule, World, derived
from debloat.core.model import Entry, Want
from debloat.debian.documentation import is_documentation
from debloat.rules.application.requested import for_service, is_metapackage, is_toolbox, programs_of
from debloat.rules.commands import essential, optional_interpreter
from debloat.rules.knowledge.families import left_out
from debloat.rules.knowledge.plugins import STORES

UNUSED = re.compile(
    r"/usr/include/.*|.*/bitcode/.*|.*\.(?:a|la|h|hpp|pc|cmake|gir|vapi)"
    r"|(?:/usr)?/lib/(?:systemd|tmpfiles\.d|sysusers\.d|udev)/.*|/usr/lib/(?:debug|pkgconfig)/.*|/etc/(?:init|init\.d|apparmor\.d|logrotate\.d|ufw|network|rc\w\.d)/.*"
    r"|/usr/share/(?:locale|applications|icons|pixmaps|metainfo|appdata|menu|bash-completion|zsh|fish|pkgconfig|aclocal"
    r"|cmake|apport|reportbug|lintian|bug|mime-info|doc-base|dbus-1/interfaces|gettext/its|polkit-1|vim|emacs|gdb)/.*"
    r"|/etc/bash_completion\.d/.*|/usr/share/i18n/.*|/usr/(?:share|lib)/[^/]+/(?:t|testsuite)(?:/.*)?|.*\.t"
)
"""Files of a package for builders, desktops, init systems and editors. Catalogues of messages follow the locales.

/usr/share/i18n are sources of locales (localedef(1)), `t/` and `*.t` tests (prove(1)).
"""

HOOKS = {
    re.compile(r"/etc/NetworkManager/dispatcher\.d/.+"): "network-manager",
    re.compile(r"/etc/acpi/(?:actions|events)/.+"): "acpid",
    re.compile(r"/etc/dhcp/dhclient-\w+-hooks\.d/.+"): "isc-dhcp-client",
    re.compile(r"/etc/pm/\w+\.d/.+"): "pm-utils",
    re.compile(r"/etc/ppp/[\w-]+\.d/.+"): "ppp",
    re.compile(r"/etc/resolvconf/[\w-]+\.d/.+"): "resolvconf",
}
"""What packages leave in a directory for another to run, and that other."""

ADMINISTRATION = ("/usr/sbin/", "/sbin/")
"""Where a package of data has the programs that its installation runs: `update-ca-certificates`, `locale-gen`."""

TESTS = re.compile(r".*/(?:tests?|testsuite)/.*")

MODULES = re.compile(r"/usr/lib/python3/dist-packages/.+|/usr/(?:share|lib(?:/[^/]+)?)/nodejs/.+")
UNIT_MARKS = re.compile(
    r".*/dist-packages/(?:[^/]+/__init__\.py|[^/]+\.(?:py|so))|.*/nodejs/(?:@[^/]+/)?[^/]+/package\.json"
)
"""Modules of Python and Node are kept by the rules of these languages as units, of which one file is enough to ask."""

LIBRARIES = (
    (re.compile(r"/usr/(?:share|lib/[^/]+)/perl5/.+"), re.compile(r"lib.+-perl")),
    (re.compile(r"/usr/(?:share|lib(?:/[^/]+)?)/nodejs/.+"), re.compile(r"node-.+|libjs-.+")),
)
"""Modules, and the names of packages that are libraries of them (Debian Perl policy 4.2, JavaScript policy). Modules
beside something else follow from what uses them: git has some for packages that mail, webpacker for a build."""

INTERPRETERS = re.compile(r"/usr/bin/(?:python\d[\d.]*|perl|perl\d[\d.]*|ruby\d[\d.]*|node(?:js)?|java|R)")
"""Programs whose own packages are a language: what of them stays is reached by the language's rules."""


class RequestedPackages(Rule):
    """The payload of every package that was asked for to be run, and of Essential packages in a toolbox."""

    name: ClassVar[str] = "application.requested"

    def initial_wants(self, world: World) -> Iterable[Want]:
        for name, request in for_service(world).items():
            source = f"dockerfile:{name}"
            for part in parts(world, name):
                detail = request.evidence if part == name else f"{name} depends on {part}: its code or data"
                for path in payload(world, part):
                    yield Want(path, self.name, source, detail, follow=True)
        if is_toolbox(world):
            for name in world.packages.names():
                package = world.packages.get(name)
                if package is not None and package.essential:
                    for path in payload(world, name):
                        yield self.want(path, "config:Cmd", f"{name} is Essential, and the command is a bare shell")


def payload(world: World, name: str) -> Iterator[str]:
    """The paths of a package that its use needs, sorted."""
    unwanted = left_out(world)
    package = world.packages.get(name)
    data = package is not None and package.architecture == "all"
    runtime = name in _language_runtimes(world) and not is_toolbox(world)
    modules = _modules_beside(world, name)
    for path in world.packages.files(name):
        entry = world.rootfs.get(path)
        if entry is None or is_documentation(path) or UNUSED.fullmatch(path) or unwanted(path):
            continue
        if (entry.is_dir and world.rootfs.names(path)) or _is_hook_of_nobody(world, path):
            continue
        if runtime and not INTERPRETERS.fullmatch(path):
            continue
        if MODULES.fullmatch(path) and not UNIT_MARKS.fullmatch(path):
            continue
        if any(regex.fullmatch(path) for regex in modules):
            continue
        if TESTS.fullmatch(path) and STORES.fullmatch(path.rpartition("/")[0]):
            continue
        if not optional_interpreter(world.rootfs.lookup(path) or entry, name, world) and not (
            data and path.startswith(ADMINISTRATION)
        ):
            yield path


def _is_hook_of_nobody(world: World, path: str) -> bool:
    """Whether a file is there to be run by a package that is not installed."""
    if not path.startswith("/etc/"):
        return False
    return any(hooks.fullmatch(path) and not world.packages.providers(reader) for hooks, reader in HOOKS.items())


def _modules_beside(world: World, name: str) -> tuple[re.Pattern[str], ...]:
    """What matches the modules of a package that holds other things as well, and is no library by its name."""
    bare = name.partition(":")[0]
    patterns = []
    for modules, libraries in LIBRARIES:
        inside = [modules.fullmatch(entry.path) is not None for entry in _files(world, name)]
        if libraries.fullmatch(bare) is None and any(inside) and not all(inside):
            patterns.append(modules)
    return tuple(patterns)


def parts(world: World, name: str) -> tuple[str, ...]:
    """A package and the packages that hold its code or data, sorted."""
    first = world.packages.get(name)
    names = {name}
    visited, todo = {name}, [name]
    while todo:
        package = world.packages.get(todo.pop())
        for bare in (bare for group in (package.depends if package else ()) for bare in group):
            for provider in world.packages.providers(bare):
                other = world.packages.get(provider)
                if provider in visited or other is None or other.essential or provider in essential(world):
                    continue
                visited.add(provider)
                same_source = first is not None and other.source == first.source
                if same_source or is_metapackage(world, provider) or _is_data(world, provider):
                    names.add(provider)
                    todo.append(provider)
                elif _is_library(world, provider):
                    todo.append(provider)
    return tuple(sorted(names))


def _files(world: World, name: str) -> Iterator[Entry]:
    for path in world.packages.files(name):
        entry = world.rootfs.get(path)
        if entry is not None and not entry.is_dir and not is_documentation(path):
            yield entry


def _is_data(world: World, name: str) -> bool:
    """Whether a package for all architectures holds no program and is not a module of a language."""
    package = world.packages.get(name)
    if package is None or package.architecture != "all" or programs_of(world, name):
        return False
    return not all(STORES.fullmatch(entry.path.rpartition("/")[0]) for entry in _files(world, name))


def _is_library(world: World, name: str) -> bool:
    return not programs_of(world, name) and any(".so" in entry.name for entry in _files(world, name))


@derived
def _language_runtimes(world: World) -> frozenset[str]:
    """Packages from the source of an interpreter."""
    sources = set()
    for name in world.packages.names():
        if any(INTERPRETERS.fullmatch(path) for path in world.packages.files(name)):
            package = world.packages.get(name)
            if package is not None:
                sources.add(package.source)
    return frozenset(n for n in world.packages.names() if (p := world.packages.get(n)) and p.source in sources)


RULES: tuple[Rule, ...] = (RequestedPackages(),)
