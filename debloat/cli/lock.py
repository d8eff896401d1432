"""`debloat lock`: the main job, with a lock."""

from __future__ import annotations

from dataclasses import replace

from debloat.cli.engines import Engines
from debloat.cli.options import Lock
from debloat.cli.slim import slim
from debloat.lock.format import DEFAULT_NAME


def lock(options: Lock, engines: Engines) -> None:
    """Make the minimal image, and write its lock: into `debloat.lock` where no other file is named."""
    named = options.result.lock or DEFAULT_NAME
    slim(replace(options, result=replace(options.result, lock=named)), engines)
