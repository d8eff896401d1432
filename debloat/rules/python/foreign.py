"""Python that no Python source asks for: modules that compiled code names, and what shell scripts have Python run."""

from __future__ import annotations

import re
from collections.abc import Iterable

from debloat.closure import Rule, World
from debloat.model import Entry, Want
from debloat.rules.python import stdlib
from debloat.rules.python.layout import layout
from debloat.rules.python.reach import resolve
from debloat.rules.python.rules import named
from debloat.rules.python.source import Import, facts
from debloat.rules.python.units import units
from debloat.rules.shell import DEPENDENCIES, is_shell
from debloat.rules.shellparse import MAX_SCRIPT

MAX_NATIVE = 64 << 20
"""Bytes of an extension module that are searched for names."""


class NativeImports(Rule):
    """A kept extension module brings the installed modules whose names stand in it, such as `_cffi_backend`.

    Compiled code imports by a text (PyImport_ImportModule); no source says so, and Debian's metadata neither where
    the module is a package of its own.
    """

    name = "python.native_import"

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.is_file or not entry.name.endswith((".so", ".pyd")):
            return
        if world.derived(layout).site_of(entry.path) is None:
            return
        unit = world.derived(units).of_path.get(entry.path)
        tops = world.derived(_site_tops) - (unit.tops if unit is not None else frozenset())
        for text in sorted(set(_NAMED.findall(world.rootfs.read(entry.path, MAX_NATIVE)))):
            name = text.decode()
            if name.partition(".")[0] in tops:
                for file in resolve(world, entry.path, Import(0, name)):
                    yield self.want(file, entry.path, f"names {name}")


_NAMED = re.compile(rb"(?<=\0)(?:_[A-Za-z]\w{1,60}|[A-Za-z]\w{1,60}(?=\.))(?:\.\w{1,60}){0,4}(?=\0)")
"""A whole text that is a module's name: one with a dot, or with the underscore of modules for other modules."""


def _site_tops(world: World) -> frozenset[str]:
    sites = world.derived(layout).sites
    return frozenset(name.partition(".")[0] for site in sites for name in world.rootfs.names(site))


class InlineCode(Rule):
    """What a script of the application tells a Python to run: `python3 -m package`, `python3 -c 'import package'`."""

    name = "python.inline"

    def wants(self, entry: Entry, world: World) -> Iterable[Want]:
        if not entry.is_file or not 0 < entry.size <= MAX_SCRIPT or world.packages.owners(entry.path):
            return
        source = world.rootfs.read(entry.path)
        if b"python" not in source or not is_shell(entry.path, source[:128]) or DEPENDENCIES.search(entry.path):
            return
        for match in _RUN.finditer(source):
            if match["module"]:
                module = match["module"].decode()
                for name in (module, f"{module}.__main__"):
                    for file in named(world, name):
                        yield self.want(file, entry.path, f"-m {module}")
            for wanted in sorted(facts(match["code"] or match["more"] or match["here"] or b"").imports):
                for file in resolve(world, f"{world.config.workdir.rstrip('/')}/-", wanted):
                    yield self.want(file, entry.path, f"import {wanted}")
                    for part in stdlib.parts(world, file):
                        yield self.want(part, entry.path, f"import {wanted}")


_RUN = re.compile(
    rb"\bpython[\d.]*(?:[ \t]+-[A-Za-z]{1,4}(?=[ \t]))*?[ \t]+(?:-m[ \t]*(?P<module>[A-Za-z_][\w.]*)"
    rb"|-\w{0,3}c[ \t]*(?:\"(?P<code>(?:[^\"\\]|\\.){1,4000})\"|'(?P<more>[^']{1,4000})')"
    rb"|(?:-[ \t]*)?[^\n]{0,80}?<<-?[ \t]*[\"']?(?P<mark>\w+)[\"']?[^\n]*\n(?P<here>.{1,8000}?)\n\t*(?P=mark))",
    re.DOTALL,
)
"""A Python's -m, -c and here-document (python3(1)), in a shell script."""


RULES: tuple[Rule, ...] = (NativeImports(), InlineCode())
