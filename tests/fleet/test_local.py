"""Work on this machine: processes of their own, their ends, and how tasks are handed out."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from debloat.cli.main import main
from debloat.core.errors import WorkersUnavailable
from debloat.fleet.child import Children, WorkerDied
from debloat.fleet.local import ATTEMPTS, LocalExecutor
from debloat.fleet.model import Finished, Item, Outcome, Status, Task
from debloat.fleet.run import task_of
from tests.support.fleets import items, shops
from tests.support.snippets import ROOT

WITHIN = 30.0


def program(text: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text, *words)


def waited(path: Path) -> str:
    until = time.monotonic() + WITHIN
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < until
        time.sleep(0.01)
    return path.read_text()


def tasks(number: int) -> list[Task]:
    return [task_of(item, {}) for item in items(number)]


def done(task: Task) -> Finished:
    return Finished(Outcome(task.key, task.name, Status.DONE, task.verb))


def executor(jobs: int, perform: Any, end: Any = lambda: None) -> LocalExecutor:
    return LocalExecutor(jobs, lambda request: {}, perform, end)


# ------------------------------------------------------------------------------------------ processes


def test_a_process_answers_and_its_log_is_kept() -> None:
    text = "import json, os, sys; r = json.load(sys.stdin); sys.stderr.write('x' * (1 << 20) + 'end'); "
    text += "print(json.dumps({'said': r['ask'], 'at': os.getcwd(), 'engine': os.environ['DEBLOAT_ENGINE']}))"
    said = Children("embedded", program(text)).ask({"ask": "names"})
    assert said.answer == {"said": "names", "at": os.getcwd(), "engine": "embedded"}
    assert len(said.log) == 1 << 20
    assert said.log.endswith(b"xend")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "import sys; sys.stderr.write('  stage\\ndebloat: no engine\\n  hint: start it\\n'); sys.exit(3)",
            "no engine",
            "start it",
        ),
        ("import sys; sys.stderr.write('debloat: no engine\\n'); sys.exit(3)", "no engine", ""),
        ("import sys; sys.exit(3)", "exit code 3", ""),
        ("print('{')", "cannot read what a worker's process answers: ", "run the fleet again; what is done is kept"),
    ],
)
def test_a_process_that_fails(text: str, message: str, hint: str) -> None:
    with pytest.raises(WorkersUnavailable) as caught:
        Children(command=program(text)).ask({"ask": "names"})
    assert caught.value.message.startswith(message)
    assert caught.value.hint == hint


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), 9)", "sys.exit(130)"])
def test_a_process_that_is_ended_from_outside(how: str) -> None:
    with pytest.raises(WorkerDied):
        Children(command=program(f"import os, sys; {how}")).ask({"ask": "names"})


SAYS_WHEN_ENDED = """
import os, signal, sys, time
from debloat.core.signals import end_with_parent

def ended(number, frame):
    open(sys.argv[1] + ".ended", "w").write("x\\n")
    sys.exit(130)

signal.signal(signal.SIGTERM, ended)
assert end_with_parent(os.getppid())
open(sys.argv[1], "w").write("x\\n")
time.sleep(60)
"""


def test_ending_ends_all_and_lets_none_begin(tmp_path: Path) -> None:
    children = Children(command=program(SAYS_WHEN_ENDED, str(tmp_path / "begun")))
    ended: list[BaseException] = []

    def ask() -> None:
        try:
            children.ask({"ask": "names"})
        except WorkerDied as error:
            ended.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    waited(tmp_path / "begun")
    children.end()
    thread.join(WITHIN)
    assert len(ended) == 1
    assert waited(tmp_path / "begun.ended")
    with pytest.raises(WorkerDied):
        children.ask({"ask": "names"})


def test_a_process_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """Also where that was killed: SIGTERM comes from the kernel, and what the process has is given back."""
    outer = "import sys; from debloat.fleet.child import Children; "
    outer += "Children(command=tuple(sys.argv[1:])).ask({'ask': 'names'})"
    argv = program(outer, *program(SAYS_WHEN_ENDED, str(tmp_path / "begun")))
    process = subprocess.Popen(argv, cwd=ROOT)
    waited(tmp_path / "begun")
    process.send_signal(signal.SIGKILL)
    process.wait(WITHIN)
    assert waited(tmp_path / "begun.ended")


def test_a_process_whose_parent_has_ended_already() -> None:
    request = json.dumps({"ask": "worker", "parent": os.getpid() + 1})
    argv = [sys.executable, "-m", "debloat", "fleet", "work"]
    done = subprocess.run(argv, input=request, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (130, "")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"ask": 3}', '{"ask": "nothing"}', '{"ask": "look", "version": "0"}'])
def test_a_request_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["fleet", "work"], shops) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("debloat: cannot ")


# ------------------------------------------------------------------------------------------ handing out


def test_each_task_once_and_no_more_in_memory_than_are_at_work() -> None:
    drawn, given = 0, 0

    def counted() -> Iterator[Task]:
        nonlocal drawn
        for task in tasks(50):
            drawn += 1
            assert drawn - given <= 3 + 3  # at work, and ended but not taken yet
            yield task

    release = threading.Semaphore(3)

    def perform(task: Task) -> Finished:
        assert release.acquire(timeout=WITHIN)
        return done(task)

    names = []
    for finished in executor(3, perform).run(counted(), lambda at_work: None):
        names.append(finished.outcome.name)
        given += 1
        release.release()
    assert sorted(names) == [item.name for item in items(50)]


def test_a_task_whose_process_is_killed_is_begun_again() -> None:
    begun: list[str] = []

    def perform(task: Task) -> Finished:
        begun.append(task.name)
        if task.name == "shop/web:1" or (task.name == "shop/web:0" and begun.count(task.name) < ATTEMPTS):
            raise WorkerDied("its process was ended by SIGKILL")
        return done(task)

    found = {f.outcome.name: f.outcome for f in executor(1, perform).run(tasks(3), lambda at_work: None)}
    assert begun == ["shop/web:0"] * ATTEMPTS + ["shop/web:1"] * ATTEMPTS + ["shop/web:2"]
    assert [o.status for o in found.values()] == [Status.DONE, Status.FAILED, Status.DONE]
    assert found["shop/web:1"].error == f"its process was ended by SIGKILL, {ATTEMPTS} times"
    assert found["shop/web:1"].exit_code == 70


def test_what_drawing_a_task_raises_ends_the_run() -> None:
    def drawn() -> Iterator[Task]:
        yield tasks(1)[0]
        raise WorkersUnavailable("the lock went")

    ended: list[int] = []
    run = executor(2, done, lambda: ended.append(1)).run(drawn(), lambda at_work: None)
    with pytest.raises(WorkersUnavailable, match="the lock went"):
        list(run)
    assert ended == [1]


def test_the_follower_hears_what_is_at_work() -> None:
    heard: list[dict[str, tuple[str, ...]]] = []
    told = threading.Event()

    def perform(task: Task) -> Finished:
        assert told.wait(WITHIN)
        return done(task)

    def follow(at_work: Any) -> None:
        heard.append(dict(at_work))
        told.set()

    assert len(list(executor(2, perform).run(tasks(2), follow))) == 2
    assert sorted(heard[0]["local"]) == ["shop/web:0", "shop/web:1"]


def test_keys_tell_what_makes_a_difference() -> None:
    (item,) = items(1)
    changes: list[dict[str, Any]] = [
        {name: f"other {name}"} for name in ("identity", "recipe", "lock_digest", "level", "version", "target")
    ]
    keys = {item.key, *(replace(item, **change).key for change in changes)}
    assert len(keys) == len(changes) + 1
    assert replace(item, lock="elsewhere.lock", recipes=("{}",)).key == item.key
    assert isinstance(item, Item)
