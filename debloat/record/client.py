"""Running a client of this machine against a container: a test suite, a database's own client, a script."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from debloat.core.signals import hold_back


def run_client(command: str, env: Mapping[str, str], timeout: float) -> tuple[int, bytes, bytes]:
    """Run a line of sh(1) to its end: exit code, standard output, standard error.

    `variables` come on top of this process's environment. TimeoutError after `timeout` seconds. Whatever ends the wait,
    the client and all that it started in its session are gone afterwards.
    """
    # A signal between the start of the client and the knowledge of it would leave the client running.
    release = hold_back()
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except BaseException:
        release()
        raise
    try:
        release()
        stdout, stderr = process.communicate(timeout=timeout)
    except BaseException as error:
        os.killpg(process.pid, 9)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise TimeoutError from None
        raise
    return process.returncode, stdout, stderr
