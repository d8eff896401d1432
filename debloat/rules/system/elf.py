"""What an ELF file needs before it runs: its interpreter, and shared objects in the order of ld.so(8).

What a library that is opened with dlopen(3) by a name in the program's text needs is not guessed: the trace has
it where it happened, and `.note.dlopen` where the program declares it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from debloat.closure import Rule, World, derived
from debloat.core.capabilities import XATTR
from debloat.core.model import Entry, Level, Op, Want
from debloat.elf.facts import ElfFacts
from debloat.elf.loader import Loader, Place, is_musl, musl_path_file, rpath_directories, search, split_path
from debloat.elf.reading import elf_facts
from debloat.selector import ELF, FILES, FILES_AND_LINKS, Selector

MAX_TREE = 10_000
"""Objects visited in one program's tree; more than any process has loaded."""
PRELOAD = "/etc/ld.so.preload"

OBJECTS = Selector(FILES_AND_LINKS, formats=ELF)
"""ELF files, and links, which may lead to one."""


@derived
def loader_of(world: World) -> Loader:
    """The image's loader inputs."""
    return Loader.of(world.rootfs, world.config)


class Object(Struct, frozen=True):
    """An ELF file as one of its names shows it: `$ORIGIN` is the directory of the name that was opened."""

    path: str
    facts: ElfFacts

    @property
    def origin(self) -> str:
        return self.path.rpartition("/")[0] or "/"


def object_of(entry: Entry, world: World) -> Object | None:
    """The ELF object of a kept entry. A link counts as one where the object's search depends on its place."""
    if not (entry.is_file or entry.is_symlink):
        return None
    facts = elf_facts(world.rootfs, entry.path)
    if facts is None or (entry.is_symlink and not _depends_on_origin(facts, loader_of(world))):
        return None
    return Object(entry.path, facts)


def _depends_on_origin(facts: ElfFacts, loader: Loader) -> bool:
    return any("ORIGIN" in text for text in (facts.rpath, facts.runpath, *facts.needed, *loader.library_path))


def needs(facts: ElfFacts) -> tuple[str, ...]:
    """The names that ld.so loads because of this object, filters (DT_FILTER, DT_AUXILIARY) and auditors included."""
    return (*facts.needed, *facts.filters, *facts.audits)


class Interpreter(Rule):
    """The kernel loads PT_INTERP itself, without a system call that a trace could show (execve(2), elf(5))."""

    name = "elf.interpreter"
    level = Level.EXACT
    selector = Selector(FILES, formats=ELF)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        facts = elf_facts(world.rootfs, entry.path)
        if facts is not None and facts.interpreter:
            yield self.want(facts.interpreter, entry.path, "PT_INTERP")
            if is_musl(facts):
                yield self.want(musl_path_file(facts), entry.path, "musl's loader reads it")


class Needed(Rule):
    """DT_NEEDED of every kept object, in the order of ld.so(8), with all variants that some CPU would choose."""

    name = "elf.needed"
    level = Level.EXACT
    selector = OBJECTS

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        elf_object = object_of(entry, world)
        for name in needs(elf_object.facts) if elf_object else ():
            assert elf_object is not None
            for path in search(loader_of(world), elf_object.facts, name, elf_object.origin).paths:
                yield self.want(path, entry.path, name)


class Inherited(Rule):
    """DT_RPATH counts for the objects that are loaded in turn, and secure execution drops LD_LIBRARY_PATH for them.

    The same library may be loaded by several programs, so the rule speaks for the one that bequeaths: it walks the
    tree below it and searches for each object's needs as that object would on its behalf.
    """

    name = "elf.inherited"
    level = Level.EXACT
    selector = OBJECTS

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        elf_object = object_of(entry, world)
        if elf_object is None:
            return
        loader = loader_of(world)
        directories = rpath_directories(loader, elf_object.facts, elf_object.origin)
        if directories:
            yield from self._below(elf_object, loader, directories, False)
        if loader.library_path and elf_object.facts.interpreter and _raises_privileges(entry):
            yield from self._below(elf_object, loader, directories, True)

    def _below(self, top: Object, loader: Loader, inherited: tuple[Place, ...], secure: bool) -> Iterator[Want]:
        word = "secure execution" if secure else "DT_RPATH"
        for child, name, path in tree(top, loader, inherited, secure):
            yield self.want(path, top.path, f"{name} of {child.path}, {word}")


def _raises_privileges(entry: Entry) -> bool:
    return bool(entry.mode & 0o6000) or any(name == XATTR for name, _ in entry.xattrs)


def tree(
    top: Object, loader: Loader, inherited: tuple[Place, ...], secure: bool = False
) -> Iterator[tuple[Object, str, str]]:
    """The objects loaded because of `top` while `inherited` directories count: (needing object, name, path)."""
    todo, visited = [top], {top.path}
    for needing in todo:
        for name in needs(needing.facts):
            for path in search(loader, needing.facts, name, needing.origin, inherited=inherited, secure=secure).paths:
                yield needing, name, path
                facts = elf_facts(loader.rootfs, path)
                if facts is not None and path not in visited and len(visited) < MAX_TREE:
                    visited.add(path)
                    todo.append(Object(path, facts))


class Dlopened(Rule):
    """An object loaded by dlopen(3) searches the DT_RPATH of the objects that loaded it: its program's, its caller's.

    Which these are, the trace says: the objects with a DT_RPATH that the same program opened. An object that no
    program opened may be loaded by any of the traced ones.
    """

    name = "elf.dlopened"
    level = Level.EXACT
    selector = OBJECTS

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        processes = _processes(world)
        elf_object = object_of(entry, world) if processes.bequests else None
        if (
            elf_object is None
            or elf_object.facts.interpreter
            or (elf_object.facts.runpath and not is_musl(elf_object.facts))
        ):
            return
        loader = loader_of(world)
        programs = processes.openers.get(entry.path) or processes.bequests.keys()
        for program in sorted(programs & processes.bequests.keys()):
            bits_machine, directories = processes.bequests[program]
            if bits_machine != elf_object.facts.abi:
                continue
            own = {n: search(loader, elf_object.facts, n, elf_object.origin).paths for n in needs(elf_object.facts)}
            for child, name, path in tree(elf_object, loader, directories):
                if path not in own.get(name, ()):
                    yield self.want(path, entry.path, f"{name} of {child.path}, DT_RPATH in {program}")


class _Processes(Struct, frozen=True):
    """From the trace: which programs opened a file, and what DT_RPATH directories each program's objects bequeath."""

    openers: Mapping[str, frozenset[str]]
    bequests: Mapping[str, tuple[tuple[int, int, bool], tuple[Place, ...]]]


@derived
def _processes(world: World) -> _Processes:
    rootfs, loader = world.rootfs, loader_of(world)
    openers: dict[str, set[str]] = {}
    for access in world.trace.accesses:
        if access.op in (Op.OPEN, Op.EXEC) and access.program:
            real = rootfs.resolve(access.path).path
            if real is not None and rootfs.is_file(real):
                openers.setdefault(real, set()).add(access.program)
    for program in {p for programs in openers.values() for p in programs}:
        if (real := rootfs.resolve(program).path) is not None:
            openers.setdefault(real, set()).add(program)
    rootfs.fetch(sorted(openers))
    bequests: dict[str, tuple[tuple[int, int, bool], tuple[Place, ...]]] = {}
    for path in sorted(openers):
        facts = elf_facts(rootfs, path)
        directories = rpath_directories(loader, facts, path.rpartition("/")[0]) if facts else ()
        for program in sorted(openers[path]) if facts and directories else ():
            _, inherited = bequests.get(program, (facts.abi if facts else (0, 0, True), ()))
            bequests[program] = (facts.abi if facts else (0, 0, True), tuple(dict.fromkeys((*inherited, *directories))))
    return _Processes({p: frozenset(o) for p, o in openers.items()}, bequests)


class Preloaded(Rule):
    """LD_PRELOAD and LD_AUDIT of the image's environment, and `/etc/ld.so.preload`, for every dynamic program."""

    name = "elf.preload"
    level = Level.EXACT
    selector = Selector(FILES, formats=ELF)

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        facts = elf_facts(world.rootfs, entry.path)
        if facts is None or not facts.interpreter:
            return
        if not is_musl(facts):
            yield self.want(PRELOAD, entry.path, "ld.so reads it")
        for name, where in _preloads(world):
            for path in search(loader_of(world), facts, name, entry.path.rpartition("/")[0]).paths:
                yield self.want(path, entry.path, f"{name} in {where}")


@derived
def _preloads(world: World) -> tuple[tuple[str, str], ...]:
    """Preloaded names with where they stand; the separators are those of ld.so(8)."""
    env = world.config.env
    text = "\n".join(line.partition("#")[0] for line in world.rootfs.text(PRELOAD).splitlines())
    preloads = [(n, "LD_PRELOAD") for n in re.split(r"[ :]+", env.get("LD_PRELOAD", ""))]
    preloads += [(n, "LD_AUDIT") for n in split_path(env.get("LD_AUDIT", ""))]
    preloads += [(n, PRELOAD) for n in re.split(r"[\s:]+", text)]
    return tuple(dict.fromkeys(item for item in preloads if item[0]))


class DlopenNote(Rule):
    """Libraries that an object declares to dlopen(3) in `.note.dlopen`: those required and recommended.

    Of a feature's alternative sonames the first that the image has is the one that is used.
    """

    name = "elf.note.dlopen"
    level = Level.EXACT
    selector = OBJECTS

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        elf_object = object_of(entry, world)
        for feature in elf_object.facts.dlopens if elf_object else ():
            assert elf_object is not None
            if feature.priority not in ("required", "recommended"):
                continue
            for soname in feature.sonames:
                result = search(loader_of(world), elf_object.facts, soname, elf_object.origin)
                for path in result.paths:
                    yield self.want(path, entry.path, f"{feature.priority} for {feature.feature or soname}")
                if result.complete:
                    break


RULES: tuple[Rule, ...] = (Interpreter(), Needed(), Inherited(), Dlopened(), Preloaded(), DlopenNote())
