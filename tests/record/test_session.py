"""What a session tells the sensor."""

from __future__ import annotations

from typing import cast

import pytest

from debloat.core.model import ImageConfig
from debloat.core.recipe import RunOptions
from debloat.engine.base import Channel, Engine
from debloat.record.session import Recorder, Session, container_spec, record_argv
from debloat.record.trace import parse_marks


class Wire:
    """A channel that keeps what it is sent, and agrees."""

    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: bytes) -> None:
        self.sent += data

    def line(self, timeout: float = 60.0) -> str:
        return "ok 1"


@pytest.mark.parametrize(
    "name",
    [
        "http GET /",
        "exec sh -c 'a\\nb'",
        "exec a\nb\tc",
        "http GET /\u00fcn\u00ef/\u2603",
        "exec \udcff\udc80",
        "\\x41",
    ],
)
def test_a_mark_is_read_as_it_was_given(name: str) -> None:
    wire = Wire()
    session = Session(cast(Engine, None), "box", ImageConfig({}), RunOptions(), Recorder(b""))
    session._control = cast(Channel, wire)
    session.mark(name)
    assert wire.sent.startswith(b"mark ")
    assert wire.sent.count(b"\n") == 1
    assert parse_marks(b"1\t" + wire.sent.removeprefix(b"mark ")) == {1: name}


@pytest.mark.parametrize("asked", [True, False])
def test_no_new_privs_is_for_the_recorded_program_too(asked: bool) -> None:
    """The container has it as in production, recorded or not, and the sensor sets it for what it starts."""
    options = RunOptions(no_new_privs=asked)
    for mechanism in ("auto", ""):
        recorder = Recorder(b"", mechanism)
        spec = container_spec("app", ImageConfig({"Cmd": ["app"]}), None, options, recorder, (), "run")
        assert spec.no_new_privs is asked
        assert ("--no-new-privs" in spec.entrypoint) is (asked and recorder.recording)
    argv = record_argv(ImageConfig({}), options, Recorder(b""), "exec0")
    assert ("--no-new-privs" in argv) is asked
