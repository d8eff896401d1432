"""Where the dynamic linker finds a shared object: the search order of ld.so(8), over a root file system.

The image may run on another machine than the one it was traced on, so a search does not ask what the CPU can do:
it finds every variant that some CPU would choose, and ends at the one that suits any. Facts are those of
ld.so(8), of Debian's build of glibc (multiarch directories, `$LIB`) and of glibc's `dl-load.c` and
`dl-hwcaps.c`; for musl, those of its manual and `dynlink.c`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct

from debloat.core.model import ImageConfig
from debloat.core.platform import PLATFORMS
from debloat.elf.facts import ElfFacts
from debloat.elf.ldcache import CacheEntry, conf_directories, parse_cache
from debloat.elf.reading import elf_facts
from debloat.image.rootfs import Rootfs

CACHE = "/etc/ld.so.cache"
CONF = "/etc/ld.so.conf"
MAX_DIRECTORIES = 256
"""Directories taken of one path list; a longer one is no list that a person wrote."""


class Machine(Struct, frozen=True):
    """What ld.so knows of a platform: `debian` is its name, `cache_flags` what marks its cache entries.

    `platforms` are the values that `$PLATFORM` may take, `hwcaps` the glibc-hwcaps subdirectories, best first,
    `legacy` the subdirectories searched before glibc 2.37, each a subset of the list in its order.
    """

    debian: str
    musl: str
    cache_flags: tuple[int, ...]
    platforms: tuple[str, ...]
    hwcaps: tuple[str, ...] = ()
    legacy: tuple[str, ...] = ()
    extra_directories: tuple[str, ...] = ()

    @property
    def lib(self) -> str:
        """The directory of its libraries below a `lib`, where Debian has one."""
        return next((platform.multiarch for platform in PLATFORMS if platform.debian == self.debian), "")


_X86_LEGACY = ("tls", "haswell", "xeon_phi", "avx512_1", "x86_64")
_ARM_HWCAPS = ("neon", "vfpv4", "vfpv3", "vfp", "half")

_KNOWN = (
    Machine(
        "amd64",
        "x86_64",
        (0x303,),
        ("haswell", "xeon_phi", "x86_64"),
        ("x86-64-v4", "x86-64-v3", "x86-64-v2"),
        _X86_LEGACY,
    ),
    Machine("x32", "x32", (0x803,), ("x86_64",), (), (), ("/libx32", "/usr/libx32")),
    Machine(
        "i386",
        "i386",
        (0x3, 0x1),
        ("i686", "i586", "i486", "i386"),
        (),
        ("tls", "i686", "i586", "i486", "sse2", "cmov", "nosegneg"),
        ("/lib32", "/usr/lib32"),
    ),
    Machine("arm64", "aarch64", (0xA03,), ("aarch64",), (), ("tls", "aarch64", "atomics")),
    Machine(
        "armel",
        "arm",
        (0xB03, 0x3),
        ("v5l", "v6l", "v7l", "v8l"),
        (),
        ("tls", "v8l", "v7l", "v6l", "v5l", *_ARM_HWCAPS),
    ),
    Machine(
        "armhf",
        "armhf",
        (0x903, 0x3),
        ("v7l", "v6l", "v8l"),
        (),
        ("tls", "v8l", "v7l", "v6l", *_ARM_HWCAPS),
    ),
    Machine(
        "ppc64el",
        "powerpc64le",
        (0x503,),
        ("power8", "power9", "power10"),
        ("power10", "power9"),
        ("tls", "power10", "power9", "power8", "altivec", "vsx"),
    ),
    Machine(
        "s390x",
        "s390x",
        (0x403,),
        ("z900", "z990", "z9-109", "z10", "z196", "zEC12", "z13", "z14", "z15", "z16"),
        ("z17", "z16", "z15", "z14", "z13"),
        ("tls", "z16", "z15", "z14", "z13", "zEC12", "z196", "z10", "z9-109", "vx", "dfp", "ldisp", "eimm"),
    ),
    Machine("riscv64", "riscv64", (0x1003,), ("riscv64",)),
    Machine("mips64el", "mips64el", (0x703,), ("mips",)),
    Machine("loong64", "loongarch64", (0x1203,), ("loongarch64",)),
)
MACHINES: Mapping[str, Machine] = MappingProxyType({machine.debian: machine for machine in _KNOWN})
"""By Debian's name of the platform."""
UNKNOWN = Machine("", "", (), ())


def machine_of(facts: ElfFacts) -> Machine:
    """What ld.so knows of the platform of an object."""
    return UNKNOWN if facts.platform is None else MACHINES[facts.platform.debian]


class Place(Struct, frozen=True):
    """A path that ld.so may look at; `any_cpu` is false where only some processors do."""

    path: str
    any_cpu: bool = True


class Found(Struct, frozen=True):
    """The outcome of a search: every file that may be loaded, best first, as ld.so spells it.

    `consulted` are the candidates that were looked at, in order, those that exist among them. The last of `paths`
    suits any CPU when `complete`; otherwise a CPU without the variants' features finds nothing.
    """

    name: str
    paths: tuple[str, ...] = ()
    consulted: tuple[str, ...] = ()
    complete: bool = False


class Loader(Struct, frozen=True):
    """ld.so's inputs from an image: LD_LIBRARY_PATH, the cache, and where there is none, ldconfig's directories.

    `cache` is None where the image has none. `cwd` is what relative directories are relative to: WORKDIR.
    """

    rootfs: Rootfs
    library_path: tuple[str, ...] = ()
    cwd: str = "/"
    cache: Mapping[str, tuple[CacheEntry, ...]] | None = None
    conf: tuple[str, ...] = ()

    @classmethod
    def of(cls, rootfs: Rootfs, config: ImageConfig) -> Loader:
        """The loader's inputs in an image with this configuration."""
        has_cache = rootfs.is_file(CACHE)
        table: dict[str, list[CacheEntry]] = {}
        for entry in parse_cache(rootfs.read(CACHE)) if has_cache else ():
            table.setdefault(entry.name, []).append(entry)
        return cls(
            rootfs,
            split_path(config.env.get("LD_LIBRARY_PATH", ""), ":;"),
            config.workdir if config.workdir.startswith("/") else "/",
            MappingProxyType({n: tuple(e) for n, e in table.items()}) if has_cache else None,
            () if has_cache else conf_directories(rootfs, CONF),
        )


def split_path(text: str, separators: str = ":") -> tuple[str, ...]:
    """A list of directories; an empty element is the current directory (ld.so(8)), an empty text is no list."""
    parts = re.split(f"[{separators}]", text)[:MAX_DIRECTORIES] if text else []
    return tuple(dict.fromkeys(p or "." for p in parts))


def search(
    loader: Loader,
    facts: ElfFacts,
    name: str,
    origin: str,
    *,
    inherited: Iterable[Place] = (),
    secure: bool = False,
) -> Found:
    """What ld.so may load when the object `facts`, opened in directory `origin`, needs `name`.

    `inherited` are the DT_RPATH directories of the objects that loaded it, nearest first, expanded. `secure` is
    the secure-execution mode of setuid programs: LD_LIBRARY_PATH does not count.
    """
    machine = machine_of(facts)
    if "/" in name:
        places: Iterable[Place] = expand(loader, machine, name, origin)
    elif is_musl(facts):
        places = _musl_places(loader, machine, facts, name, origin, tuple(inherited), secure)
    else:
        places = _places(loader, machine, facts, name, origin, tuple(inherited), secure)
    paths, consulted = list[str](), list[str]()
    for place in places:
        consulted.append(place.path)
        if _loadable(loader.rootfs, place.path, facts):
            paths.append(place.path)
            if place.any_cpu:
                return Found(name, tuple(paths), tuple(consulted), True)
    return Found(name, tuple(paths), tuple(consulted))


def is_musl(facts: ElfFacts) -> bool:
    """Whether the object was linked against musl; its loader is its C library, so either name tells."""
    return "/ld-musl-" in facts.interpreter or any(n == "libc.so" or n.startswith("libc.musl-") for n in facts.needed)


def rpath_directories(loader: Loader, facts: ElfFacts, origin: str) -> tuple[Place, ...]:
    """The directories that an object opened in `origin` bequeaths to those it loads: its DT_RPATH.

    musl makes no difference between DT_RPATH and DT_RUNPATH and bequeaths either.
    """
    text = (facts.runpath or facts.rpath) if is_musl(facts) else facts.effective_rpath
    return tuple(_expanded(loader, machine_of(facts), split_path(text), origin))


def _expanded(loader: Loader, machine: Machine, parts: Iterable[str], origin: str) -> Iterator[Place]:
    for part in parts:
        yield from expand(loader, machine, part, origin)


def expand(loader: Loader, machine: Machine, text: str, origin: str) -> tuple[Place, ...]:
    """A path with `$ORIGIN`, `$LIB` and `$PLATFORM` replaced by all that they may stand for, made absolute."""
    values: dict[str, tuple[str, ...]] = {
        "ORIGIN": (origin,),
        "LIB": (f"lib/{machine.lib}" if machine.lib else "lib",),
        "PLATFORM": machine.platforms,
    }
    used = [t for t in values if re.search(_token(t), text)]
    paths = list[str]()
    for choice in itertools.product(*(values[t] for t in used)):
        result = text
        for token, value in zip(used, choice, strict=True):
            result = re.sub(_token(token), lambda _, v=value: v, result)  # type: ignore[misc]
        paths.append(result if result.startswith("/") else f"{loader.cwd.rstrip('/')}/{result}")
    return tuple(Place(path, len(paths) == 1) for path in dict.fromkeys(paths))


def _token(name: str) -> str:
    return rf"\$(?:{{{name}}}|{name}(?![A-Za-z0-9_]))"


def _places(
    loader: Loader,
    machine: Machine,
    facts: ElfFacts,
    name: str,
    origin: str,
    inherited: tuple[Place, ...],
    secure: bool,
) -> Iterator[Place]:
    """Candidates in glibc's order."""

    def below(directories: Iterable[Place]) -> Iterator[Place]:
        for directory in directories:
            yield from _variants(loader.rootfs, machine, directory, name)

    if not facts.runpath:
        yield from below(rpath_directories(loader, facts, origin))
        yield from below(inherited)
    if not secure:
        yield from below(_expanded(loader, machine, loader.library_path, origin))
    yield from below(_expanded(loader, machine, split_path(facts.runpath), origin))
    system = default_directories(machine)
    yield from _cached(loader, machine, name, system if facts.nodeflib else ())
    if not facts.nodeflib:
        yield from below(map(Place, system))
        # Nothing reads ld.so.conf at run time; but where the cache is missing, an entrypoint may call ldconfig.
        yield from below(map(Place, loader.conf))


def _variants(rootfs: Rootfs, machine: Machine, place: Place, name: str) -> Iterator[Place]:
    """The candidates for `name` below one directory: glibc-hwcaps, the legacy subdirectories, itself."""
    base = place.path.rstrip("/")
    real = rootfs.resolve(place.path).path
    if real is not None and "glibc-hwcaps" in (names := frozenset(rootfs.names(real))):
        for hwcap in machine.hwcaps:
            yield Place(f"{base}/glibc-hwcaps/{hwcap}/{name}", False)
    if real is not None and not names.isdisjoint(machine.legacy):
        for below in _legacy(rootfs, machine, base, 0):
            yield Place(f"{below}/{name}", False)
    yield Place(f"{base}/{name}", place.any_cpu)


def _legacy(rootfs: Rootfs, machine: Machine, directory: str, start: int) -> Iterator[str]:
    """The existing legacy subdirectories: those of the longest combination first, as dl-hwcaps.c orders them."""
    for i in range(start, len(machine.legacy)):
        below = f"{directory}/{machine.legacy[i]}"
        if rootfs.is_dir(below):
            yield from _legacy(rootfs, machine, below, i + 1)
            yield below


def _cached(loader: Loader, machine: Machine, name: str, barred: tuple[str, ...]) -> Iterator[Place]:
    """What the cache has for a name: the variants, and the first entry that suits any CPU.

    The entry is taken even if its file is gone: ld.so then goes on with the default directories. `barred` are
    directories whose entries an object with DF_1_NODEFLIB must not use.
    """
    entries = [
        entry
        for entry in (loader.cache or {}).get(name, ())
        if not machine.cache_flags or entry.flags in machine.cache_flags
    ]
    variants = [e for e in entries if not e.baseline]
    variants.sort(key=lambda e: (machine.hwcaps.index(e.hwcap) if e.hwcap in machine.hwcaps else 99, -e.legacy_hwcap))
    for entry in (*variants, *[e for e in entries if e.baseline][:1]):
        if not entry.path.startswith(tuple(d + "/" for d in barred)):
            yield Place(entry.path, entry.baseline)


def default_directories(machine: Machine) -> tuple[str, ...]:
    """The directories built into Debian's ld.so, in its order (`ld.so --list-diagnostics`, system_dirs)."""
    multiarch = (f"/lib/{machine.lib}", f"/usr/lib/{machine.lib}") if machine.lib else ()
    return (*multiarch, "/lib", "/usr/lib", *machine.extra_directories)


_MUSL_OWN = re.compile(r"lib(?:c|pthread|rt|m|dl|util|xnet)\.so.*|libc\.musl-.*|ld-musl-.*")
"""Names that musl's loader satisfies itself, without a search."""


def _musl_places(
    loader: Loader,
    machine: Machine,
    facts: ElfFacts,
    name: str,
    origin: str,
    inherited: tuple[Place, ...],
    secure: bool,
) -> Iterator[Place]:
    """Candidates in musl's order: LD_LIBRARY_PATH, the paths of the object and its loaders, the system's."""
    if _MUSL_OWN.fullmatch(name):
        yield Place(f"/lib/ld-musl-{machine.musl}.so.1")
        return
    library_path = () if secure else tuple(_expanded(loader, machine, loader.library_path, origin))
    own = rpath_directories(loader, facts, origin)
    for place in (*library_path, *own, *inherited, *map(Place, _musl_system(loader.rootfs, facts))):
        yield Place(f"{place.path.rstrip('/')}/{name}", place.any_cpu)


def musl_path_file(facts: ElfFacts) -> str:
    """The file with musl's default directories for this ABI."""
    return f"/etc/ld-musl-{machine_of(facts).musl}.path"


def _musl_system(rootfs: Rootfs, facts: ElfFacts) -> tuple[str, ...]:
    path = musl_path_file(facts)
    if rootfs.is_file(path):
        return tuple(d for d in re.split(r"[:\n]", rootfs.text(path)) if d.startswith("/"))[:MAX_DIRECTORIES]
    return ("/lib", "/usr/local/lib", "/usr/lib")


def _loadable(rootfs: Rootfs, path: str, facts: ElfFacts) -> bool:
    """Whether ld.so would take this file: an ELF object of the same class, machine and byte order."""
    candidate = elf_facts(rootfs, path)
    return candidate is not None and candidate.abi == facts.abi and candidate.kind in ("dyn", "exec")
