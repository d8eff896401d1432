"""Languages: one package each, with the same inner names; a language without rules of its own is one module.

| name | holds |
|---|---|
| `language` | the record, `LANGUAGE` (`debloat.rules.language`): what the rules that serve all languages know of it |
| `source` | what one file's text says; nothing of the image |
| `packages` | where a name leads in an image, and which files are one package |
| `rules` | what is claimed of that |
| `requested` | what the language's own package manager was asked for by name |

More where a language needs more. To add one is to add a package or a module here: `known` finds it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from debloat.rules.language import Installed, Language

if TYPE_CHECKING:
    from debloat.closure import World


@functools.cache
def known() -> tuple[Language, ...]:
    """The records of all languages, sorted by the names of their packages and modules."""
    return tuple(importlib.import_module(module).LANGUAGE for module in _records())


@functools.cache
def rule_modules() -> tuple[str, ...]:
    """The modules with rules of all languages, those of one in the order of its record."""
    return tuple(
        f"{module.rpartition('.')[0]}.{name}"
        for module, language in zip(_records(), known(), strict=True)
        for name in language.rules
    )


def installed(world: World) -> Iterator[tuple[Language, Installed]]:
    """What was installed by name with the package managers of all languages, and the language of each."""
    for module, language in zip(_records(), known(), strict=True):
        if language.requested:
            requested = importlib.import_module(f"{module.rpartition('.')[0]}.{language.requested}")
            yield from ((language, package) for package in requested.installed(world))


def _records() -> list[str]:
    modules = sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
    return [f"{__name__}.{module.name}{'.language' * module.ispkg}" for module in modules]
