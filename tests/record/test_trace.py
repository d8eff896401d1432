"""Traces as bytes: round trips, and garbage that must end in one clear error."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from debloat.core.errors import SensorUnavailable, UsageError
from debloat.core.model import Access, Op, Trace
from debloat.record import trace

PATHS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20).map("/{}".format)
ACCESSES = st.builds(
    Access,
    path=PATHS,
    op=st.sampled_from(Op),
    flags=st.sampled_from(["", "r", "wct", "l"]),
    probe=st.sampled_from(["start", "http GET /"]),
    program=PATHS,
)
TRACES = st.builds(
    Trace,
    st.frozensets(ACCESSES, max_size=8),
    st.frozensets(st.sampled_from(["sha256:1", "sha256:2"])),
    st.frozensets(st.sampled_from(["notify", "ptrace"])),
)


@given(TRACES)
def test_round_trip(one: Trace) -> None:
    assert trace.parse(trace.dump(one), "x") == one


@given(TRACES, TRACES, TRACES)
def test_a_union_is_associative_commutative_idempotent(a: Trace, b: Trace, c: Trace) -> None:
    assert (a | b) | c == a | (b | c)
    assert a | b == b | a
    assert a | a == a


def test_names_that_are_not_utf8_come_back() -> None:
    one = Trace(frozenset({Access("/\udcff\n", Op.OPEN, "r", "p", "/x")}))
    assert trace.parse(trace.dump(one), "x") == one


@given(st.binary(max_size=200))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="cannot use the trace mine"):
        trace.parse(data, "mine")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 99},
        {"format": "other"},
        {"accesses": [["relative", "open", "r", 0, 0]]},
        {"accesses": [["/x", "fly", "r", 0, 0]]},
        {"accesses": [["/x", "open", "r", 7, 0]]},
        {"accesses": [["/x", "open", "r", -1, 0]]},
        {"accesses": [["/x\0", "open", "r", 0, 0]]},
        {"accesses": [["/x", "open", "R!", 0, 0]]},
        {"accesses": 7},
        {"programs": None},
    ],
)
def test_a_damaged_file_is_refused(change: dict[str, object]) -> None:
    good = json.loads(trace.dump(Trace(frozenset({Access("/x", Op.OPEN, "r", "p", "/y")}))))
    with pytest.raises(UsageError):
        trace.parse(json.dumps({**good, **change}).encode(), "x")


EVENTS = b"debloat-events\t1\tnotify\tx86_64\tmain\n"


def test_events() -> None:
    data = (
        EVENTS
        + b"p\t3\t/bin/a\\x20b\ne\t1\topen\tr\t3\t/etc/\\xff\nu\t0\tstat\t-\t3\tfoo\ne\t2\tlist\t-\t3\t/d\ne\t1\top"
    )
    events = trace.parse_events(data, "main", {1: "http GET /"})
    assert events.accesses == {
        Access("/etc/\udcff", Op.OPEN, "r", "http GET /", "/bin/a b"),
        Access("/d", Op.LIST, "", "main", "/bin/a b"),
    }
    assert events.unresolved == ("foo",)


def test_system_calls_that_were_noted() -> None:
    events = trace.parse_events(EVENTS + b"c\tnative\t59\nc\tcompat\t11\nc\tnative\t59\n", "main", {})
    assert events.calls == {("native", 59), ("compat", 11)}
    for damaged in (b"c\tnative\n", b"c\tother\t1\n", b"c\tnative\t-1\n", b"c\tnative\t99999\n"):
        with pytest.raises(SensorUnavailable, match="line 2"):
            trace.parse_events(EVENTS + damaged, "main", {})


def test_the_header_names_the_scope() -> None:
    assert trace.scope_of(EVENTS) == "main"
    assert trace.scope_of(b"") == ""


@given(st.binary(max_size=300))
def test_event_garbage_never_escapes(data: bytes) -> None:
    for head in (b"", EVENTS):
        try:
            trace.parse_events(head + data, "main", {})
        except SensorUnavailable:
            continue


def test_a_state_file() -> None:
    """The offsets are those of docs/sensor.md."""
    state = bytearray(128)
    state[:16] = b"DBLSTATE" + struct.pack("<II", 1, 2)
    for offset, value in ((16, 900), (32, 3), (56, 4), (64, 28)):
        struct.pack_into("<Q", state, offset, value)
    for offset, value in ((84, 16), (88, 1)):
        struct.pack_into("<I", state, offset, value)
    assert trace.parse_state(bytes(state)) == trace.Counters("ptrace", 900, 3, 4, 28, 16, True)


@given(st.binary(max_size=200))
def test_state_and_marks_garbage_never_escapes(data: bytes) -> None:
    trace.parse_marks(data)
    try:
        trace.parse_state(b"DBLSTATE" + data)
    except SensorUnavailable:
        assert len(data) < 84
