"""What is read of ELF files and kept for the next run comes back as it was."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from debloat.elf import audit, reading
from debloat.elf.facts import ElfFacts
from debloat.elf.object import ElfObject


@given(st.builds(ElfFacts) | st.none())
def test_facts(facts: ElfFacts | None) -> None:
    assert reading._from_json(json.loads(json.dumps(reading._to_json(facts)))) == facts


@given(st.builds(ElfObject) | st.none())
def test_what_the_audit_reads(read: ElfObject | None) -> None:
    assert audit._from_json(json.loads(json.dumps(audit._to_json(read)))) == read
