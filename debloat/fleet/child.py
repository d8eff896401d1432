"""A worker's work in a process of its own: what goes wrong in it, memory and all, is the end of one item.

The process is this debloat again, `debloat fleet work`. It gets a request on standard input and gives the answer on
standard output; what it says on the way is the log. It ends with whoever started it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from debloat.core.errors import Interrupted, WorkersUnavailable
from debloat.fleet import work
from debloat.fleet.ledger import LOG
from debloat.fleet.model import Finished, Task

COMMAND = (sys.executable, "-m", "debloat", "fleet", "work")
VARIABLE = "DEBLOAT_ENGINE"
"""Names the engine that a process uses."""
_MOST_LOG = 1 << 20
"""Bytes of a log that are kept, the last."""
_GRACE = 20.0
"""Seconds in which a process that is ended gives back what it has, before it is killed."""


class WorkerDied(Exception):
    """The process was ended from outside; the same work may go well elsewhere."""


class Said(Struct, frozen=True):
    """What a process gave back: its answer, and what it said on the way."""

    answer: Mapping[str, Any]
    log: bytes


class Children(Struct):
    """The processes that are at work now; `end` ends them all, and lets no other begin.

    They work in the same directory, and use `engine`, if one is named.
    """

    engine: str = ""
    command: tuple[str, ...] = COMMAND
    _at_work: set[subprocess.Popen[bytes]] = set()
    _ended: bool = False
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, request: Mapping[str, Any]) -> Said:
        """Have a request answered. WorkerDied where the process was killed, WorkersUnavailable where it failed."""
        with tempfile.TemporaryFile() as log:
            with self._guard:
                if self._ended:
                    raise WorkerDied("the run has ended")
                child = subprocess.Popen(
                    self.command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=os.environ | ({VARIABLE: self.engine} if self.engine else {}),
                )
                self._at_work.add(child)
            try:
                out, _ = child.communicate(work.as_text({**request, "parent": os.getpid()}).encode())
            finally:
                if child.poll() is None:
                    _end([child])
                with self._guard:
                    self._at_work.discard(child)
            log.seek(max(0, log.tell() - _MOST_LOG))
            said = log.read()
        if child.returncode == Interrupted.exit_code:
            raise WorkerDied("its process was interrupted")
        if child.returncode < 0:
            raise WorkerDied(f"its process was ended by {signal.Signals(-child.returncode).name}")
        if child.returncode == 0:
            try:
                return Said(json.loads(out), said)
            except ValueError as error:
                raise WorkersUnavailable(
                    f"cannot read what a worker's process answers: {error}", "run the fleet again; what is done is kept"
                ) from error
        raise WorkersUnavailable(*_complaint(said, child.returncode))

    def perform(self, task: Task, platform: str = "") -> Finished:
        """Carry out a task; its log is among the files."""
        said = self.ask({**work.request_of(task), "platform": platform})
        finished = work.unpacked(said.answer)
        return replace(finished, files={**finished.files, LOG: said.log})

    def end(self) -> None:
        """End all, and wait for them: what they have is given back."""
        with self._guard:
            self._ended = True
            at_work = list(self._at_work)
        _end(at_work)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _complaint(log: bytes, code: int) -> tuple[str, str]:
    """The error and the hint at the end of a log."""
    lines = log.decode("utf-8", "replace").strip().splitlines() or [f"exit code {code}"]
    hint = lines[-1].strip().removeprefix("hint: ") if lines[-1].startswith("  hint: ") else ""
    message = lines[-2] if hint and len(lines) > 1 else lines[-1]
    return message.removeprefix("debloat: "), hint
