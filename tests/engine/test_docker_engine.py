"""What is made of the user's words before they go to the engine."""

from __future__ import annotations

import gc
import os
import weakref
from typing import Any, cast

import pytest

from debloat.engine.docker import DockerEngine, _absolute
from debloat.engine.endpoint import Endpoint


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


def test_an_engine_that_nothing_uses_any_more_is_given_up() -> None:
    """It holds connections."""

    class Client:
        api_version = "1.41"

        def version(self) -> dict[str, str]:
            return {"Version": "1", "ApiVersion": "1.41"}

        def info(self) -> dict[str, str]:
            return {"Architecture": "x86_64", "OSType": "linux", "Driver": "overlay2"}

    engine = DockerEngine(cast(Any, Client()), Endpoint("unix:///x"))
    assert engine.info() is engine.info()
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
