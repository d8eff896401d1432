"""docker-py without the SSH library that it loads where there is one, for whoever speaks to an engine.

An engine behind SSH is reached through the ssh command (`debloat.engine.ssh`). paramiko, which probes of SSH servers
use, takes twice as long to load as docker-py with all else that it needs: 0.1 s of the processor.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def _withheld(name: str) -> Iterator[None]:
    """A block in which a library that is not loaded yet cannot be."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment] # as the import system has it for what is not to be found
    try:
        yield
    finally:
        del sys.modules[name]


with _withheld("paramiko"):
    import docker
    import docker.context
    import docker.errors
    import docker.tls
    import docker.types

__all__ = ["docker"]
