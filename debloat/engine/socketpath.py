"""Where sockets lie that debloat makes itself."""

from __future__ import annotations

import os
import tempfile

MOST_OF_PATH = 107
"""Bytes of a socket's path (unix(7))."""

MOST_OF_NAME = 16
"""Bytes of the name of a socket of ours."""


def socket_directory(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A directory for a socket: in the usual place, or in /tmp where a path in that would be too long for one."""
    longest = len(os.fsencode(f"{tempfile.gettempdir()}/{prefix}12345678/")) + MOST_OF_NAME
    return tempfile.TemporaryDirectory(prefix=prefix, dir=None if longest <= MOST_OF_PATH else "/tmp")
