"""A Dask cluster on the loopback: a scheduler and workers, each a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.snippets import ROOT

PRELOAD = ROOT / "tests" / "support" / "fleetworker.py"
WITHIN = 60.0


@dataclass
class Cluster:
    """A scheduler and the workers that were started with it."""

    directory: Path
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *words: str, env: Mapping[str, str] | None = None, log: str = "log") -> subprocess.Popen[bytes]:
        with (self.directory / log).open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                stdout=out,
                stderr=out,
                cwd=self.directory,
                env={**os.environ, "PYTHONPATH": str(ROOT), "DASK_DISTRIBUTED__COMM__RETRY__COUNT": "0", **(env or {})},
            )
        self.processes.append(process)
        return process

    def scheduler(self) -> str:
        """Start the scheduler, and wait until it says where it listens."""
        words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-jupyter")
        self.start("distributed.cli.dask_scheduler", *words, log="scheduler")
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            for line in (self.directory / "scheduler").read_text().splitlines():
                if "Scheduler at:" in line:
                    self.address = line.split("Scheduler at:")[1].strip()
                    return self.address
            time.sleep(0.05)
        raise TimeoutError((self.directory / "scheduler").read_text())

    def worker(self, *words: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker. That it has come is seen by who asks the scheduler."""
        own = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1", "--local-directory", ".")
        return self.start("distributed.cli.dask_worker", self.address, *own, *words, env=env, log="workers")

    def fake(self, engine: str, names: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker with a fake engine."""
        own = {"FLEET_ENGINE": engine, "FLEET_NAMES": names, "FLEET_DIRECTORY": str(self.directory)}
        return self.worker("--preload", str(PRELOAD), **{**own, **env})

    def wait(self, workers: int) -> None:
        """Wait until the scheduler knows so many workers, no fewer and no more."""
        from distributed import Client

        until = time.monotonic() + WITHIN
        with Client(self.address, set_as_default=False) as client:
            while len(client.nthreads()) != workers:
                if time.monotonic() > until:
                    raise TimeoutError((self.directory / "workers").read_text())
                time.sleep(0.05)

    def begun(self) -> list[str]:
        """The items that workers have begun."""
        path = self.directory / "begun"
        return [line.split(" ", 1)[1] for line in path.read_text().splitlines()] if path.exists() else []


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[Cluster]:
    """A scheduler; it and all workers are ended with the block."""
    found = Cluster(directory)
    try:
        found.scheduler()
        yield found
    finally:
        for process in reversed(found.processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in reversed(found.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
