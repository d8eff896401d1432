"""A worker of a cluster whose engine is the fake one: `dask worker --preload tests/support/fleetworker.py`.

`FLEET_NAMES` are its images. `FLEET_DIRECTORY` is where it says what it has begun, a line each in `begun`, and where
an item whose name is in `slow` waits until `go` is there. `FLEET_VERSION` is a version of debloat that it pretends to
be, `FLEET_ENGINE` what its engine is called.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import debloat
from debloat import sensor
from debloat.fleet import work
from debloat.fleet.child import Children, Said
from tests.support.fleets import means, shops

WITHIN = 60.0


def dask_setup(worker: Any) -> None:
    """What Dask calls once the worker is there."""
    if version := os.environ.get("FLEET_VERSION"):
        debloat.__version__ = version
    engine, directory = shops(*os.environ["FLEET_NAMES"].split()), Path(os.environ["FLEET_DIRECTORY"])
    sensor.binary = lambda arch: b"sensor"
    work.engine_name = lambda engine: os.environ["FLEET_ENGINE"]

    def ask(self: Children, request: Mapping[str, Any]) -> Said:
        if request["ask"] == "item":
            _begin(directory, request["task"]["name"])
        return Said(work.answer(request, means(engine)), b"a worker's log\n")

    Children.ask = ask  # type: ignore[method-assign]


def _begin(directory: Path, name: str) -> None:
    with (directory / "begun").open("a") as out:
        out.write(f"{os.getpid()} {name}\n")
    slow = directory / "slow"
    until = time.monotonic() + WITHIN
    while slow.exists() and name in slow.read_text().split() and not (directory / "go").exists():
        if time.monotonic() > until:
            raise TimeoutError(name)
        time.sleep(0.02)
