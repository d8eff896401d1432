"""The entries of a root file system in a compact form: half a million names have to fit in some tens of megabytes.

An `Entry` for each name, with its path as text, takes ten times that. So what most entries have in common is stored
once, names are stored by directory, and an `Entry` is made on request.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator

from debloat.core.model import Entry, Kind

_PLAIN = frozenset({Kind.FILE, Kind.DIR, Kind.SYMLINK})


class Tree:
    """Entries by path; of several with the same path the last counts. Each has a number below `size`."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._common: list[tuple[Kind, int, int, int]] = []
        """Distinct (kind, mode, uid, gid)."""
        self._which = array("I")
        self._sizes = array("Q")
        self._mtimes = array("q")
        self._targets: dict[int, str] = {}
        self._odd: dict[int, Entry] = {}
        """Entries that have what the columns do not hold: xattrs, devices, hardlinks, numbers out of range."""
        self._names: list[str] = []
        self._parents = array("I")
        self._paths: list[str] = []
        """Directories by number, as they stand before a name: the root is empty."""
        self._directories: dict[str, tuple[list[str], array[int]]] = {}
        self._take(entries)
        self._length = sum(len(names) for names, _ in self._directories.values())
        self._below = self._inner()

    def _take(self, entries: Iterable[Entry]) -> None:
        common: dict[tuple[Kind, int, int, int], int] = {}
        numbers: dict[str, int] = {}
        members: list[array[int]] = []
        for row, entry in enumerate(entries):
            parent, _, name = entry.path.rpartition("/")
            directory = numbers.setdefault(parent, len(numbers))
            if directory == len(members):
                members.append(array("I"))
            members[directory].append(row)
            self._names.append(name)
            self._parents.append(directory)
            shared = (entry.kind, entry.mode, entry.uid, entry.gid)
            self._which.append(common.setdefault(shared, len(common)))
            plain = entry.kind in _PLAIN and not (entry.hardlink or entry.xattrs or any(entry.device))
            fits = 0 <= entry.size < 1 << 64 and -1 << 63 <= entry.mtime < 1 << 63
            self._sizes.append(entry.size if fits else 0)
            self._mtimes.append(entry.mtime if fits else 0)
            if not (plain and fits):
                self._odd[row] = entry
            elif entry.target:
                self._targets[row] = entry.target
        self._common = list(common)
        self._paths = list(numbers)
        for parent, rows in zip(numbers, members, strict=True):
            self._directories[parent] = self._sorted(rows)

    def _sorted(self, rows: array[int]) -> tuple[list[str], array[int]]:
        """The names of a directory in order, with their rows."""
        last = {self._names[row]: row for row in rows}
        names = sorted(last)
        return names, array("I", (last[name] for name in names))

    def _inner(self) -> dict[str, list[str]]:
        """For each directory the names of those below it that have entries, whether they have one themselves or not."""
        below: dict[str, list[str]] = {}
        done = {""}
        for path in self._directories:
            while path not in done:
                done.add(path)
                path, _, name = path.rpartition("/")
                below.setdefault(path, []).append(name)
        return below

    def __len__(self) -> int:
        return self._length

    @property
    def size(self) -> int:
        """One more than the highest number."""
        return len(self._names)

    def number(self, path: str) -> int:
        """The number of the entry of exactly this path; -1 where there is none."""
        parent, slash, name = path.rpartition("/")
        return self.number_in(parent, name) if slash else -1

    def number_in(self, parent: str, name: str) -> int:
        """The number of a name in a directory, whose path has no slash at its end; -1 where there is none."""
        listing = self._directories.get(parent)
        if listing is None:
            return -1
        names, rows = listing
        index = bisect_left(names, name)
        return rows[index] if index < len(names) and names[index] == name else -1

    def path(self, number: int) -> str:
        return f"{self._paths[self._parents[number]]}/{self._names[number]}"

    def kind(self, number: int) -> Kind:
        return self._common[self._which[number]][0]

    def entry(self, number: int, path: str) -> Entry:
        """The entry of this number, whose path is `path`."""
        entry = self._odd.get(number)
        if entry is None:
            kind, mode, uid, gid = self._common[self._which[number]]
            target = self._targets.get(number, "")
            entry = Entry(path, kind, mode, uid, gid, self._sizes[number], self._mtimes[number], target)
        return entry

    def plain(self, number: int) -> bool:
        """Whether the columns hold all of an entry: no hard link, device or attribute."""
        return number not in self._odd

    def size_of(self, number: int) -> int:
        """The size of the entry of this number, where it is plain."""
        return self._sizes[number]

    def named(self, names: Container[str]) -> list[str]:
        """The paths whose last component is one of the names, sorted."""
        return sorted({self.path(row) for row, name in enumerate(self._names) if name in names})

    def ending(self, suffix: str) -> list[str]:
        """The paths whose last component ends so, sorted."""
        return sorted({self.path(row) for row, name in enumerate(self._names) if name.endswith(suffix)})

    def below(self, directory: str) -> Iterator[tuple[str, int]]:
        """The paths below a real directory with their numbers, parents first and names sorted."""
        stack = [(directory.rstrip("/"), iter(self.names(directory)))]
        while stack:
            parent, names = stack[-1]
            for name in names:
                path = f"{parent}/{name}"
                number = self.number_in(parent, name)
                yield path, number
                if self.kind(number) is Kind.DIR:
                    stack.append((path, iter(self.names(path))))
                    break
            else:
                stack.pop()

    def partition_plain(self, counted: Callable[[Kind, int], bool]) -> tuple[int, int, list[str]]:
        """Partition the entries into plain ones whose kind and mode are to be `counted`, and others.

        Gives the number of the former, their total size in bytes, and the sorted paths of the latter.
        """
        plain = [counted(kind, mode) for kind, mode, _, _ in self._common]
        repeated = self._length != len(self._names)
        files = size = 0
        others = []
        for row, which in enumerate(self._which):
            if repeated and self.number(self.path(row)) != row:
                continue
            if not plain[which] or row in self._odd:
                others.append(self.path(row))
            else:
                files += 1
                size += self._sizes[row]
        return files, size, sorted(others)

    def names(self, directory: str) -> list[str]:
        """The names in a directory, sorted."""
        return self._listing(directory)[0]

    def numbered(self, directory: str) -> Iterator[tuple[str, int]]:
        """The names in a directory, sorted, each with the number of its entry."""
        return zip(*self._listing(directory), strict=True)

    def _listing(self, directory: str) -> tuple[list[str], array[int]]:
        listing = self._directories.get("" if directory == "/" else directory)
        if listing is None or not directory:
            return [], array("I")
        names, rows = listing
        return (names[1:], rows[1:]) if directory == "/" and names[:1] == [""] else listing

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """All paths with their numbers, sorted by path."""
        stack = [("", self._steps(""))]
        while stack:
            parent, steps = stack[-1]
            for step, row in steps:
                path = f"{parent}/{step}"
                if row < 0:
                    stack.append((path[:-1], self._steps(path[:-1])))
                    break
                yield path, row
            else:
                stack.pop()

    def _steps(self, directory: str) -> Iterator[tuple[str, int]]:
        """Names in a directory, and `NAME/` with -1 for what is below one, as full paths sort: `a`, `a-b`, `a/c`."""
        names, rows = self._directories.get(directory, ([], array("I")))
        inner = [(f"{name}/", -1) for name in self._below.get(directory, ())]
        steps = zip(names, rows, strict=True)
        return iter(sorted([*steps, *inner])) if inner else steps
