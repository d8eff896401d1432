"""`debloat lock`: the main job, with a lock."""

from __future__ import annotations

from typing import Any

from debloat.cli.slim import run as slim
from debloat.lock.format import DEFAULT_NAME


def run(image: str, **given: Any) -> None:
    """Make the minimal image, and write its lock where no other file is named into debloat.lock."""
    slim(image, **{**given, "lock": given["lock"] or DEFAULT_NAME})
