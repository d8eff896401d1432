"""docker-py for whoever speaks to an engine, without libraries that it loads where they are and nothing here needs.

An engine behind SSH is reached through the ssh command (`debloat.engine.ssh`). paramiko, which probes of SSH servers
use, takes twice as long to load as docker-py with all else that it needs: 0.1 s of the processor. What requests guesses
encodings with takes 0.01 s; engines answer in UTF-8, which it takes for granted where it has neither.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator

_NEEDLESS = ("paramiko", "chardet", "charset_normalizer")


@contextlib.contextmanager
def _withheld(*names: str) -> Iterator[None]:
    """A block in which libraries that are not loaded yet cannot be."""
    withheld = [name for name in names if name not in sys.modules]
    for name in withheld:
        sys.modules[name] = None  # type: ignore[assignment] # as the import system has it for what is not to be found
    try:
        yield
    finally:
        for name in withheld:
            del sys.modules[name]


warnings.filterwarnings("ignore", "Unable to find acceptable character detection")
with _withheld(*_NEEDLESS):
    import docker
    import docker.context
    import docker.errors
    import docker.tls
    import docker.types
    import requests.exceptions

__all__ = ["docker", "requests"]
