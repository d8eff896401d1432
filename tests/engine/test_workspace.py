"""What a run owns: given back on every way out, and signals wait while something is being made."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from debloat.core.errors import Interrupted
from debloat.engine.base import ContainerSpec
from debloat.engine.workspace import Workspace
from tests.support.engine import Behaviour, FakeEngine
from tests.support.trees import tree


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine({"a:1": (tree({"/x": ""}), {})}, lambda rootfs, argv: Behaviour())


def test_containers_go_with_the_run(engine: FakeEngine) -> None:
    with Workspace(engine) as workspace:
        workspace.create(ContainerSpec("a:1", workspace.run))
        assert engine.leftovers()
    assert not engine.leftovers()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_and_leaves_nothing(engine: FakeEngine, number: signal.Signals) -> None:
    def run() -> None:
        with Workspace(engine) as workspace:
            workspace.create(ContainerSpec("a:1", workspace.run))
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match=number.name):
        run()
    assert not engine.leftovers()


def test_a_signal_waits_for_the_end_of_a_shielded_block(engine: FakeEngine) -> None:
    reached = []

    def run() -> None:
        with Workspace(engine) as workspace, workspace.shielded():
            os.kill(os.getpid(), signal.SIGTERM)
            reached.append("end")

    with pytest.raises(Interrupted):
        run()
    assert reached == ["end"]


def test_a_signal_that_is_ignored_stays_so(engine: FakeEngine) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Workspace(engine):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_are_put_back(engine: FakeEngine) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Workspace(engine):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_threads_that_ask_at_once_get_one_directory(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one would stay behind."""
    made, make = list[str](), tempfile.mkdtemp

    def slowly(*args: object, **named: object) -> str:
        made.append(make(*args, **named))  # type: ignore[call-overload]
        time.sleep(0.01)
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", slowly)
    together = threading.Barrier(4)
    with Workspace(engine) as workspace, ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: (together.wait(10), workspace.directory)[1], range(4)))
    assert [str(path) for path in found] == made
    assert not os.path.exists(made[0])


def test_a_thread_that_is_late_leaves_nothing(engine: FakeEngine) -> None:
    """It neither waits for a container that is not started any more, nor makes anything that nobody removes."""
    workspace = Workspace(engine)

    def interrupted() -> None:
        with workspace:
            workspace.recording().__enter__()
            raise Interrupted("interrupted by SIGINT")

    with pytest.raises(Interrupted):
        interrupted()
    workspace.give_way()
    with pytest.raises(Interrupted):
        workspace.fresh("contents")


def test_a_signal_waits_for_the_end_of_a_step_of_the_import_system(engine: FakeEngine) -> None:
    """It would keep its lock, and every thread that imports something would wait for ever."""
    step = "os.kill(os.getpid(), number)\nfor _ in range(1000):\n    pass\ndone.append(True)"
    code, done = compile(step, "<frozen importlib._bootstrap>", "exec"), list[bool]()

    def interrupted() -> None:
        with Workspace(engine):
            exec(code, {"os": os, "number": signal.SIGINT, "done": done})
            time.sleep(30)

    with pytest.raises(Interrupted):
        interrupted()
    assert done
