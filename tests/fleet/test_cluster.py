"""A fleet on a Dask cluster: a scheduler and workers as processes of their own, with fake engines."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from debloat.cli.main import main
from debloat.fleet import cluster as clusters
from tests.support.cli import CommandLine
from tests.support.dask import Cluster, cluster
from tests.support.fleets import shops, write

pytest.importorskip("distributed")

NAMES = tuple(f"shop/web:{n}" for n in range(8))
ALL = " ".join(NAMES)
FLEET = '[[entry]]\nimage = "shop/*"\nlock = "{tag}.lock"\n'


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    with cluster(tmp_path / "cluster") as found:
        yield found


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def debloat(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """A command line whose own engine nobody may ask."""
    return CommandLine(capsys, shops())


def rows(report: Any) -> dict[str, str]:
    return {item["name"]: item["status"] for item in report["items"]}


def waited(condition: Callable[[], object], within: float = 60.0) -> None:
    until = time.monotonic() + within
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_two_engines_and_a_worker_that_is_killed(
    dask: Cluster, debloat: CommandLine, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here, FLEET)
    victim = dask.fake("one", ALL)
    dask.wait(1)
    slow = NAMES[2]
    (dask.directory / "slow").write_text(slow)
    ended: list[int] = []
    argv = ["fleet", "run", "--scheduler", dask.address, "--json", "report.json", "-q"]
    run = threading.Thread(target=lambda: ended.append(main(argv, lambda: debloat.engine)))
    run.start()
    waited(lambda: slow in dask.begun())
    dask.fake("two", ALL)
    dask.wait(2)
    victim.send_signal(signal.SIGKILL)
    waited(lambda: dask.begun().count(slow) == 2)  # another has it now
    (dask.directory / "go").touch()
    run.join(120)
    assert ended == [0]
    report = json.loads((here / "report.json").read_text())
    assert rows(report) == dict.fromkeys(NAMES, "done")
    assert {item["engine"] for item in report["items"]} == {"one", "two"}
    assert report["executor"] == "dask"
    assert debloat.connected == 0

    alone = shops(*NAMES)
    for item in report["items"]:
        assert main([item["name"], "-q"], lambda: alone) == 0
        assert alone.image(item["target"]).identity == item["digest"]
        assert (here / ".debloat-fleet" / item["log"]).read_bytes() == b"a worker's log\n"
    capsys.readouterr()

    # What lay on the engine that went is made again, and nothing else.
    lost = {item["name"] for item in report["items"] if item["engine"] == "one"}
    (dask.directory / "begun").unlink()
    again = debloat("fleet", "run", "--scheduler", dask.address, "--json", "-")
    assert {name for name, status in rows(again.json).items() if status == "done"} == lost == set(dask.begun())
    (dask.directory / "begun").unlink()
    assert rows(debloat("fleet", "run", "--scheduler", dask.address, "--json", "-").json) == dict.fromkeys(
        NAMES, "unchanged"
    )
    assert dask.begun() == []


def test_what_is_wrong_with_workers_is_said_before_anything_begins(
    dask: Cluster, debloat: CommandLine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here, FLEET)
    monkeypatch.setattr(clusters, "WORKERS_WITHIN", 0.2)
    done = debloat("fleet", "run", "--scheduler", dask.address)
    assert done.code == 3
    assert done.complaint.startswith(f"debloat: the scheduler {dask.address} has no worker\n  hint: start some: ")

    monkeypatch.setattr(clusters, "WORKERS_WITHIN", 30.0)
    old = dask.fake("one", ALL, FLEET_VERSION="0.0.9")
    dask.wait(1)
    done = debloat("fleet", "run", "--scheduler", dask.address)
    assert done.code == 3
    assert "it has debloat 0.0.9, and this is debloat " in done.complaint
    old.terminate()
    old.wait(20)

    dask.fake("one", "shop/web:1 shop/web:2")
    dask.fake("two", "shop/api:1")
    dask.wait(2)
    write(here, '[[entry]]\nimage = "shop/nowhere:1"\n')
    done = debloat("fleet", "run", "--scheduler", dask.address)
    assert (done.code, done.complaint) == (2, "debloat: cannot find the image shop/nowhere:1\n")
    write(here, FLEET)
    done = debloat("fleet", "run", "--scheduler", dask.address, "--engine", "docker")
    assert done.code == 2
    assert "cannot choose an engine or a number of jobs for a cluster" in done.complaint
    assert dask.begun() == []


def test_no_scheduler_answers(debloat: CommandLine, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "ANSWERS_WITHIN", 0.5)
    write(here, FLEET)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        for where in (address, "127.0.0.1:1"):
            done = debloat("fleet", "run", "--scheduler", where)
            assert done.code == 3
            said = f"cannot reach the scheduler {where}: nothing answers within 0.5 seconds"
            assert done.complaint.startswith(f"debloat: {said}\n  hint: see that `dask")


def test_a_cluster_that_goes_in_the_middle(
    dask: Cluster, debloat: CommandLine, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "WORKERS_WITHIN", 0.5)
    write(here, FLEET)
    (dask.directory / "slow").write_text(NAMES[2])
    for gone, said in (("worker", "no worker is left"), ("scheduler", f"the scheduler {dask.address} has gone")):
        worker = dask.fake(gone, ALL)
        dask.wait(1)
        victim = worker if gone == "worker" else dask.processes[0]
        begun = dask.begun().count(NAMES[2])

        def kill(victim: Any = victim, begun: int = begun) -> None:
            waited(lambda: dask.begun().count(NAMES[2]) > begun and len(list(here.glob("*/items/*/item.json"))) == 2)
            os.kill(victim.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        done = debloat("fleet", "run", "--scheduler", dask.address, "-q")
        killer.join(60)
        assert done.code == 3
        assert done.complaint.startswith(f"debloat: {said}\n")
        status = rows(debloat("fleet", "status", "--json", "-").json)
        assert status[NAMES[0]] == status[NAMES[1]] == "done"
        assert status[NAMES[2]] == "pending"
