"""What a recording leaves that debloat did not start itself: the sensor's event file, or the answer of its `serve`."""

from __future__ import annotations

import struct

from debloat.core.errors import SensorUnavailable
from debloat.record.imports.run import Run
from debloat.record.trace import parse_events, parse_state

_HEAD = struct.Struct("<BQ")
_MAGIC = b"debloat-events\t"


def looks_like(head: bytes) -> bool:
    """Whether a file begins as an event file, bare or as `serve` answers `read` with it."""
    return head.startswith(_MAGIC) or (head[:1] == b"\0" and head[_HEAD.size :].startswith(_MAGIC))


def parse(data: bytes, name: str) -> tuple[Run, str]:
    """The run, and the mechanism by which it was recorded. ValueError where it is damaged or lost accesses."""
    parts = [data] if data.startswith(_MAGIC) else _frames(data)
    context = f"sensor {name}"
    try:
        events = parse_events(parts[0], context, {})
        counters = parse_state(parts[1]) if len(parts) > 1 and parts[1] else None
    except SensorUnavailable as error:
        raise ValueError(error.message) from error
    if counters is not None and counters.failed_writes:
        raise ValueError(f"{counters.failed_writes} accesses could not be written down where it was recorded")
    return Run(context, (), events.accesses, unresolved=len(events.unresolved)), events.mechanism


def _frames(data: bytes) -> list[bytes]:
    """The files in an answer of `serve` (docs/sensor.md); an empty one for each that could not be read."""
    parts, at = list[bytes](), 0
    while at + _HEAD.size <= len(data):
        status, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        if size > len(data) - at:
            raise ValueError("it is cut off")
        parts.append(data[at : at + size] if status == 0 else b"")
        at += size
    return parts
