"""Bills of materials by the names of their formats. The modules that make them are imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from debloat.core.errors import UsageError
from debloat.core.model import Image
from debloat.inventory.model import Inventory

FORMATS = ("cyclonedx", "spdx")


def renderer(form: str) -> Callable[[Image, Inventory], str]:
    """What writes a bill in a format; UsageError where the extra `sbom` is not installed."""
    try:
        module = importlib.import_module(f"debloat.attest.{form}")
    except ImportError as error:
        raise UsageError(
            f"cannot make a bill of materials: {error.name or error} is not installed", 'pip install "debloat[sbom]"'
        ) from error
    return cast(Callable[[Image, Inventory], str], module.render)
