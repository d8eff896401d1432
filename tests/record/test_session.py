"""What a session tells the sensor."""

from __future__ import annotations

from typing import cast

import pytest

from debloat.core.errors import EngineUnavailable
from debloat.core.model import ImageConfig
from debloat.core.recipe import RunOptions
from debloat.core.signals import signal_number
from debloat.engine.base import Channel, ChannelClosed, Engine, ExecResult
from debloat.engine.workspace import Workspace
from debloat.record.session import MAIN, Recorder, Session, container_spec, record_argv, started
from debloat.record.trace import parse_marks
from tests.support.engine import Behaviour, FakeEngine
from tests.support.trees import tree


class Wire:
    """A channel that keeps what it is sent, and answers by the first word; `closed` is how it goes down."""

    def __init__(self, **answers: str) -> None:
        self.sent = b""
        self._answers = {"mark": "ok 1", **{word.replace("_", "-"): answer for word, answer in answers.items()}}

    def send(self, data: bytes) -> None:
        self.sent += data

    def line(self, timeout: float = 60.0) -> str:
        answer = self._answers[self.sent.splitlines()[-1].split()[0].decode()]
        if answer == "closed":
            raise ChannelClosed("the container has ended")
        return answer


class Box:
    """An engine with one container, which ends on the signals of `mortal`, with code 3."""

    def __init__(self, *mortal: str) -> None:
        self.signals: list[str] = []
        self._mortal = mortal

    def kill(self, container: str, name: str) -> None:
        self.signals.append(name)

    def wait(self, container: str, timeout: float) -> int | None:
        return 3 if {*self._mortal, "SIGKILL"} & set(self.signals) else None


def session_of(wire: Wire, engine: Box | None = None, config: ImageConfig | None = None) -> Session:
    session = Session(cast(Engine, engine), "box", config or ImageConfig({}), RunOptions(), Recorder(b""))
    session._control = cast(Channel, wire)
    return session


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
    session_of(wire).mark(name)
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


@pytest.mark.parametrize(
    ("answers", "mortal", "signals", "code"),
    [
        ({"catches": "yes", "await_end": "closed"}, ("SIGINT",), ["SIGINT"], 3),
        ({"catches": "yes", "await_end": "gone"}, ("SIGINT",), ["SIGINT"], 3),
        ({"catches": "yes", "await_end": "ignored"}, (), ["SIGINT", "SIGKILL"], None),
        ({"catches": "yes", "await_end": "timeout"}, (), ["SIGINT", "SIGKILL"], None),
        ({"catches": "no"}, (), ["SIGKILL"], None),
    ],
    ids=["ends", "ends-below-init", "ignores-by-default", "takes-too-long", "does-not-handle"],
)
def test_stop(answers: dict[str, str], mortal: tuple[str, ...], signals: list[str], code: int | None) -> None:
    wire, box = Wire(**answers), Box(*mortal)
    assert session_of(wire, box, ImageConfig({"StopSignal": "SIGINT"})).stop() == code
    assert box.signals == signals
    assert wire.sent.splitlines()[0] == b"catches 2"


@pytest.mark.parametrize("ended", [True, False])
def test_a_command_in_a_container_that_has_ended_fails_as_a_command(ended: bool) -> None:
    class Gone(Box):
        def run(self, container: str, argv: tuple[str, ...], user: str, timeout: float) -> ExecResult:
            raise EngineUnavailable("cannot run a command in the container: it is not running")

    session = session_of(Wire(), Gone(*(["SIGTERM"] if ended else [])))
    session.engine.kill("box", "SIGTERM")
    if ended:
        assert session.execute("healthcheck", ("true",), 1.0).exit_code == -1
    else:
        with pytest.raises(EngineUnavailable):
            session.execute("healthcheck", ("true",), 1.0)


def test_only_the_main_program_is_stopped_by_the_signal_of_the_image() -> None:
    config = ImageConfig({"StopSignal": "SIGUSR2"})
    argv = record_argv(config, RunOptions(), Recorder(b""), MAIN)
    assert argv[argv.index("--stop-signal") + 1] == "12"
    assert "--stop-signal" not in record_argv(config, RunOptions(), Recorder(b""), "exec0")


@pytest.mark.parametrize(
    ("image", "run", "kept"),
    [([], {}, False), (["A=1"], {"B": "2"}, False), (["HOME=/root", "A=1"], {}, True), ([], {"HOME": "/x"}, True)],
    ids=["none", "others", "image", "run"],
)
def test_a_home_that_somebody_chose_is_kept(image: list[str], run: dict[str, str], kept: bool) -> None:
    argv = record_argv(ImageConfig({"Env": image}), RunOptions(env=run), Recorder(b""), MAIN)
    assert ("--keep-home" in argv) == kept


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("SIGTERM", 15),
        ("quit", 3),
        ("9", 9),
        ("SIGRTMIN+3", 37),
        ("RTMIN", 34),
        ("nonsense", 15),
        ("0", 15),
        ("99", 15),
    ],
)
def test_signal_number(name: str, number: int) -> None:
    assert signal_number(name) == number


@pytest.mark.parametrize("reached", [True, False])
def test_what_the_engine_dials_is_not_published(reached: bool) -> None:
    """It has a port of this machine all the same, on which clients find it."""
    engine = FakeEngine({"app": (tree({}), {"Cmd": ["app"]})}, lambda rootfs, argv: Behaviour())
    engine.reached = reached
    with (
        Workspace(engine) as workspace,
        started(workspace, engine.image("app"), "app", None, RunOptions(), Recorder(b""), ("80/tcp",)) as session,
    ):
        assert engine.created[-1].ports == (() if reached else ("80/tcp",))
        assert session.ports["80/tcp"]
