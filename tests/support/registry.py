"""A real registry on the loopback: Debian's docker-registry, unpacked and run by itself; and skopeo beside it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support import debs

RELEASE = "bookworm"
_LIBRARIES = ("libgpgme11", "libassuan0", "libgpg-error0", "libdevmapper1.02.1", "libsubid4")


@contextlib.contextmanager
def registry(directory: Path, htpasswd: str = "") -> Iterator[str]:
    """A registry that keeps its data in a directory, with an htpasswd file if there is one; `localhost:PORT`."""
    program = debs.fetch("docker-registry", release=RELEASE) / "usr/bin/docker-registry"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [
        "version: 0.1",
        f"storage: {{filesystem: {{rootdirectory: {directory / 'data'}}}}}",
        f"http: {{addr: '127.0.0.1:{port}'}}",
    ]
    if htpasswd:
        (directory / "htpasswd").write_text(htpasswd)
        lines.append(f"auth: {{htpasswd: {{realm: tests, path: {directory / 'htpasswd'}}}}}")
    (directory / "registry.yml").write_text("\n".join(lines) + "\n")
    with (directory / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", directory / "registry.yml"], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        _wait(port, process, directory / "registry.log")
        yield f"localhost:{port}"
    finally:
        process.kill()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).close()
            return
        except urllib.error.HTTPError:
            return  # it wants a login
        except OSError:
            time.sleep(0.05)
    raise AssertionError(log.read_text())


def skopeo(*words: str, environment: Mapping[str, str] | None = None) -> str:
    """What a call of skopeo prints."""
    root = debs.fetch("skopeo", *_LIBRARIES, release=RELEASE)
    libraries = ":".join(str(root / place) for place in ("usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"))
    done = subprocess.run(
        [root / "usr/bin/skopeo", "--insecure-policy", *words],
        env={**os.environ, "LD_LIBRARY_PATH": libraries, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
