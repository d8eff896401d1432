"""An engine behind SSH, reached as the docker command reaches it: by the ssh command and `docker system dial-stdio`.

So the user's ssh configuration, agent and known hosts hold, and no SSH library is needed.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

from debloat.core.errors import EngineUnavailable
from debloat.engine.socketpath import socket_directory

_LAST_WORDS = 400
_GRACE = 5.0


def ssh_argv(url: str) -> list[str]:
    """The command whose standard streams are a connection to the engine that `ssh://[USER@]HOST[:PORT]` names."""
    ssh = shutil.which("ssh")
    if ssh is None:
        raise EngineUnavailable(f"cannot reach {url}: there is no ssh command here", "apt-get install openssh-client")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise EngineUnavailable(f"cannot read the address {url}: {error}", "write ssh://USER@HOST:PORT") from error
    if not host or host.startswith("-") or parts.path not in ("", "/"):
        raise EngineUnavailable(f"cannot read the address {url}", "write ssh://USER@HOST:PORT")
    argv = [ssh, "-T", "-o", "ConnectTimeout=30"]
    argv += ["-l", parts.username] if parts.username else []
    argv += ["-p", str(port)] if port else []
    return [*argv, "--", host, "docker", "system", "dial-stdio"]


class Forward:
    """A socket on this machine; each connection to it is one to the engine. To be closed."""

    def __init__(self, url: str) -> None:
        self._argv = ssh_argv(url)
        self._directory = socket_directory("debloat-ssh-")
        self.path = Path(self._directory.name) / "engine.sock"
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._jobs: list[subprocess.Popen[bytes]] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(self.path))
        self._listening.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the listening socket has been closed
            while True:
                connection, _ = self._listening.accept()
                with connection:
                    # ssh gets the socket itself for both streams: nothing is copied here, and an end of either is one.
                    # A session of its own: Ctrl-C is for this process, which still has containers to remove.
                    end = connection.fileno()
                    job = subprocess.Popen(
                        self._argv, stdin=end, stdout=end, stderr=self._errors, start_new_session=True
                    )
                self._jobs = [*(j for j in self._jobs if j.poll() is None), job]

    def last_words(self) -> str:
        """What ssh said on standard error, its end."""
        self._errors.seek(0)
        return self._errors.read().decode("utf-8", "replace")[-_LAST_WORDS:].strip()

    def close(self) -> None:
        """End every connection."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for job in self._jobs:
            job.terminate()
        for job in self._jobs:
            try:
                job.wait(_GRACE)
            except subprocess.TimeoutExpired:
                job.kill()
                job.wait()
        self._errors.close()
        self._directory.cleanup()
