"""The plug-in for pytest: where the container is that debloat records, and which test uses it.

Under `debloat run IMAGE -- pytest` each test is marked before it begins, so that `debloat why` names the test that a
file is kept for. Without debloat it does nothing. It stands on the standard library and pytest alone.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import pytest

MARK = "DEBLOAT_MARK"
_PATIENCE = 10.0
"""Seconds that a mark may take to be in force."""


@dataclass(frozen=True, slots=True)
class RecordedContainer:
    """The container that is asked: its id, and where the first of its ports is reached from here."""

    container: str
    host: str
    port: int
    url: str

    def port_of(self, inside: int) -> int:
        """The port of `host` that leads to a port of the container; KeyError for one that is not published."""
        return int(os.environ[f"DEBLOAT_PORT_{inside}"])


@pytest.fixture(scope="session")
def debloat_container() -> RecordedContainer:
    """The container that debloat records; a test that asks for it is skipped where debloat has not started it."""
    if "DEBLOAT_CONTAINER" not in os.environ:
        pytest.skip("there is no container of debloat's: run it with `debloat run IMAGE -- pytest`")
    container, host, port, url = (os.environ[f"DEBLOAT_{name}"] for name in ("CONTAINER", "HOST", "PORT", "URL"))
    return RecordedContainer(container, host, int(port), url)


class Marks:
    """Tells debloat which test begins. With several workers of pytest-xdist at once no access has one test."""

    def __init__(self, address: str) -> None:
        self._address = address

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        line = " ".join(nodeid.split()).encode("utf-8", "replace") + b"\n"
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(_PATIENCE)
            wire.connect(self._address)
            wire.sendall(line)
            wire.recv(16)


def pytest_configure(config: pytest.Config) -> None:
    address = os.environ.get(MARK)
    if address and not hasattr(config, "workerinput") and not config.getoption("numprocesses", None):
        config.pluginmanager.register(Marks(address), "debloat-marks")
