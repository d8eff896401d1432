"""Which tests with an engine run at the same time: `pytest -n 2 --dist=loadscope --no-loadscope-reorder -m engine`.

Tests that start engines of their own are for one worker, and so are all others but the fixtures, each of which goes to
whoever is free. (The marks that pytest-xdist has for groups are without effect under pytest 9.2.)
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

FIXTURES = "tests/integration/test_fixtures.py::"


class Paired(LoadScopeScheduling):  # type: ignore[misc]
    """A scheduler of pytest-xdist: tests of one scope run one after the other in one worker."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """The tests that a test has to run with."""
    if nodeid.startswith(f"{FIXTURES}test_a_fixture["):
        return nodeid
    if nodeid.startswith(FIXTURES):
        return "over all fixtures"
    return "engines" if nodeid.startswith("tests/engines/") else "one engine"
