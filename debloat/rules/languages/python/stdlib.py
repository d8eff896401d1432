"""The standard library: what of it stays with an interpreter, and what only when something imports it.

It is kept whole, because it is reached through dynamic imports (encodings, `dbm`, `logging.config`, pickles,
`-m`) and because following imports would save little. Debian 12's python3.11, with all its parts installed, has
14.9 MB without caches: 11.7 MB stay, 2.5 MB of them in lib-dynload, where the imports alone of what every start
runs (site, encodings) reach 10.8 MB. Tests, tkinter, lib2to3, distutils and pydoc's topics go; of a source build,
tens of megabytes of tests, static libraries and headers go as well.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Iterator

from debloat.closure import World
from debloat.rules.languages.python.layout import Layout, layout

OPTIONAL = (
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "turtle",
    "turtledemo",
    "ensurepip",
    "lib2to3",
    "distutils",
    "pydoc_data",
    "config-*",
    "_tkinter",
    "_dbm",
    "_gdbm",
    "nis",
    "ossaudiodev",
    "_ctypes_test",
    "_test*",
    "_xx*",
    "xxlimited*",
    "xxsubtype",
)
"""Parts that a program gets by naming them and never by the way: tests, tools of development, and extension modules
that bring libraries for little (libdb, NIS with Kerberos behind it, Tcl/Tk)."""

NEEDED_WITH = {
    "dbm": ("_dbm", "_gdbm"),
    "idlelib": ("tkinter", "_tkinter"),
    "pydoc": ("pydoc_data",),
    "shelve": ("_dbm", "_gdbm"),
    "tkinter": ("_tkinter",),
    "turtle": ("tkinter", "_tkinter"),
    "turtledemo": ("turtle", "tkinter", "_tkinter"),
    "venv": ("ensurepip",),
}
"""Idle parts that come with a module of the standard library when a program imports it."""

DATA = ("/etc/mime.types",)
"""Files outside of it that standard modules read (mimetypes.knownfiles)."""


def optional_part(table: Layout, path: str) -> str | None:
    """The name of the idle part that holds a file of a standard library, such as `tkinter`; None for the rest."""
    lib = table.stdlib_of(path)
    if lib is None:
        return None
    names = path[len(lib) + 1 :].removeprefix("lib-dynload/").split("/")
    if "test" in names[1:-1] or "tests" in names[1:-1]:
        return "test"
    return names[0] if _idle(names[0].partition(".")[0]) else None


@functools.cache
def _idle(name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in OPTIONAL)


def library_files(world: World, lib: str) -> Iterator[str]:
    """The files of a standard library that stay with it."""
    table = layout(world)
    for entry in world.rootfs.walk(lib):
        path = entry.path
        if not entry.is_dir and "/__pycache__/" not in path and _library_file(table, path):
            yield path


def _library_file(table: Layout, path: str) -> bool:
    return table.stdlib_of(path) is not None and optional_part(table, path) is None and not path.endswith(".a")


def optional_parts(world: World, path: str, library: bool = False) -> Iterator[str]:
    """What a program that imports the standard module at `path` gets besides: its optional part, those in NEEDED_WITH.

    A `library` takes pydoc for what finds objects by their names, and shows nobody the topics.
    """
    table = layout(world)
    lib = table.stdlib_of(path)
    if lib is None:
        return
    top = path[len(lib) + 1 :].removeprefix("lib-dynload/").partition("/")[0].partition(".")[0]
    names = [*NEEDED_WITH.get(top, ()), *([top] if optional_part(table, path) not in (None, "test") else [])]
    if library:
        names = [name for name in names if name != "pydoc_data"]
    for name in names:
        yield from world.rootfs.glob(f"{lib}/{name}.*")
        yield from world.rootfs.glob(f"{lib}/lib-dynload/{name}.*")
        for entry in world.rootfs.walk(f"{lib}/{name}"):
            if not entry.is_dir and "/__pycache__/" not in entry.path and optional_part(table, entry.path) != "test":
                yield entry.path
