"""Sweeps: programs that walk a tree without reading it (`find`, `du`, `chown -R`, `rm -r`), recognised by what they do.

What a sweep touches says nothing about what the application needs, and it touches everything. One program, in one
probe, makes a sweep of a tree of directories that it listed when all of this holds:

- the tree is connected: every directory in it but the root was listed, and so was the directory above it;
- it holds at least MIN_NAMES names; less is cheaper to keep than to judge;
- it is complete: at least 9 in 10 of the directories that lie in it were listed as well (a walker enters all);
- it is unread: at most 1 in 10 of its files were opened, executed or written;
- it is deep (MIN_LEVELS), or at least 9 in 10 of its names were examined (stat, chown, ...).

A small tree of the application itself is no sweep: its names are data that the application reads.

Programs and probes are judged apart, so adding the accesses of another program or another probe never makes a
sweep. More accesses of the *same* program in the *same* probe can: a walker that was still on its way looks
like a program that reads a few files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from debloat.closure import World, derived
from debloat.core.model import MOUNT_POINTS, Access, Op
from debloat.image.rootfs import Rootfs

MIN_NAMES = 20
MIN_LEVELS = 3
MAX_OWN_TREE_NAMES = 2_000
"""A swept tree of the application with no more names than this is kept as its data."""

NON_READING_OPS = frozenset(
    {
        Op.STAT,
        Op.ACCESS,
        Op.READLINK,
        Op.LIST,
        Op.CHDIR,
        Op.STATFS,
        Op.GETXATTR,
        Op.SETXATTR,
        Op.CHOWN,
        Op.CHMOD,
        Op.UTIME,
        Op.UNLINK,
        Op.RMDIR,
        Op.HANDLE,
    }
)
"""Uses of a name that do not read or run what it names; an `open` of a directory is one as well."""

SKIPPED = (*MOUNT_POINTS, "/.debloat")
"""Where the kernel, the engine or the sensor put files: nothing below belongs to the image."""

_BELOW_SKIPPED = tuple(f"{directory}/" for directory in SKIPPED)


class Sweep(Struct, frozen=True, order=True):
    """A walk of a program over a tree: where it began, and all directories that it listed (the root included)."""

    probe: str
    program: str
    root: str
    directories: frozenset[str]

    def covers(self, path: str) -> bool:
        """Whether the walk met `path` (a real path) on its way; it was sent to the root, and met the rest."""
        return path != self.root and (path.rpartition("/")[0] or "/") in self.directories


def is_outside_image(path: str) -> bool:
    """Whether a path lies below a directory that is not the image's own."""
    return path.startswith(_BELOW_SKIPPED) or path == "/.debloat"


def is_distribution_directory(world: World, directory: str) -> bool:
    """Whether a real directory is the distribution's: packages brought files in it, or it is theirs below /usr."""
    owners = world.packages.owners
    if directory.startswith("/usr/") and owners(directory):
        return True
    return any(child.is_file and owners(child.path) for child in world.rootfs.children(directory))


@derived
def sweeps_in_trace(world: World) -> tuple[Sweep, ...]:
    """The sweeps in the world's trace, without small trees of the application."""
    return tuple(
        sweep
        for sweep in sweeps(world.trace.accesses, world.rootfs)
        if _names(sweep.directories, world.rootfs) > MAX_OWN_TREE_NAMES
        or any(is_distribution_directory(world, directory) for directory in sorted(sweep.directories))
    )


def sweeps(accesses: Iterable[Access], rootfs: Rootfs) -> tuple[Sweep, ...]:
    """The sweeps that programs made of trees of `rootfs`, sorted."""
    groups: dict[tuple[str, str], list[Access]] = defaultdict(list)
    for access in accesses:
        groups[access.probe, access.program].append(access)
    result = []
    for (probe, program), group in groups.items():
        listed = {path for a in group if a.op is Op.LIST and (path := rootfs.resolve(a.path).path) and _own(path)}
        trees = [tree for tree in _trees(listed) if _names(tree, rootfs) >= MIN_NAMES]
        if not trees:
            continue
        opened, examined = _touched(group, rootfs)
        result += [
            Sweep(probe, program, min(tree, key=len), frozenset(tree))
            for tree in trees
            if _is_sweep(tree, rootfs, opened, examined)
        ]
    return tuple(sorted(result, key=lambda s: (s.probe, s.program, s.root)))


def _own(path: str) -> bool:
    return path not in SKIPPED and not is_outside_image(path)


def _trees(listed: set[str]) -> list[set[str]]:
    """Listed directories, grouped with those right above and below them."""
    root_of: dict[str, str] = {}
    trees: dict[str, set[str]] = {}
    for path in sorted(listed):
        parent = path.rpartition("/")[0] or "/"
        root = root_of[path] = root_of.get(parent, path) if path != "/" else path
        trees.setdefault(root, set()).add(path)
    return list(trees.values())


def _names(tree: Iterable[str], rootfs: Rootfs) -> int:
    return sum(len(rootfs.names(directory)) for directory in tree)


def _touched(group: Iterable[Access], rootfs: Rootfs) -> tuple[set[str], set[str]]:
    """Real paths of the files that were read, run or written, and of all names that were examined."""
    opened, examined = set(), set()
    for access in group:
        path = rootfs.resolve(access.path, follow=access.follows).path
        entry = rootfs.get(path) if path else None
        if entry is None:
            continue
        if access.op in NON_READING_OPS or entry.is_dir:
            examined.add(entry.path)
        else:
            opened.add(entry.path)
    return opened, examined


def _is_sweep(tree: set[str], rootfs: Rootfs, opened: set[str], examined: set[str]) -> bool:
    names = files = directories = entered = read = seen = 0
    for directory in tree:
        for child in rootfs.children(directory):
            names += 1
            seen += child.path in examined
            if child.is_dir:
                directories += 1
                entered += child.path in tree or child.path in SKIPPED
            else:
                files += 1
                read += child.path in opened
    depths = [path.rstrip("/").count("/") for path in tree]
    deep = max(depths) - min(depths) + 1 >= MIN_LEVELS
    complete = 10 * entered >= 9 * directories
    return complete and 10 * read <= files and (deep or 10 * seen >= 9 * names)
