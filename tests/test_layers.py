"""The layers of the package: which folder may import which, held against the imports as they are written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "debloat"

LAYERS = (
    *(
        "core",
        "sensor",
        "engine",
        "image",
        "store",
        "embedded",
        "elf",
        "debian",
        "inventory",
        "selector",
        "closure",
        "rules",
        "footprint",
        "surface",
        "anatomy",
        "cut",
    ),
    *(
        "record",
        "verify",
        "prove",
        "profile",
        "canary",
        "result",
        "summary",
        "steps",
        "pipeline",
        "compose",
        "lock",
        "plan",
        "starter",
        "gate",
        "fleet",
        "report",
        "attest",
        "cli",
        "__main__",
        "pytestplugin",
    ),
)
"""From the ground up: a unit (a folder or a module of the package) imports from itself and from those before it."""

KNOWN_EXCEPTIONS: set[tuple[str, str]] = set()
"""(importing module, imported module): debts, each to be paid."""


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name below `debloat`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, known: set[str]) -> Iterator[str]:
    """The modules of the package that a file imports, those in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "debloat":
            base = node.module.removeprefix("debloat").removeprefix(".")
            for alias in node.names:
                full = f"{base}.{alias.name}".removeprefix(".")
                yield full if full in known else base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("debloat."):
                    yield alias.name.removeprefix("debloat.")


def arrows() -> set[tuple[str, str]]:
    known = modules()
    return {(name, other) for name, path in known.items() for other in imports(path, set(known)) if name and other}


def unit(module: str) -> str:
    return module.partition(".")[0]


def test_no_import_runs_back_up() -> None:
    rank = {name: number for number, name in enumerate(LAYERS)}
    assert {unit(name) for name in modules() if name} == set(LAYERS)
    up = {(a, b) for a, b in arrows() if rank[unit(a)] < rank[unit(b)]}
    assert up == KNOWN_EXCEPTIONS


PRINTING = ("cli", "report", "__main__")
"""What speaks to a person. All else returns values, raises errors, and tells a `Progress` how far it is."""

SCRIPTS = {"sensor.prebuild", "rules.knowledge.families"}
"""Modules that a developer runs by themselves."""


def printing(path: Path) -> Iterator[str]:
    """What a module prints with."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and node.id == "print":
            yield "print"
        elif isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr"):
            if isinstance(node.value, ast.Name) and node.value.id == "sys":
                yield f"sys.{node.attr}"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (name for name in names if name.split(".")[0] in ("click", "rich"))


def test_only_the_command_line_and_renderers_print() -> None:
    found = {name: set(printing(path)) for name, path in modules().items() if unit(name) not in PRINTING}
    assert {name for name, how in found.items() if how} == SCRIPTS
    assert set(printing(PACKAGE / "cli" / "main.py")) == {"click", "sys.stderr"}


def test_no_module_imports_itself_by_way_of_others() -> None:
    table: dict[str, set[str]] = {}
    for a, b in arrows():
        table.setdefault(a, set()).add(b)
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, f"circle: {' -> '.join((*way[way.index(module) :], module))}"
        if module not in done:
            for other in sorted(table.get(module, ())):
                visit(other, (*way, module))
            done.add(module)

    for module in sorted(table):
        visit(module, ())


def test_the_documented_order_is_the_tested_one() -> None:
    """docs/architecture.md lists folders and modules from the ground up."""
    text = (ROOT / "docs/architecture.md").read_text().partition("## Where things live")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = [re.sub(r"\.py$|/.*$", "", name) for cell in cells for name in re.findall(r"`([\w/.]+)`", cell)]
    assert list(dict.fromkeys(named)) == [name for name in LAYERS if name != "__main__"]
