"""`debloat explore IMAGE [MINIMAL]`: look around in an image on the terminal."""

from __future__ import annotations

import sys

from msgspec.structs import replace

from debloat.anatomy.explored import Explored
from debloat.anatomy.layers import accounts
from debloat.cli.engines import Engines
from debloat.cli.inspect import layers_of
from debloat.cli.options import Explore
from debloat.cli.why import remembered_of
from debloat.closure import close
from debloat.core.errors import UsageError
from debloat.core.recipe import Recipe
from debloat.debian import dpkg
from debloat.pipeline import world_of
from debloat.rules import all_rules
from debloat.rules.application.shipped import closing


def explore(options: Explore, engines: Engines) -> None:
    """Read the image, give the engine back what was needed for it, and run the explorer."""
    try:
        from debloat.report.explorer import Explorer
    except ImportError as error:
        raise UsageError(
            f"cannot explore: {error.name or error} is not installed", 'pip install "debloat[explore]"'
        ) from error
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("cannot explore: this is no terminal", "`debloat inspect IMAGE` tells the same as text")
    Explorer(explored(engines, options.image, options.minimal)).run()


def explored(engines: Engines, reference: str, minimal: str | None) -> Explored:
    """An image to look around in; what stays of it is what `minimal` has, else what its last run here kept."""
    with engines.opened(reference) as source:
        image, rootfs = source.image, source.rootfs()
        packages = dpkg.read(rootfs)
        found = Explored(reference, rootfs, packages, accounts(layers_of(source, engines)))
        try:
            remembered = remembered_of(image)
        except UsageError as error:
            found = replace(found, note=f"no reasons are known: {error.message}")
        else:
            if remembered.image == image.identity:
                world = world_of(image, rootfs, packages, Recipe(policy=remembered.policy), remembered.trace)
                closure = close(closing(world), all_rules(), remembered.healed)
                found = replace(found, kept=closure.evidence.keys(), closure=closure)
        if minimal is not None:
            with engines.opened(minimal) as cut:
                found = replace(found, title=f"{reference} against {minimal}", kept=frozenset(cut.rootfs()))
        return found.complete()
