"""Volumes by the user's words."""

from __future__ import annotations

import os

import pytest

from debloat.core.errors import UsageError
from debloat.engine.volumes import Volume, absolute, parse


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
    assert absolute(said) == meant


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("/data", Volume("", "/data")),
        ("/srv/x:/x", Volume("/srv/x", "/x")),
        ("/srv/x:/x:ro", Volume("/srv/x", "/x", read_only=True)),
        ("data:/x:nocopy", Volume("data", "/x", copied=False)),
        ("./x:/x:rw,z", Volume(f"{os.getcwd()}/x", "/x")),
    ],
)
def test_a_volume_as_a_value(said: str, meant: Volume) -> None:
    assert parse(said) == meant


@pytest.mark.parametrize("said", ["data", "a/b:/x", "/a:b", "/a:/b:rw:ro", "/a:/b:wrong", "", ":"])
def test_what_is_no_volume(said: str) -> None:
    with pytest.raises(UsageError):
        parse(said)
