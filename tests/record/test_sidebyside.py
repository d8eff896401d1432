"""Scenarios side by side: in order, apart where they could disturb each other, and never longer than the run."""

from __future__ import annotations

import threading

import pytest

from debloat.core.errors import Interrupted, OriginalFails
from debloat.core.recipe import RunOptions, Scenario
from debloat.engine.base import ContainerSpec
from debloat.engine.workspace import Workspace
from debloat.record.sidebyside import needs_isolation, run_scenarios
from tests.support.engine import Behaviour, FakeEngine
from tests.support.trees import tree

LIMIT = 30.0
"""Seconds after which a thread that waits for another is given up."""


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine({"a:1": (tree({"/x": ""}), {})}, lambda rootfs, argv: Behaviour())


def scenarios(*options: RunOptions) -> list[Scenario]:
    return [Scenario(f"s{number}", options=o) for number, o in enumerate(options)]


def test_independent_scenarios_are_at_work_at_once_and_come_in_order(engine: FakeEngine) -> None:
    meeting = threading.Barrier(2)

    def work(number: int) -> int:
        meeting.wait(LIMIT)
        return number

    with Workspace(engine) as workspace:
        assert run_scenarios(workspace, scenarios(RunOptions(), RunOptions()), work, at_once=2) == [0, 1]


@pytest.mark.parametrize(
    "options", [RunOptions(volumes=("data:/data",)), RunOptions(network="host"), RunOptions(cap_add=("SYS_TIME",))]
)
def test_what_shares_something_is_at_work_alone(engine: FakeEngine, options: RunOptions) -> None:
    main, threads = threading.current_thread(), dict[int, threading.Thread]()

    def work(number: int) -> None:
        threads[number] = threading.current_thread()

    with Workspace(engine) as workspace:
        run_scenarios(workspace, scenarios(options, RunOptions(), RunOptions()), work, at_once=2)
    assert threads[0] is main
    assert main not in (threads[1], threads[2])


def test_a_client_on_this_machine_is_at_work_alone() -> None:
    assert needs_isolation(Scenario(run=("./test.sh",)))
    assert not needs_isolation(Scenario(exec=("true",), args=("serve",)))


def test_one_processor_does_one_at_a_time(engine: FakeEngine) -> None:
    with Workspace(engine) as workspace:
        found = run_scenarios(
            workspace, scenarios(RunOptions(), RunOptions()), lambda _: threading.current_thread(), at_once=1
        )
    assert set(found) == {threading.current_thread()}


def test_the_first_error_ends_the_others_and_leaves_nothing(engine: FakeEngine) -> None:
    started = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            assert started.wait(LIMIT)
            raise OriginalFails("it does not answer")
        container = workspace.create(ContainerSpec("a:1", workspace.run))
        started.set()
        gone = threading.Event()
        while container in engine.containers:
            gone.wait(0.001)
        with pytest.raises(Interrupted):
            workspace.create(ContainerSpec("a:1", workspace.run))

    with Workspace(engine) as workspace:
        with pytest.raises(OriginalFails, match="does not answer"):
            run_scenarios(workspace, scenarios(RunOptions(), RunOptions()), work, at_once=2)
        assert not engine.leftovers()
