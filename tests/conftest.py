"""What every test run needs: no state of the user's is read or written, and cheap tests come first."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import network

# How long an example takes says how busy the machine is, and nothing of the code. CI takes the same examples each time,
# so that a change is judged by what it changes; `make fuzz` looks for more.
settings.register_profile(
    "debloat", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
# For `make unit`, which is run between two edits; a test that sets a number of its own keeps it.
settings.register_profile("unit", settings.get_profile("debloat"), max_examples=20)
settings.load_profile("debloat")

ORDER = ("tests/integration/test_fixtures.py", "tests/engines/", "tests/integration/", "tests/sensor/", "tests/")
"""Where tests lie, the last to run first: what is cheap fails before what is dear begins."""

NOT_IGNORED: dict[int, Callable[[int, FrameType | None], Any] | signal.Handlers] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


@pytest.fixture(scope="session", autouse=True)
def _own_state() -> Iterator[None]:
    """Runs are remembered in a directory that goes with the tests; no setting of the caller's changes a result."""
    # A shell without job control starts what runs in the background with SIGINT and SIGQUIT ignored, nohup(1) with
    # SIGHUP, and children inherit that.
    for number, default in NOT_IGNORED.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, default)
    # A runner that cancels sends SIGTERM, which would end Python with the containers of a test still there.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", directory)
        patch.setenv("XDG_CACHE_HOME", directory)
        for name in ("SOURCE_DATE_EPOCH", "DOCKER_BUILDKIT", "NO_COLOR", "FORCE_COLOR"):
            patch.delenv(name, raising=False)
        yield
    # A test worker that is slow to end is sent one as well.
    signal.signal(signal.SIGTERM, before)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture: what a test may download is said by its marker."""
    network.allow(item.get_closest_marker("network") is not None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What two workers run of the tests with an engine; those without share nothing, and go to whoever is free."""
    if config.getvalue("dist") != "loadscope":
        return None
    from tests.support.paired import Paired

    return Paired(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests without an engine, then those with one, then the long ones over the fixtures."""

    def rank(item: pytest.Item) -> tuple[bool, int]:
        place = item.nodeid.replace(os.sep, "/")
        kind = next(number for number, start in enumerate(ORDER) if place.startswith(start))
        return item.get_closest_marker("engine") is not None, -kind

    items.sort(key=rank)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have to show besides having passed: their property `table`, from whichever process they ran in."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name == "table" and report.when == "call":
                    terminalreporter.write_line(text)
