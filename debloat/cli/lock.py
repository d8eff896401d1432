"""`debloat lock`: the main job, with a lock."""

from __future__ import annotations

from dataclasses import replace

from debloat.cli.engines import Engines
from debloat.cli.jobs import slim
from debloat.cli.options import Lock
from debloat.lock.format import DEFAULT_NAME, DEFAULT_NAMES


def lock(options: Lock, engines: Engines) -> None:
    """Make the minimal image, and write its lock: into `debloat.lock` where no other file is named."""
    named = options.result.lock or (DEFAULT_NAMES if engines.all_platforms else DEFAULT_NAME)
    slim(replace(options, result=replace(options.result, lock=named)), engines)
