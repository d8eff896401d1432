"""Test suites on this machine as clients: they say which test begins, and their exit code alone is an answer.

`DEBLOAT_MARK` names a Unix socket. A client connects, writes one line, and reads `ok` once the mark is in force.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from msgspec.structs import replace

from debloat.core.probes import ProbeResult
from debloat.engine.socketpath import socket_directory
from debloat.record.concrete import ConcreteProbe

VARIABLE = "DEBLOAT_MARK"
TIMEOUT = 3600.0
"""Seconds that a test suite may take, where no longer limit is set."""
MAX_NAME = 1000
"""Characters of a test's name that count."""
_PATIENCE = 5.0
"""Seconds that a client may take to say its line."""


def patience_with(probe: ConcreteProbe, limit: float) -> float:
    """Seconds that a client may take."""
    return max(limit, TIMEOUT) if probe.kind == "test" else limit


def judged(probe: ConcreteProbe, result: ProbeResult) -> ProbeResult:
    """The answer of a client; what a test suite prints (durations, an order by chance) is no part of it."""
    return replace(result, shape="") if probe.kind == "test" else result


@contextlib.contextmanager
def marking(mark: Callable[[str], None], env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """An environment in which a client can mark its tests: `mark` is called with `test NAME`, one call at a time.

    No call is under way any more when the block ends.
    """
    with socket_directory("debloat-marks-") as directory, socket.socket(socket.AF_UNIX) as server:
        address = str(Path(directory) / "socket")
        server.bind(address)
        server.listen()
        thread = threading.Thread(target=_serve, args=(server, mark), daemon=True)
        thread.start()
        try:
            yield {**env, VARIABLE: address}
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, mark: Callable[[str], None]) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client, contextlib.suppress(OSError):
            client.settimeout(_PATIENCE)
            with client.makefile("rb") as lines:
                name = lines.readline(4 * MAX_NAME).decode("utf-8", "replace").strip()
            if name:
                mark(f"test {name[:MAX_NAME]}")
                client.sendall(b"ok\n")
