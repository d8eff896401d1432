"""Counted steps distinguish linear work from quadratic."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.support.work import growth, steps


def single(size: int) -> Callable[[], object]:
    def call() -> None:
        for n in range(size):
            str(n)

    return call


def nested(size: int) -> Callable[[], object]:
    def call() -> None:
        for _ in range(size):
            for _ in range(size):
                pass

    return call


def test_one_loop_grows_with_its_input_and_a_loop_in_a_loop_with_its_square() -> None:
    assert growth(single, 300) == pytest.approx(2, abs=0.1)
    assert growth(nested, 100) == pytest.approx(4, abs=0.1)


def test_the_same_call_takes_the_same_steps_and_leaves_no_trace_function() -> None:
    before = sys.gettrace()
    assert steps(nested(20)) == steps(nested(20))
    assert sys.gettrace() is before
