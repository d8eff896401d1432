"""Running programs under the sensor on this machine, and reading what it wrote."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

MECHANISMS = ("notify", "ptrace")
TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    kind: str
    epoch: int
    op: str
    flags: str
    program: str
    path: bytes

    @property
    def brief(self) -> tuple[str, str, str]:
        """Operation, flags and path; a path that could not be resolved is marked."""
        text = os.fsdecode(self.path)
        return self.op, self.flags, text if self.kind == "e" else f"?{text}"


@dataclass(frozen=True, slots=True)
class State:
    mechanism: int
    handled: int
    records: int
    unread: int
    unresolved: int
    interrupted: int
    unwritten: int
    write_error: int
    pid: int
    phase: int
    status: int
    install_error: int
    forced_no_new_privs: int


@dataclass(frozen=True, slots=True)
class Recording:
    code: int
    out: str
    err: str
    header: list[str]
    events: list[Event]
    state: State

    def paths(self, op: str | None = None) -> set[str]:
        return {os.fsdecode(e.path) for e in self.events if e.kind == "e" and op in (None, e.op)}

    def about(self, tag: str) -> list[tuple[str, str, str]]:
        """The events whose path has `tag` in it."""
        return sorted(e.brief for e in self.events if tag.encode() in e.path)


def unescape(text: bytes) -> bytes:
    return re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes((int(m[1], 16),)), text)


def read_events(data: bytes) -> tuple[list[str], list[Event]]:
    lines = data.split(b"\n")
    assert lines.pop() == b"", "a record is whole"
    programs: dict[bytes, str] = {b"0": ""}
    events = []
    for line in lines[1:]:
        fields = line.split(b"\t")
        if fields[0] == b"p":
            assert len(fields) == 3
            assert fields[1] not in programs
            programs[fields[1]] = os.fsdecode(unescape(fields[2]))
            continue
        kind, epoch, op, flags, program, path = fields
        events.append(Event(kind.decode(), int(epoch), op.decode(), flags.decode(), programs[program], unescape(path)))
    return lines[0].decode().split("\t"), events


def read_state(data: bytes) -> State:
    assert len(data) == 128
    assert data[:8] == b"DBLSTATE"
    version, *rest = struct.unpack_from("<II7QIIIII", data, 8)
    assert version == 1
    return State(*rest)


def until(condition: Callable[[], object], timeout: float = TIMEOUT) -> None:
    """Wait for a condition; AssertionError when it does not come true."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.002)


@dataclass(frozen=True, slots=True)
class Sensor:
    """The sensor's binary, with a directory for the traces of one test."""

    path: Path
    traces: Path

    def argv(self, mechanism: str, *options: str) -> list[str]:
        return [str(self.path), "record", "--dir", str(self.traces), "--mechanism", mechanism, *options, "--"]

    def run(
        self,
        mechanism: str,
        *program: str | bytes,
        options: tuple[str, ...] = (),
        as_init: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Recording:
        """Run a program to its end. `as_init`: as PID 1 of a PID namespace of its own."""
        # The shell takes the supervisor, which is a sibling of the program, with it: none stays a child of the tests.
        prefix = ["/bin/sh", "-c", '"$@"; exit $?', "sh"]
        if as_init:
            prefix = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        done = subprocess.run(
            [*prefix, *self.argv(mechanism, *options), *program],
            capture_output=True,
            timeout=TIMEOUT,
            cwd=cwd,
            env=env,
            check=False,
        )
        return self.recording(done.returncode, done.stdout, done.stderr)

    def recording(self, code: int, out: bytes, err: bytes, name: str = "main") -> Recording:
        header, events = read_events((self.traces / f"{name}.events").read_bytes())
        return Recording(
            code, out.decode(errors="replace"), err.decode(errors="replace"), header, events, self.state(name)
        )

    def state(self, name: str = "main") -> State:
        return read_state((self.traces / f"{name}.state").read_bytes())
