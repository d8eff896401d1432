"""Items carried out on this machine: as many processes as it can carry."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from debloat.core.errors import DebloatError
from debloat.fleet import work
from debloat.fleet.child import WorkerDied
from debloat.fleet.executor import Follow, Sighting
from debloat.fleet.model import Finished, Outcome, Status, Task, Worker

ATTEMPTS = 3
"""How often an item is begun whose process is killed."""
_MEMORY = 1 << 30
"""Bytes that a run may take: the index of a large image, what is kept of it, the analysis of its programs."""
_LOOK = 0.25
"""Seconds after which the follower hears what is at work."""


def carried() -> int:
    """How many items this machine carries at a time: by its processors and its free memory (proc(5)), at least one."""
    free = _MEMORY
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/meminfo") as lines:
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    return max(1, min(len(os.sched_getaffinity(0)), free // _MEMORY))


class LocalExecutor:
    """Threads that each have a task performed at a time.

    `answer` answers requests here (`work.answer`), `perform` carries a task out, in a process of its own (`child`).
    `end` ends those at work.
    """

    name = "local"

    def __init__(
        self,
        jobs: int,
        answer: Callable[[Mapping[str, Any]], Mapping[str, Any]],
        perform: Callable[[Task], Finished],
        end: Callable[[], None] = lambda: None,
    ) -> None:
        self._jobs = jobs or carried()
        self._answer = answer
        self._perform = perform
        self._end = end

    def workers(self) -> tuple[Worker, ...]:
        """This machine."""
        return (replace(Worker(**self._answer({"ask": "worker"})), slots=self._jobs),)

    def names(self) -> tuple[str, ...]:
        """The names that the engine knows."""
        return tuple(self._answer({"ask": "names"})["names"])

    def look(self, references: Iterable[str], *, pull: bool) -> Iterator[Sighting]:
        """What the engine says."""
        return work.sightings(self._answer(work.looking(references, pull)))

    def run(self, tasks: Iterable[Task], follow: Follow) -> Iterator[Finished]:
        """Carry out tasks, `jobs` at a time."""
        waiting, ended = iter(tasks), queue.SimpleQueue[Finished | BaseException | None]()
        at_work: dict[int, str] = {}
        drawing = threading.Lock()
        stopped = threading.Event()

        def labour(number: int) -> None:
            try:
                while not stopped.is_set():
                    with drawing:
                        task = next(waiting, None)
                    if task is None:
                        break
                    at_work[number] = task.name
                    finished = attempted(task, self._perform)
                    at_work.pop(number)
                    ended.put(finished)
            except BaseException as error:  # what drawing a task raises concerns the run
                ended.put(error)
            ended.put(None)

        threads = [threading.Thread(target=labour, args=(n,), daemon=True) for n in range(self._jobs)]
        for thread in threads:
            thread.start()
        left = len(threads)
        try:
            while left:
                try:
                    came = ended.get(timeout=_LOOK)
                except queue.Empty:
                    names = tuple(at_work.copy().values())
                    follow({self.name: names} if names else {})
                    continue
                if came is None:
                    left -= 1
                elif isinstance(came, BaseException):
                    raise came
                else:
                    yield replace(came, outcome=replace(came.outcome, worker=self.name))
        finally:
            stopped.set()
            if left:
                self._end()
            for thread in threads:
                thread.join()

    def close(self) -> None:
        """End what is at work."""
        self._end()


def attempted(task: Task, perform: Callable[[Task], Finished], attempts: int = ATTEMPTS) -> Finished:
    """Perform a task, again where it was killed; whatever goes wrong is in its row."""
    for attempt in range(attempts):
        try:
            return perform(task)
        except WorkerDied as error:
            if attempt + 1 == attempts:
                return failed(task, f"{error}, {attempts} times", "give it more memory, or fewer items at a time")
        except DebloatError as error:
            return failed(task, error.message, error.hint, error.exit_code)
    raise AssertionError(attempts)


def failed(task: Task, error: str, hint: str = "", exit_code: int = DebloatError.exit_code) -> Finished:
    """The row of a task that nobody could carry out."""
    return Finished(
        Outcome(
            task.key,
            task.name,
            Status.FAILED,
            task.verb,
            task.target,
            task.identity,
            exit_code=exit_code,
            error=error,
            hint=hint,
        )
    )
