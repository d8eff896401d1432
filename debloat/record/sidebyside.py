"""Scenarios side by side: most of an exercise is waiting for the engine, and two can wait at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from debloat.core.recipe import Scenario
from debloat.engine.workspace import Workspace

T = TypeVar("T")

MOST = 4
"""Containers at work at once: more of them wait for each other, and may miss what they are to be ready by."""


def needs_isolation(scenario: Scenario) -> bool:
    """Whether a scenario may disturb others, or they it.

    Its containers share something beyond the image (volumes, a network, what a capability reaches), or a command on
    this machine is the client, of which nothing is known.
    """
    options = scenario.options
    return bool(options.volumes or options.network or options.cap_add or scenario.run)


def run_scenarios(
    workspace: Workspace, scenarios: Sequence[Scenario], work: Callable[[int], T], at_once: int | None = None
) -> list[T]:
    """`work(number)` of each scenario, in their order; those that need not be alone side by side, the others first.

    The first error in that order is raised. Then, and when a signal ends the run, the containers of what is still at
    work are removed, so that it ends too: nothing goes on after this returns.
    """
    found: dict[int, T] = {}
    together = [number for number, scenario in enumerate(scenarios) if not needs_isolation(scenario)]
    workers = min(len(together), at_once or min(os.cpu_count() or 1, MOST))
    if workers < 2:
        together = []
    for number in range(len(scenarios)):
        if number not in together:
            found[number] = work(number)
    if together:
        found |= _together(workspace, together, work, workers)
    return [found[number] for number in range(len(scenarios))]


def _together(workspace: Workspace, numbers: Sequence[int], work: Callable[[int], T], workers: int) -> dict[int, T]:
    with ThreadPoolExecutor(workers) as pool:
        futures: dict[int, Future[T]] = {number: pool.submit(work, number) for number in numbers}
        try:
            return {number: future.result() for number, future in futures.items()}
        except BaseException:
            for future in futures.values():
                future.cancel()
            workspace.end()
            raise
