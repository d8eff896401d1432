"""Running scenarios concurrently: most of an exercise is waiting for the engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from debloat.core.recipe import Scenario
from debloat.engine.workspace import Workspace

T = TypeVar("T")

MAX_CONCURRENT = 4
"""Scenarios run at once: more would wait for each other, and might miss their readiness limits."""


def needs_isolation(scenario: Scenario) -> bool:
    """Whether a scenario may disturb others, or they it.

    Its containers share something beyond the image (volumes, a network, what a capability reaches), or a command on
    this machine is the client, of which nothing is known.
    """
    options = scenario.options
    return bool(options.volumes or options.network or options.cap_add or scenario.run or scenario.tests)


def run_scenarios(
    workspace: Workspace, scenarios: Sequence[Scenario], work: Callable[[int], T], at_once: int | None = None
) -> list[T]:
    """The results of `work(number)` for all scenarios, in their order.

    Scenarios that need isolation run first, one by one; the others run concurrently, at most `at_once`. The first error
    in order is raised. Then, and when a signal ends the run, the containers of the other scenarios are removed, so that
    these end too: no work goes on after this returns.
    """
    results: dict[int, T] = {}
    concurrent = [number for number, scenario in enumerate(scenarios) if not needs_isolation(scenario)]
    workers = min(len(concurrent), at_once or min(os.cpu_count() or 1, MAX_CONCURRENT))
    if workers < 2:
        concurrent = []
    for number in range(len(scenarios)):
        if number not in concurrent:
            results[number] = work(number)
    if concurrent:
        results |= _run_concurrently(workspace, concurrent, work, workers)
    return [results[number] for number in range(len(scenarios))]


def _run_concurrently(
    workspace: Workspace, numbers: Sequence[int], work: Callable[[int], T], workers: int
) -> dict[int, T]:
    with ThreadPoolExecutor(workers) as pool:
        futures: dict[int, Future[T]] = {number: pool.submit(work, number) for number in numbers}
        try:
            return {number: future.result() for number, future in futures.items()}
        except BaseException:
            for future in futures.values():
                future.cancel()
            workspace.end()
            raise
