"""Builders of images, each of which leaves what it built on the engine of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.engines.setups import HOME, SCRIPTS, copy_image, root_of

LIMIT = 1800.0
"""Seconds for a build: fixtures compile an interpreter."""


def classic(directory: Path, image: str) -> None:
    """By the builder of the engine itself, a container for each step."""
    _done(["docker", "build", "--network", "host", "-t", image, str(directory)], DOCKER_BUILDKIT="0")


def buildx(endpoint: str, suite: str, place: Path) -> list[str]:
    """The words that begin a build by the BuildKit of an engine, with the command of a release's packages."""
    plugins = root_of(suite) / "usr/libexec/docker/cli-plugins"
    (place / "config.json").write_text(json.dumps({"cliPluginsExtraDirs": [str(plugins)]}))
    return ["docker", "--config", str(place), "--host", endpoint, "buildx", "build"]


def docker_of(suite: str, place: Path) -> Path:
    """A directory with the docker command of a release, whose `docker build` is buildx's since Docker 23."""
    (loader,) = (root_of(suite) / "usr" / "lib").glob("*/ld-linux-*.so.*")
    command = place / "bin" / "docker"
    command.parent.mkdir()
    program = root_of(suite) / "usr" / "bin" / "docker"
    command.write_text(f'#!/bin/sh\nexec {loader} --library-path {loader.parent} {program} "$@"\n')
    command.chmod(0o755)
    return command.parent


@contextmanager
def elsewhere(argv: Sequence[str]) -> Iterator[str]:
    """The address of a BuildKit that is no engine's, for a builder with a driver of its own, while a block runs.

    It is the engine's after all, behind a port, by the words that begin a call of buildx for it.
    """

    def serve() -> None:
        with contextlib.suppress(OSError):  # it has been closed
            while True:
                connection, _ = listening.accept()
                with connection:
                    dial = [*argv, "dial-stdio"]
                    subprocess.Popen(
                        dial, stdin=connection.fileno(), stdout=connection.fileno(), env={**os.environ, **_EXPERIMENTAL}
                    )

    with socket.create_server(("127.0.0.1", 0), backlog=16) as listening:
        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"tcp://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


_EXPERIMENTAL = {"BUILDX_EXPERIMENTAL": "1"}


def buildkit(directory: Path, image: str, bases: Sequence[str], endpoint: str, suite: str, place: Path) -> None:
    """By the BuildKit of another engine, which is given the base images."""
    for base in bases:
        copy_image(base, endpoint)
    _done([*buildx(endpoint, suite, place), "--network", "host", "-t", image, str(directory)])
    save = subprocess.Popen(["docker", "--host", endpoint, "save", image], stdout=subprocess.PIPE)
    subprocess.run(["docker", "load", "-q"], stdin=save.stdout, check=True, capture_output=True)
    assert save.wait() == 0
    _done(["docker", "--host", endpoint, "rmi", image])


def buildah(directory: Path, image: str, bases: Sequence[str], suite: str) -> None:
    """By buildah of a release, which needs no engine: in a root of its packages, without an isolation of its own."""
    root = _done([str(SCRIPTS / "podman.sh"), "root", suite]).strip()
    shutil.copy("/etc/resolv.conf", f"{root}/etc/resolv.conf")
    # What it stores are overlays, which cannot lie on another one.
    with tempfile.TemporaryDirectory(dir=HOME) as place:
        shutil.copytree(directory, f"{place}/context", symlinks=True)
        for base in bases:
            _done(["docker", "save", "-o", f"{place}/{base.replace(':', '-')}.tar", base])
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
        argv += [str(SCRIPTS / "inside.sh"), root, str(HOME), f"{place}/pid"]
        _done([*argv, "sh", "-euc", _BUILDAH, "sh", place, image, " ".join(_limits())])
        _done(["docker", "load", "-q", "-i", f"{place}/built.tar"])
    # What has no registry in its name, it calls localhost's.
    _done(["docker", "tag", f"localhost/{image}", image])
    _done(["docker", "rmi", f"localhost/{image}"])


_BUILDAH = """
place=$1 image=$2 limits=$3
export HOME=/root
buildah() { command buildah --storage-driver overlay --root "$place/storage" --runroot "$place/run" "$@"; }
for base in "$place"/debian-*.tar; do buildah pull --quiet "docker-archive:$base"; done
buildah build --format docker --isolation chroot --network host --cap-add mknod $limits --pull-never \\
    --tag "localhost/$image" "$place/context"
buildah push --quiet "localhost/$image" "docker-archive:$place/built.tar:localhost/$image"
"""


def _limits() -> Iterator[str]:
    """Those that are here: its own are higher than root may set without CAP_SYS_RESOURCE."""
    for name in ("nofile", "nproc"):
        soft, hard = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
        yield f"--ulimit={name}={soft}:{hard}"


def _done(argv: list[str], **environment: str) -> str:
    done = subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, f"{' '.join(argv[:8])}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
