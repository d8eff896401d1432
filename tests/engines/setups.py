"""The engines that the matrix runs on: the one of this machine, and other releases started beside it for the tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts" / "engines"
HOME = Path(os.environ.get("DEBLOAT_ENGINES", "/var/tmp/debloat-engines"))
"""Where the scripts keep roots and data."""

START_LIMIT = 900.0
"""Seconds for a start; the first one makes a root from Debian's archive."""


THOROUGH = bool(os.environ.get("DEBLOAT_MORE_ENGINES"))
"""`make engines`, which takes its time."""

FIXTURES = ("nginx", "redis", "flask", "scratch", "torture", "supervisor")
"""A server, a database, a language, no distribution at all, every kind of file, several processes."""


DEVICES = ("torture",)
"""Those whose images have device nodes, which they use: a user's engine has none for them, and says so."""
WITHOUT_DEVICES = "no: it uses device nodes, which a rootless engine leaves out; that is said"
SAID_OF_DEVICES = (
    "the engine is rootless: device nodes of the image are not there",
    "the original image does not pass its own probes",
)
"""What the table and the run say of such an image there."""


@dataclass(frozen=True, slots=True)
class Setup:
    """An engine to be had: its name in the tests, its column in the documentation, and the script that starts it.

    `script` is empty for the engine that is there already. `words` are what `start NAME` is followed by.
    """

    name: str
    title: str
    script: str = ""
    words: tuple[str, ...] = ()

    @property
    def rootless(self) -> bool:
        return "rootless" in self.words

    @property
    def podman(self) -> bool:
        return self.script == "podman.sh"

    def named(self, image: str) -> str:
        """What the engine calls an image that was made here under a name without a registry."""
        return f"localhost/{image}" if self.podman else image


def _title_of_here() -> str:
    """By its version: another machine has another engine."""
    words = ["docker", "version", "--format", "{{.Server.Version}}"]
    version = subprocess.run(words, capture_output=True, text=True).stdout.strip() or "that is not there"
    return "Docker 20.10 (bookworm)" if version.startswith("20.10.") else f"Docker {version} (of this machine)"


HERE = Setup("here", _title_of_here())
CI = (
    HERE,
    Setup("docker26", "Docker 26.1 (trixie)", "docker.sh", ("trixie", "classic")),
    Setup("containerd26", "Docker 26.1 (trixie), containerd store", "docker.sh", ("trixie", "containerd")),
    Setup("podman4", "Podman 4.3 (bookworm)", "podman.sh", ("bookworm", "rootful")),
    Setup("podman5", "Podman 5.4 (trixie)", "podman.sh", ("trixie", "rootful")),
)
MORE = (
    Setup("rootless4", "Podman 4.3 (bookworm), rootless", "podman.sh", ("bookworm", "rootless")),
    Setup("rootless5", "Podman 5.4 (trixie), rootless", "podman.sh", ("trixie", "rootless")),
    Setup("dockersid", "Docker (sid)", "docker.sh", ("sid", "classic")),
    Setup("storesid", "Docker (sid), containerd store", "docker.sh", ("sid", "containerd")),
)
"""Run by `make engines` only: what takes longer, and what sid has today, which is nobody's promise."""

SETUPS = (*CI, *(MORE if THOROUGH else ()))

OWN = (
    Setup("embedded", "debloat's own engine, root"),
    Setup("embedded-namespace", "debloat's own engine, root of a user namespace"),
    Setup("embedded-user", "debloat's own engine, an ordinary user"),
)
"""Columns of the table that tests of their own fill."""


@contextmanager
def started(setup: Setup, *more: str) -> Iterator[str]:
    """The endpoint of a setup while a block runs; nothing of it is left after."""
    if not setup.script:
        yield os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        return
    script = str(SCRIPTS / setup.script)
    subprocess.run([script, "stop", setup.name], check=True, timeout=START_LIMIT)  # of a run that was killed
    argv = [script, "start", setup.name, *setup.words, *more]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=START_LIMIT)
    try:
        assert done.returncode == 0, f"{setup.title} cannot be started here: {done.stderr}"
        yield done.stdout.strip()
    finally:
        subprocess.run([script, "stop", setup.name], check=True, timeout=START_LIMIT)


def root_of(suite: str) -> Path:
    """The root of a suite that the scripts keep: skopeo and buildx of that release are in it."""
    return HOME / "roots" / suite


def copy_image(image: str, endpoint: str) -> None:
    """Put an image of this machine's engine into another, under the same name."""
    save = subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE)
    load_images(save.stdout, endpoint)
    assert save.wait() == 0, f"cannot save {image}"


def load_images(archive: IO[bytes] | None, endpoint: str) -> None:
    """Load an archive of images into an engine."""
    load = subprocess.run(["docker", "--host", endpoint, "load", "-q"], stdin=archive, capture_output=True)
    assert load.returncode == 0, load.stderr.decode("utf-8", "replace")
