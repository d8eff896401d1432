"""`debloat run`: the main job, with a test suite on this machine, or a session by hand."""

from __future__ import annotations

from debloat.cli.engines import Engines
from debloat.cli.jobs import slim
from debloat.cli.options import Run
from debloat.cli.pause import pause
from debloat.core.errors import UsageError


def run(options: Run, engines: Engines) -> None:
    """Make, prove and tag. UsageError where there is neither a command nor a session."""
    if not (options.command or options.pause):
        raise UsageError("nothing to run", "write it behind `--`, or pass --pause to use the container by hand")
    slim(options, engines, by_hand=pause if options.pause else None)
