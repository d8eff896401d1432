"""What glibc loads and reads by itself on behalf of every program: its cache, its NSS modules, its databases.

At `exact`: what decides whether a program starts, and the NSS configuration with the modules it names, which have
a meaning only together. At `safe`: the databases that a name lookup reads, and the unwinder that
pthread_exit(3) loads; a program that used them while it was traced has them in the trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from debloat.closure import Rule, World
from debloat.core.model import Entry, Level, Want
from debloat.elf.facts import ElfFacts
from debloat.elf.loader import CACHE, CONF, search
from debloat.elf.reading import elf_facts
from debloat.rules.system.elf import loader_of
from debloat.selector import ELF, FILES, Selector

NSSWITCH = "/etc/nsswitch.conf"
LIBC = "libc.so.6"
UNWINDER = "libgcc_s.so.1"
LOCALTIME = "/etc/localtime"
UNIVERSAL = frozenset({"UTC", "UCT", "Universal", "Zulu", "GMT", "GMT0", "GMT+0", "GMT-0", "Greenwich"})
"""Names of zones that are no local time (tzdata, `etcetera`)."""

_LOADER = re.compile(r"ld(?:-linux[a-z0-9_.-]*|64)?\.so\.\d+")
_SERVICE = re.compile(r"[A-Za-z0-9_]{1,64}")

BUILT_IN = frozenset({"files", "dns"})
"""NSS services inside libc.so.6 since glibc 2.34; the modules of these names are empty since then."""

DEFAULT_SERVICES = frozenset({"files", "dns"})
"""What glibc uses without an nsswitch.conf (nsswitch.conf(5))."""

DATABASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "passwd": ("/etc/passwd",),
        "group": ("/etc/group",),
        "shadow": ("/etc/shadow",),
        "gshadow": ("/etc/gshadow",),
        "hosts": ("/etc/hosts", "/etc/host.conf", "/etc/resolv.conf", "/etc/gai.conf"),
        "networks": ("/etc/networks",),
        "protocols": ("/etc/protocols",),
        "services": ("/etc/services",),
        "ethers": ("/etc/ethers",),
        "rpc": ("/etc/rpc",),
        "netgroup": ("/etc/netgroup",),
        "aliases": ("/etc/aliases",),
    }
)
"""The files of each database (nsswitch.conf(5)), with the resolver's configuration (host.conf(5), gai.conf(5))."""


def nss_services(text: str) -> tuple[str, ...]:
    """The services that an nsswitch.conf names, sorted; actions in brackets are left out (nsswitch.conf(5))."""
    names = set[str]()
    for line in text.splitlines()[:4096]:
        _, colon, services = line.partition("#")[0].partition(":")
        if colon:
            words = re.sub(r"\[[^\]]*\]", " ", services).split()
            names.update(word for word in words if _SERVICE.fullmatch(word))
    return tuple(sorted(names))


MAX_SEARCHED = 256 << 20

LIBRARIES = Selector(FILES, beginnings=("libc",))
"""What may be libc.so.6: its file had a version in its name before glibc 2.34 (`libc-2.31.so`)."""


def _libc(entry: Entry, world: World) -> ElfFacts | None:
    """The facts of glibc's libc.so.6 if a selected file is that: it is kept where a kept file links it dynamically."""
    facts = elf_facts(world.rootfs, entry.path)
    return facts if facts is not None and facts.soname == LIBC else None


class LoaderCache(Rule):
    """ld.so finds libraries outside its default directories through /etc/ld.so.cache, and all others faster."""

    name = "glibc.cache"
    level = Level.EXACT
    selector = Selector(FILES, beginnings=("ld",))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        facts = elf_facts(world.rootfs, entry.path)
        if facts is not None and _LOADER.fullmatch(facts.soname):
            yield self.want(CACHE, entry.path, "ld.so reads it")


class NameServices(Rule):
    """The NSS modules that nsswitch.conf names, which libc loads with dlopen(3), and nsswitch.conf itself."""

    name = "glibc.nss"
    level = Level.EXACT
    selector = LIBRARIES

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        facts = _libc(entry, world)
        if facts is None:
            return
        yield self.want(NSSWITCH, entry.path, "libc reads it")
        has = world.rootfs.is_file(NSSWITCH)
        services = nss_services(world.rootfs.text(NSSWITCH)) if has else sorted(DEFAULT_SERVICES)
        inside = BUILT_IN if "GLIBC_2.34" in facts.defines else frozenset()
        for service in services:
            if service not in inside:
                module = f"libnss_{service}.so.2"
                for path in search(loader_of(world), facts, module, entry.path.rpartition("/")[0]).paths:
                    yield self.want(path, NSSWITCH if has else entry.path, f"service {service}")


class Databases(Rule):
    """The files behind name lookups: users, groups, hosts, services, protocols and how names are resolved."""

    name = "glibc.databases"
    level = Level.SAFE
    selector = LIBRARIES

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if _libc(entry, world) is not None:
            for database, paths in sorted(DATABASES.items()):
                yield from (self.want(path, entry.path, database) for path in paths)


class LocalTime(Rule):
    """The time zone that the image sets: the first program that tells the local time reads it (tzset(3)).

    An image of Debian is in UTC, which is the time without the file too.
    """

    name = "glibc.localtime"
    level = Level.SAFE
    selector = LIBRARIES

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        zone = world.rootfs.resolve(LOCALTIME).path
        if zone is not None and zone.rpartition("/")[2] not in UNIVERSAL and _libc(entry, world) is not None:
            yield self.want(LOCALTIME, entry.path, zone)


class Unwinder(Rule):
    """libgcc_s, which libc loads for pthread_exit(3), pthread_cancel(3) and backtrace(3); without it they abort."""

    name = "glibc.unwinder"
    level = Level.SAFE
    selector = LIBRARIES

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        facts = _libc(entry, world)
        if facts is not None:
            for path in search(loader_of(world), facts, UNWINDER, entry.path.rpartition("/")[0]).paths:
                yield self.want(path, entry.path, "pthread_exit, pthread_cancel, backtrace")


class LoaderConf(Rule):
    """ldconfig's configuration, where ldconfig is kept: ld.so itself never reads it (ld.so(8), ldconfig(8))."""

    name = "glibc.ldconfig"
    level = Level.SAFE
    selector = Selector(FILES, names=("ldconfig", "ldconfig.real"))

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if entry.executable:
            for path in (CONF, *world.rootfs.glob(f"{CONF}.d/*.conf")):
                yield self.want(path, entry.path, "ldconfig reads it")


class System(Rule):
    """The shell behind system(3) and popen(3), and of programs that name it themselves to run a command line."""

    name = "glibc.system"
    level = Level.SAFE
    selector = Selector(FILES, formats=ELF)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        facts = elf_facts(world.rootfs, entry.path) if entry.size <= MAX_SEARCHED else None
        if facts is not None and facts.soname != LIBC and facts.shell_use:
            yield self.want("/bin/sh", entry.path, facts.shell_use)


RULES: tuple[Rule, ...] = (System(), LoaderCache(), NameServices(), Databases(), LocalTime(), Unwinder(), LoaderConf())
