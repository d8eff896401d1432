"""`docker debloat`: the command line as a plug-in of Docker's, and its installation.

docker finds executables called `docker-NAME` in the directory `cli-plugins` of its configuration, asks each for
`docker-cli-plugin-metadata`, and runs it with all arguments that it was given, global options first (docker/cli,
`cli-plugins`).
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from debloat import __version__
from debloat.core.errors import UsageError
from debloat.engine.workspace import written_whole

NAME = "debloat"
MARK = "# debloat as a plug-in of docker; `debloat plugin uninstall` removes it\n"
"""The line by which a plug-in of ours is known."""

METADATA = {
    "SchemaVersion": "0.1.0",
    "Vendor": "debloat",
    "Version": __version__,
    "ShortDescription": "Cut an image down to what its application can reach",
    "URL": "https://github.com/debloat/debloat",
}

_ENVIRONMENT = {
    "--config": "DOCKER_CONFIG",
    "--context": "DOCKER_CONTEXT",
    "-c": "DOCKER_CONTEXT",
    "--host": "DOCKER_HOST",
    "-H": "DOCKER_HOST",
}
"""Global options of docker that say which engine is meant, by the variables that say the same."""

_WITH_VALUE = ("-l", "--log-level", "--tlscacert", "--tlscert", "--tlskey")


def path() -> Path:
    """Where the plug-in goes: `cli-plugins` in docker's configuration, which is $DOCKER_CONFIG or ~/.docker."""
    configured = os.environ.get("DOCKER_CONFIG")
    directory = Path(configured) if configured else Path.home() / ".docker"
    return directory / "cli-plugins" / f"docker-{NAME}"


def install() -> None:
    """Write the plug-in; one that somebody else made is not overwritten."""
    place = path()
    _must_be_ours(place)
    text = f'#!/bin/sh\n{MARK}exec {shlex.quote(sys.executable)} -P -m debloat.cli.plugin "$@"\n'
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {place.parent}: {error.strerror}") from error
    with written_whole(place) as draft:
        draft.write_text(text)
    place.chmod(0o755)
    click.echo(str(place))


def uninstall() -> None:
    """Remove it; nothing happens where there is none."""
    place = path()
    _must_be_ours(place)
    place.unlink(missing_ok=True)


def _must_be_ours(place: Path) -> None:
    try:
        text = place.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot read {place}: {error.strerror}") from error
    if MARK.encode() not in text:
        raise UsageError(f"cannot touch {place}: debloat did not make it", "remove it by hand, if it is to go")


def own_arguments(argv: Sequence[str]) -> list[str]:
    """The arguments after docker's own; what these say of the engine is put into the environment."""
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == NAME:
            return rest
        option, equals, value = word.partition("=")
        if option in _ENVIRONMENT or option in _WITH_VALUE:
            value = value if equals else rest.pop(0) if rest else ""
            if variable := _ENVIRONMENT.get(option):
                os.environ[variable] = value
        elif not word.startswith("-"):
            return [word, *rest]
    return []


def main() -> int:
    """What docker runs."""
    if sys.argv[1:2] == ["docker-cli-plugin-metadata"]:
        click.echo(json.dumps(METADATA))
        return 0
    from debloat.cli.main import main as command

    return command(own_arguments(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
