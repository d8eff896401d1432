"""The network in tests: only a test that is marked `network` gets what is downloaded, whether it is cached or not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("DEBLOAT_TEST_CACHE") or Path.home() / ".cache" / "debloat-tests")
"""Where downloads are kept from one run to the next, outside of the checkout."""

_allowed = True


def allow(allowed: bool) -> None:
    """Whether the test that runs next may download."""
    global _allowed
    _allowed = allowed


def require(what: str) -> None:
    """Called before a download, and before its copy in the cache is taken: the test fails where it is not marked."""
    if not _allowed:
        pytest.fail(f"{what} comes from the network: mark this test `network`", pytrace=False)
