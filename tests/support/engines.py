"""Small images on the engine, for tests: built from tables, gone when the test is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

BASE = "debian:bookworm-slim"
LABEL = "debloat.test=run"
"""On containers of `run`; images carry `debloat.test=REPOSITORY`, and so does what is cut out of them."""


class Images:
    """Builds images under names of this test only, and removes every name it may have led to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.repository = f"debloat-test-{secrets.token_hex(4)}"

    def name(self, tag: str) -> str:
        return f"{self.repository}:{tag}"

    def build(self, tag: str, dockerfile: str, files: Mapping[str, str | bytes] | None = None) -> str:
        """Build a context of a Dockerfile and some files; a file whose name ends in `!` is executable."""
        context = self._directory / f"context-{tag}"
        context.mkdir(parents=True, exist_ok=True)
        (context / "Dockerfile").write_text(dockerfile)
        for name, content in (files or {}).items():
            path = context / name.rstrip("!")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(0o755 if name.endswith("!") else 0o644)
            os.utime(path, (10**9, 10**9))
        command = ["docker", "build", "-q", "--network", "none", "-t", self.name(tag)]
        command += ["--label", f"debloat.test={self.repository}", str(context)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return self.name(tag)

    def remove(self) -> None:
        """Remove every image of this test: by its label, under whatever name, and by its name, made from any image."""
        found = set()
        for by in (f"label=debloat.test={self.repository}", f"reference={self.repository}"):
            line = ["docker", "images", "--filter", by, "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"]
            listed = subprocess.run(line, capture_output=True, text=True, check=True)
            rows = [row.split() for row in listed.stdout.splitlines()]
            found |= {image if "<none>" in name else name for image, name in rows}
        if found:
            subprocess.run(["docker", "rmi", *sorted(found)], capture_output=True, check=False)


def images(directory: Path) -> Iterator[Images]:
    """For a fixture: the images of a test."""
    found = Images(directory)
    try:
        yield found
    finally:
        found.remove()


@contextlib.contextmanager
def collecting() -> Iterator[None]:
    """One test at a time on this machine leaves something for `debloat gc` or calls it: it takes all that is left."""
    with (Path(tempfile.gettempdir()) / "debloat-tests-gc.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(image: str, *words: str) -> str:
    """The output of a container."""
    command = ["docker", "run", "--rm", "--network", "none", "--label", LABEL, image, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def image_id(image: str) -> str:
    command = ["docker", "inspect", "--format", "{{.Id}}", image]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
