"""What canaries noted, as a lock that keeps it: any bytes are read, and what is no note is left alone."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from debloat.core.model import Want
from debloat.lock import heal
from debloat.lock.heal import Note, healed, parse
from tests.support.gates import item, lock
from tests.support.trees import tree

ROOTFS = tree(
    {
        "/usr/bin/app": "program",
        "/usr/bin/tool": "cut",
        "/usr/share/names/a/b": "cut",
        "/usr/share/names/c": "cut",
    }
)


BEGIN = b'{"format":"debloat-canary","version":1,'


def line(path: str, image: str = "sha256:1") -> bytes:
    return BEGIN + json.dumps({"image": image, "path": path})[1:].encode() + b"\n"


def note(path: str, image: str = "sha256:1") -> Note:
    return Note(path, image, "canary:log")


def test_notes_between_the_lines_of_a_log() -> None:
    log = b"".join(
        [
            b"GET / 200\n",
            line("/usr/bin/tool"),
            b"2026-01-01T00:00:00Z stderr F " + line("/usr/share/\udcff"),
            line("/usr/bin/tool"),
            BEGIN + b'"image":"sha256:1","path":\n',
            BEGIN + b'"path":"/x"}\n',
            BEGIN + b'"image":"a","path":"relative"}\n',
            BEGIN + b'"image":1,"path":"/x"}\n',
            BEGIN + b"[" * 100_000 + b"\n",
            line("/usr/bin/other").replace(b'"version":1', b'"version":2'),
            line("/nul\0"),
            line("/high-\ud800"),
            b'{"path": "/x"}\n',
        ]
    )
    assert parse(log, "log") == (note("/usr/bin/tool"), note("/usr/share/\udcff"))


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda b: BEGIN + b))
def test_any_bytes(data: bytes) -> None:
    for found in parse(data, "log"):
        assert found.path.startswith("/")


def test_what_is_added() -> None:
    """A file by itself, a directory with all below it; what the lock has or the image lacks is no seed."""
    before = lock(item("/usr/bin/app"), healed=(Want("/etc/x", "healed", "probe:start"),))
    notes = [note("/usr/bin/tool"), note("/usr/share/names"), note("/usr/bin/app"), note("/usr/bin/gone")]
    found = healed(before, notes, ROOTFS)
    below = ("/usr/share/names/a", "/usr/share/names/a/b", "/usr/share/names/c")
    assert set(found.added) == {"/usr/bin/tool", "/usr/share/names", *below}
    assert found.absent == ("/usr/bin/gone",)
    evidence = {w.path: (w.rule, w.source) for w in found.lock.healed}
    assert evidence["/etc/x"] == ("healed", "probe:start")
    assert evidence["/usr/bin/tool"] == evidence["/usr/share/names"] == (heal.RULE, "canary:log")
    assert {evidence[path] for path in below} == {(heal.RULE, "/usr/share/names")}
    assert [w.path for w in found.lock.healed] == sorted(evidence)


def test_nothing_to_add() -> None:
    before = lock(item("/usr/bin/app"))
    assert healed(before, [note("/usr/bin/app"), note("/gone")], ROOTFS).lock is before
