"""What follows a run on the terminal."""

from __future__ import annotations

from debloat.core.progress import Progress, Silent


def progress(quiet: bool, verbose: bool = False) -> Progress:
    """What shows the stages of a run; with `quiet` nothing does, and what would draw them is not loaded."""
    if quiet:
        return Silent()
    from debloat.report.terminal import TerminalProgress

    return TerminalProgress(verbose=verbose)
