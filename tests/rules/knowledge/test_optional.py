"""Notes on what families left out because nothing asks for it."""

from __future__ import annotations

import pytest

from debloat.rules.knowledge import families
from debloat.rules.knowledge.optional import left_out_notes
from tests.support import trees

SERVER, COMPILER = "/usr/lib/postgresql/17/bin/postgres", "/usr/lib/postgresql/17/lib/llvmjit.so"


@pytest.mark.parametrize(
    ("start", "table", "noted"),
    [
        (SERVER, {COMPILER: ""}, True),
        (SERVER, {COMPILER: "", "/etc/postgresql/17/main/postgresql.conf": "jit = on\n"}, False),
        (SERVER, {}, False),
        ("/usr/bin/other", {COMPILER: ""}, False),
    ],
)
def test_what_is_left_out_is_said(start: str, table: trees.Table, noted: bool) -> None:
    world = trees.world({SERVER: "", "/usr/bin/other": "", **table})
    kept = trees.closed(world, families.RULES, start).evidence
    notes = left_out_notes(world, kept)
    assert len(notes) == noted
    assert all("--keep '/usr/lib/postgresql/*/lib/llvmjit*'" in note for note in notes)


def test_nothing_is_said_of_what_the_user_keeps() -> None:
    world = trees.world({SERVER: "", COMPILER: ""})
    kept = trees.closed(world, families.RULES, SERVER).evidence
    assert left_out_notes(world, {*kept, COMPILER}) == ()
