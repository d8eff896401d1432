"""From what was said on the command line and in the configuration to a recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from debloat.core import recipe
from debloat.core.errors import UsageError


def recipe_of(given: Mapping[str, Any], directory: Path | None = None) -> recipe.Recipe:
    """The recipe: the configuration's settings (`-c`, else what is found in the directory), flags on top."""
    return recipe.recipe(recipe.merged(configuration(given.get("config"), directory), flags(given)))


_COMPONENT = r"[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*"
_TARGET = re.compile(
    rf"(?:(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*(?::[\w][\w.-]{{0,127}})?",
    re.ASCII,
)
"""Grammar of `NAME:TAG` (github.com/distribution/reference, `reference.go`)."""


def target_of(tag: str | None) -> str:
    """The name given to the result, empty for none; UsageError for one that no image can have."""
    if tag and not _TARGET.fullmatch(tag):
        raise UsageError(f"-t {tag!r} is not an image name", "write NAME:TAG, the name in lower case")
    return tag or ""


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
