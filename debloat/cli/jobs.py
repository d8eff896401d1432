"""The main job and `apply`: with one image, or with each platform of an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from debloat.cli.engines import Engines
    from debloat.cli.options import Apply, Slim
    from debloat.record.session import ByHand


def slim(options: Slim, engines: Engines, by_hand: ByHand | None = None) -> None:
    """Make, prove and write; `by_hand` lets somebody use the recorded container."""
    if engines.all_platforms:
        from debloat.cli import platforms

        platforms.slim(options, engines, by_hand)
    else:
        from debloat.cli import slim as command

        command.slim(options, engines, by_hand=by_hand)


def apply(options: Apply, engines: Engines) -> None:
    """Apply the lock, or that of each platform."""
    if engines.all_platforms:
        from debloat.cli import platforms

        platforms.apply(options, engines)
    else:
        from debloat.cli import apply as command

        command.apply(options, engines)
