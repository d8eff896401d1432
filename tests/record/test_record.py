"""What is said of a recording that cannot be trusted, or only in part."""

from __future__ import annotations

import errno

import pytest

from debloat.core.errors import SensorUnavailable
from debloat.core.model import Access, Op
from debloat.record.record import _soundness_notes
from debloat.record.session import Recorded
from debloat.record.trace import Counters

ACCESSES = frozenset({Access("/etc/passwd", Op.OPEN, "r", "start", "/bin/tool")})


def counters(**changed: int) -> Counters:
    values: dict[str, int] = {
        **{"stops": 1000, "failed_reads": 0, "failed_writes": 0, "write_error": 0, "install_error": 0},
        **changed,
    }
    forced = bool(values.pop("forced_no_new_privs", 0))
    return Counters("notify", forced_no_new_privs=forced, **values)


def test_a_sound_recording_says_nothing() -> None:
    assert _soundness_notes(Recorded(ACCESSES, (counters(),))) == []


@pytest.mark.parametrize(
    ("recorded", "says"),
    [
        (Recorded(frozenset(), (counters(),)), "no file access at all$"),
        (Recorded(), "no file access at all$"),
        (Recorded(ACCESSES, (counters(stops=0, install_error=errno.EBUSY),)), "at all: Device or resource busy"),
        (Recorded(ACCESSES, (counters(failed_writes=3, write_error=errno.ENOSPC),)), "3 accesses.*: No space left"),
        (Recorded(ACCESSES, (counters(failed_reads=4),)), "4 of 1000 paths"),
    ],
)
def test_why_it_cannot_be_trusted(recorded: Recorded, says: str) -> None:
    with pytest.raises(SensorUnavailable, match=says):
        _soundness_notes(recorded)


def test_setuid_programs_that_gained_nothing_are_told() -> None:
    (note,) = _soundness_notes(Recorded(ACCESSES, (counters(forced_no_new_privs=1),)))
    assert "setuid" in note
