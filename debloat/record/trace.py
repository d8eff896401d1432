"""Traces as bytes: what the sensor writes, and the file that `--save-trace` makes and `--trace` reads.

The parsers are pure (bytes in, values out) and validate everything: the sensor's files come out of a container in
which an untrusted program ran as root.
"""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Mapping

from msgspec import Struct

from debloat.core.errors import SensorUnavailable, UsageError
from debloat.core.model import Access, Op, Trace

FORMAT = "debloat-trace"
VERSION = 1
"""Version 1: `images`, `mechanisms`, `programs`, `probes`, `accesses` as [path, op, flags, probe, program]."""

_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")
_DAMAGED = "run `debloat doctor`, and report it with its output"

_OPS = {op.value: op for op in Op}
_FLAGS = re.compile(r"[a-z]*|-")
_ABIS = {b"native": "native", b"compat": "compat"}
_NUMBER = re.compile(rb"[0-9]{1,4}")


class Events(Struct, frozen=True):
    """A parsed event file: the mechanism, the accesses, and relative names whose directory is not known, sorted.

    `calls` are the system calls that were noted: ABI (`native`, `compat`) and number.
    """

    mechanism: str
    accesses: frozenset[Access]
    unresolved: tuple[str, ...]
    calls: frozenset[tuple[str, int]] = frozenset()


class Counters(Struct, frozen=True):
    """The counters in a recording's state file (docs/sensor.md); errors are numbers of errno(3), 0 for none.

    `stops` are system calls that were seen; `failed_reads` paths of theirs that could not be read, `failed_writes`
    records that could not be written, `write_error` why the first could not. `install_error` says why there is no
    listener. `forced_no_new_privs`: the program had to run under no_new_privs, because SYS_ADMIN was missing.
    """

    mechanism: str
    stops: int
    failed_reads: int
    failed_writes: int
    write_error: int
    install_error: int
    forced_no_new_privs: bool


def unescape(text: bytes) -> str:
    """The path that an escaped string of an event file stands for."""
    return os.fsdecode(_ESCAPE.sub(lambda m: bytes((int(m[1], 16),)), text))


def parse_events(data: bytes, scope: str, marks: Mapping[int, str]) -> Events:
    """Parse an event file. `marks` maps epochs to probes; accesses of any other epoch belong to the probe `scope`.

    A last line without its end is ignored: the machine went down. SensorUnavailable for anything else that is not as
    docs/sensor.md says.
    """
    lines = data.split(b"\n")[:-1]
    head = lines[0].split(b"\t") if lines else []
    if len(head) < 3 or head[0] != b"debloat-events" or head[1] != b"1":
        raise SensorUnavailable("the sensor left no trace that can be read", "run `debloat doctor`")
    programs: dict[bytes, str] = {}
    accesses: set[Access] = set()
    unresolved: list[str] = []
    calls: set[tuple[str, int]] = set()
    for number, line in enumerate(lines[1:], 2):
        fields = line.split(b"\t")
        if fields[0] == b"p" and len(fields) == 3:
            programs[fields[1]] = unescape(fields[2])
            continue
        if fields[0] == b"c" and len(fields) == 3 and fields[1] in _ABIS and _NUMBER.fullmatch(fields[2]):
            calls.add((_ABIS[fields[1]], int(fields[2])))
            continue
        if fields[0] not in (b"e", b"u") or len(fields) != 6 or not fields[1].isdigit():
            raise SensorUnavailable(f"line {number} of the sensor's trace is damaged: {line[:80]!r}", _DAMAGED)
        op, flags = _OPS.get(fields[2].decode("ascii", "replace")), fields[3].decode("ascii", "replace")
        if op is None or not _FLAGS.fullmatch(flags):
            raise SensorUnavailable(f"line {number} of the sensor's trace is damaged: {line[:80]!r}", _DAMAGED)
        path = unescape(fields[5])
        if fields[0] == b"u" or not path.startswith("/"):
            unresolved.append(path)
            continue
        probe = marks.get(int(fields[1]), scope)
        accesses.add(Access(path, op, flags.strip("-"), probe, programs.get(fields[4], "")))
    names = tuple(sorted(set(unresolved)))
    return Events(head[2].decode("ascii", "replace"), frozenset(accesses), names, frozenset(calls))


def scope_of(data: bytes) -> str:
    """The name that an event file's recording was given (`--scope`); empty where there is no header."""
    fields = data.partition(b"\n")[0].split(b"\t")
    return unescape(fields[4]) if len(fields) > 4 else ""


def parse_marks(data: bytes) -> dict[int, str]:
    """Parse a marks file: lines of an epoch's number and the name of the probe that began with it."""
    marks = {}
    for line in data.split(b"\n"):
        epoch, tab, name = line.partition(b"\t")
        if tab and epoch.isdigit():
            marks[int(epoch)] = unescape(name)
    return marks


def parse_state(data: bytes) -> Counters:
    """Parse a state file; SensorUnavailable where it is damaged."""
    if len(data) < 92 or data[:8] != b"DBLSTATE":
        raise SensorUnavailable("the sensor left no counters that can be read", "run `debloat doctor`")
    _, mechanism, stops, _, reads, _, _, writes, write_error = struct.unpack_from("<II7Q", data, 8)
    install_error, forced_no_new_privs = struct.unpack_from("<II", data, 84)
    name = {1: "notify", 2: "ptrace"}.get(mechanism, "none")
    return Counters(name, stops, reads, writes, write_error, install_error, bool(forced_no_new_privs))


def dump(trace: Trace) -> bytes:
    """A trace as a file: JSON, sorted, names that are not UTF-8 as lone surrogates; the same trace, the same bytes."""
    programs = sorted({a.program for a in trace.accesses})
    probes = sorted({a.probe for a in trace.accesses})
    program, probe = ({name: i for i, name in enumerate(names)} for names in (programs, probes))
    head = {
        "format": FORMAT,
        "version": VERSION,
        "images": sorted(trace.images),
        "mechanisms": sorted(trace.mechanisms),
        "programs": programs,
        "probes": probes,
    }
    rows = ",\n".join(
        json.dumps([a.path, a.op.value, a.flags, probe[a.probe], program[a.program]]) for a in sorted(trace.accesses)
    )
    return (json.dumps(head, indent=1)[:-2] + ',\n "accesses": [\n' + rows + "\n]}\n").encode()


def parse(data: bytes, name: str) -> Trace:
    """Read what `dump` wrote; UsageError naming `name` where it is anything else."""
    try:
        raw = json.loads(data)
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise ValueError("it is not a debloat trace")
        if raw.get("version") != VERSION:
            raise ValueError(f"it has version {raw.get('version')!r}, this debloat reads version {VERSION}")
        programs, probes = [_text(p) for p in raw["programs"]], [_text(p) for p in raw["probes"]]
        accesses = frozenset(
            Access(_path(path), Op(op), _flags(flags), probes[_index(probe)], programs[_index(program)])
            for path, op, flags, probe, program in raw["accesses"]
        )
        return Trace(accesses, frozenset(map(_text, raw["images"])), frozenset(map(_text, raw["mechanisms"])))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        missing = f"it has no {error}" if isinstance(error, KeyError) else ""
        raise UsageError(
            f"cannot use the trace {name}: {missing or error or type(error).__name__}",
            "record it again with `debloat record IMAGE --save-trace FILE`",
        ) from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a string")
    return value


def _index(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not an index")
    return value


def _path(value: object) -> str:
    path = _text(value)
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"{path!r} is not an absolute path")
    os.fsencode(path)
    return path


def _flags(value: object) -> str:
    flags = _text(value)
    if not _FLAGS.fullmatch(flags):
        raise ValueError(f"{flags!r} are not flags")
    return flags
