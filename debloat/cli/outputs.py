"""Where a result goes: to the engine under a name, and to a place that `--output` names, or to that place alone."""

from __future__ import annotations

from dataclasses import dataclass

from debloat.core.errors import UsageError
from debloat.store.location import Location, image_location, output_location
from debloat.store.write import must_take


@dataclass(frozen=True, slots=True)
class Destination:
    """`name` is the result's, empty for the usual one, `output` where else it goes, `tag` if the engine gets it."""

    name: str
    output: Location | None
    tag: bool

    @property
    def elsewhere(self) -> str:
        """Where the result goes if the engine does not get it; empty where it does."""
        return "" if self.tag or self.output is None else str(self.output)


def destination(image: str, tag: str, output: str | None) -> Destination:
    """Where the result of an image goes.

    The engine gets the result of an image of its own, and of another where it is named by `-t` or nothing else is.
    UsageError for a place that takes nothing.
    """
    to = output_location(output) if output else None
    if to is not None:
        must_take(to)
    if to is not None and to.on_engine:
        if tag and tag != to.name:
            raise UsageError(f"the result cannot be called both {tag} and {to.name}", "leave out -t or --output")
        return Destination(to.name, None, True)
    on_engine = image_location(image).on_engine
    return Destination(tag, to, on_engine or bool(tag) or to is None)
