"""From what was said on the command line and in the configuration to a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from debloat import recipe
from debloat.errors import UsageError


def recipe_of(given: Mapping[str, Any], directory: Path | None = None) -> recipe.Recipe:
    """The recipe: the configuration's settings (`-c`, else what is found in the directory), flags on top."""
    return recipe.recipe(recipe.merged(configuration(given.get("config"), directory), flags(given)))


def configuration(named: str | None, directory: Path | None = None) -> dict[str, Any]:
    """The settings of the configuration file that is named, or found in `directory` (default: here)."""
    path = Path(named) if named else recipe.find(directory or Path())
    return recipe.read(path) if path else {}


def flags(given: Mapping[str, Any]) -> dict[str, Any]:
    """Command line options as settings."""
    env = {}
    for item in given.get("env") or ():
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"-e {item!r} is not K=V", "write -e NAME=VALUE")
        env[key] = value
    return {
        "http": list(given.get("http") or ()),
        "run": list(given.get("run_") or ()),
        "exec": list(given.get("exec_") or ()),
        "args": list(given.get("args") or ()),
        "keep": list(given.get("keep") or ()),
        "drop": list(given.get("drop") or ()),
        "keep_packages": list(given.get("keep_packages") or ()),
        "level": given.get("level"),
        "run_options": {
            "env": env,
            "volumes": list(given.get("volume") or ()),
            "network": given.get("network") or "",
            "user": given.get("user") or "",
            "read_only": bool(given.get("read_only")),
            "tmpfs": list(given.get("tmpfs") or ()),
            "init": bool(given.get("init")),
        },
    }
