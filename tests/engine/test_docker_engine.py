"""What the engine over Docker's API holds, and gives up."""

from __future__ import annotations

import gc
import weakref
from typing import Any, cast

from debloat.engine.docker import DockerEngine
from debloat.engine.endpoint import Endpoint


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
