"""What families left out because nothing asks for it, for the report: it works without, and somebody may want it."""

from __future__ import annotations

from collections.abc import Collection

from debloat.closure import World


def left_out_notes(world: World, kept: Collection[str]) -> tuple[str, ...]:
    """The notes of families of which a trigger is kept and, although the image has members, none of these."""
    # With them come the parsers, which a run that reports has, and one that begins loads while it waits.
    from debloat.rules.knowledge.families import all_families, members_of

    notes = []
    for family in all_families():
        if family.note:
            triggered, members = members_of(world, family, kept)
            if triggered and members and not any(path in kept for path in members):
                notes.append(family.note)
    return tuple(notes)
