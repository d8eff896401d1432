"""What is made of the user's words before they go to the engine."""

from __future__ import annotations

import os

import pytest

from debloat.engine.docker import _absolute


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("./data:/data", f"{os.getcwd()}/data:/data"),
        ("../data:/data:ro", f"{os.path.dirname(os.getcwd())}/data:/data:ro"),
        (".:/src", f"{os.getcwd()}:/src"),
        ("name:/data", "name:/data"),
        (".hidden:/data", ".hidden:/data"),
        ("/host:/data", "/host:/data"),
        ("/data", "/data"),
    ],
)
def test_a_relative_source_of_a_volume(said: str, meant: str) -> None:
    assert _absolute(said) == meant
