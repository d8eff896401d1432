"""The Compose command: found, called, and what it says of a file that it does not take."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from debloat.compose.document import Document, parse
from debloat.core.errors import EngineUnavailable, UsageError
from debloat.engine.base import EngineInfo
from debloat.record.client import run_client

QUICK = 60.0
"""Seconds that a call may take which starts nothing."""
LONG = 3600.0
"""Seconds that building, or pulling what is to be started, may take."""

_NOISE = re.compile(
    r"^(ERROR: |Error: |time=\S+ level=(warning|info).*|WARNING: .*|Encountered errors while bringing up the project\.)"
)
_PROGRESS = re.compile(r"^\s*(Network|Volume|Container) \S+ +\w+( \(\S+\))?$|^(Creating|Starting|Building|Pulling) ")


class Answer(Struct, frozen=True):
    """How a call ended; `code` is None where it took too long."""

    code: int | None
    out: str
    err: str

    @property
    def cause(self) -> str:
        """Why it failed, in Compose's words, on one line."""
        if self.code is None:
            return "it takes too long"
        lines = [_NOISE.sub("", line).strip() for line in self.err.splitlines() if not _PROGRESS.match(line)]
        return " ".join(" ".join(lines).split()) or f"exit code {self.code}"


class Compose(Struct, frozen=True):
    """A Compose command for an engine: its words before any option, its version, the environment that it has to have.

    `separator` stands between project and service in the names of images that it builds.
    """

    argv: tuple[str, ...]
    version: str
    environment: Mapping[str, str] = MappingProxyType({})

    @property
    def separator(self) -> str:
        return "_" if self.version.startswith("1.") else "-"

    def call(self, words: Iterable[str], timeout: float = QUICK) -> Answer:
        """Call it to its end; whatever ends the wait ends it too, with all that it has started here."""
        line = shlex.join([*self.argv, *words])
        try:
            code, out, err = run_client(line, self.environment, timeout)
        except TimeoutError:
            return Answer(None, "", "")
        return Answer(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

    def document(self, files: Iterable[str], profiles: Iterable[str]) -> Document:
        """The files put together, with everything resolved; UsageError, in Compose's words, where it refuses them."""
        files = tuple(files)
        for file in files:
            if file != "-" and not Path(file).is_file():
                raise UsageError(f"cannot read the compose file {file}: there is no such file", "name it with -f FILE")
        words = [word for file in files for word in ("-f", file)]
        words += [word for profile in profiles for word in ("--profile", profile)]
        answer = self.call([*words, "config"])
        if answer.code != 0:
            raise UsageError(
                f"cannot use the compose file: {answer.cause}", "`docker compose config` says what it makes of it"
            )
        return parse(answer.out)

    def build(self, file: str, project: str, services: Iterable[str]) -> None:
        """Build the images of services; UsageError where that fails."""
        answer = self.call(["-f", file, "-p", project, "build", *services], LONG)
        if answer.code != 0:
            last = "\n".join((answer.out + answer.err).splitlines()[-20:])
            raise UsageError(
                f"cannot build the stack; the last lines were:\n{last}", "does `docker compose build` work?"
            )


def find(info: EngineInfo) -> Compose:
    """The plug-in of docker where there is one, else `docker-compose`; EngineUnavailable where there is neither."""
    if info.traits.own:
        raise EngineUnavailable(
            "cannot start a stack: Compose does not speak to debloat's own engine", "use Docker or Podman (--engine)"
        )
    environment = {"DOCKER_HOST": info.endpoint} if _is_a_socket(info.endpoint) else {}
    for argv in (("docker", "compose"), ("docker-compose",)):
        if shutil.which(argv[0]):
            compose = Compose(argv, "", MappingProxyType(environment))
            answer = compose.call(["version", "--short"])
            if answer.code == 0:
                return Compose(argv, answer.out.strip().removeprefix("v"), compose.environment)
    raise EngineUnavailable(
        "cannot start a stack: there is no Compose here",
        "install the plug-in (docker-compose-plugin, in Debian 13 docker-compose) or docker-compose",
    )


def _is_a_socket(endpoint: str) -> bool:
    return endpoint.startswith("unix://") and os.environ.get("DOCKER_HOST") != endpoint
